//! The dependencies of a test: started one after the other on its network, each ready before the next begins.
//! Their output is shown only after a failure.

use bollard::models::{ContainerCreateBody, Mount, MountType, MountVolumeOptions, VolumeCreateRequest};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::container::unstarted;
use super::ground::{Ground, variables};
use super::{Progress, ready};
use crate::config::test::{Need, NeedVolume};
use crate::domain::fault::Fault;
use crate::runs::step::create::health;
use crate::runs::step::{Lines, cancelled};

/// Of each need, when a test failed or a need was not ready.
const LAST_WORDS: &str = "20";
/// They are a help: a daemon that does not answer is not waited for.
const WORDS_LIMIT: Duration = Duration::from_secs(3);

/// All of them, ready in their order.
pub(super) async fn begin(
    ground: &Ground<'_>,
    network: &str,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Fault> {
    for need in &ground.trial.test.needs {
        if cancel.is_cancelled() {
            return Err(cancelled(ground.what));
        }
        progress.text(&format!("starting {}", need.name));
        let outcome = one(ground, network, need, progress, cancel).await;
        if let Err(fault) = outcome {
            if !cancel.is_cancelled() {
                last_words_of(ground, need, progress).await;
            }
            return Err(fault);
        }
    }
    Ok(())
}

async fn one(
    ground: &Ground<'_>,
    network: &str,
    need: &Need,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Fault> {
    volumes(ground, need).await?;
    let body = body(ground, network, need)?;
    let id = ground
        .create(&ground.name_of(&need.name), body, &need.files)
        .await?;
    ground.docker.start_container(&id, None).await.map_err(|error| {
        let fault = ground.fault(&error);
        let why = format!("{}, which it needs, does not start: {}", need.name, fault.why);
        unstarted(
            Fault { why, ..fault },
            "is the program of its `command` in its image?",
        )
    })?;
    ready::wait(ground, &id, need, progress, cancel).await
}

fn body(ground: &Ground<'_>, network: &str, need: &Need) -> Result<ContainerCreateBody, Fault> {
    let image = ground.trial.images.get(&need.image).ok_or_else(|| {
        Fault::new(
            ground.what,
            format!("the image {} of {} is not there", need.image, need.name),
        )
    })?;
    let mut names = vec![need.name.clone()];
    names.extend(need.aliases.iter().cloned());
    let mut body = ground.plain(&image.to_string(), Some(network), &names);
    let or_image = |words: &[String]| (!words.is_empty()).then(|| words.to_vec());
    body.cmd = or_image(&need.command);
    body.entrypoint = or_image(&need.entrypoint);
    body.env = Some(variables(&need.env));
    body.user.clone_from(&need.user);
    body.working_dir.clone_from(&need.folder);
    body.hostname.clone_from(&need.hostname);
    body.healthcheck = need.health.as_ref().map(health);
    if let Some(host) = &mut body.host_config {
        host.memory = need.memory.and_then(|bytes| i64::try_from(bytes).ok());
        host.shm_size = need.shared_memory.and_then(|bytes| i64::try_from(bytes).ok());
        host.tmpfs = (!need.tmpfs.is_empty()).then(|| need.tmpfs.clone().into_iter().collect());
        let mounts: Vec<Mount> = need.volumes.iter().map(|volume| mount(ground, volume)).collect();
        host.mounts = (!mounts.is_empty()).then_some(mounts);
    }
    Ok(body)
}

fn volume_name(ground: &Ground<'_>, name: &str) -> String {
    ground.name_of(name)
}

fn mount(ground: &Ground<'_>, volume: &NeedVolume) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        target: Some(volume.target.clone()),
        // Without a name it is the container's own, and goes with it.
        source: volume.name.as_deref().map(|name| volume_name(ground, name)),
        read_only: Some(volume.read_only),
        volume_options: volume.name.is_none().then(|| MountVolumeOptions {
            labels: Some(ground.labels()),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// Those with a name are made first: a mount alone would leave the labels away.
async fn volumes(ground: &Ground<'_>, need: &Need) -> Result<(), Fault> {
    for name in need.volumes.iter().filter_map(|volume| volume.name.as_deref()) {
        let request = VolumeCreateRequest {
            name: Some(volume_name(ground, name)),
            labels: Some(ground.labels()),
            ..VolumeCreateRequest::default()
        };
        // One that is there is given back as it is.
        ground
            .docker
            .create_volume(request)
            .await
            .map_err(|error| ground.fault(&error))?;
    }
    Ok(())
}

/// The last lines of every need, for whoever reads why a test failed.
pub(super) async fn last_words(ground: &Ground<'_>, progress: &mut dyn Progress) {
    for need in &ground.trial.test.needs {
        last_words_of(ground, need, progress).await;
    }
}

async fn last_words_of(ground: &Ground<'_>, need: &Need, progress: &mut dyn Progress) {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail(LAST_WORDS)
        .build();
    let name = ground.name_of(&need.name);
    let mut output = std::pin::pin!(ground.docker.logs(&name, Some(options)));
    let mut lines = Prefixed {
        name: &need.name,
        progress,
    };
    let mut told = Lines::default();
    let reading = async {
        while let Some(Ok(piece)) = output.next().await {
            told.push(piece.as_ref(), &mut lines);
        }
        told.finish(&mut lines);
    };
    if tokio::time::timeout(WORDS_LIMIT, reading).await.is_err() {
        progress.line(&format!("{} | (its log could not be read)", need.name));
    }
}

/// `db | database system is ready`
struct Prefixed<'a> {
    name: &'a str,
    progress: &'a mut dyn Progress,
}

impl Progress for Prefixed<'_> {
    fn text(&mut self, now: &str) {
        self.progress.text(now);
    }

    fn line(&mut self, line: &str) {
        self.progress.line(&format!("{} | {line}", self.name));
    }
}

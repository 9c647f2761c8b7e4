//! Watches replicas until all are ready or one fails; a failure is reported with its last output.
//! Observes only; `release::gate` judges.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Progress, probe, replicas};
use crate::config::service::Gate;
use crate::domain::container::Health;
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::hosts::Daemon;
use crate::release::deeds::Scene;
use crate::release::gate::{Verdict, Watch};
use crate::release::record::{Failure, FailureKind};
use crate::release::replica::{Replica, Up};

const LOOK: Duration = Duration::from_millis(200);
/// How long a restarting daemon may be silent before the gate fails.
const SILENCE: Duration = Duration::from_secs(10);
/// Log lines to report of a failed replica.
const LAST_WORDS: &str = "30";
/// The limit for reading them; they are optional.
const LISTEN: Duration = Duration::from_secs(3);

/// Which replicas have to become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    New,
    /// The old ones after an undo: as ready as they were before.
    Old,
}

pub async fn gate(
    daemon: &Daemon,
    scene: &Scene<'_>,
    whose: Whose,
    gate: &Gate,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let opened = Instant::now();
    let mut watches: HashMap<ContainerId, Watch> = HashMap::new();
    let mut answered = Instant::now();
    let what = || format!("pass the gate on {}", daemon.name());
    let mut looking = replicas::Looking::new(daemon, &scene.plan.subject);
    loop {
        match looking.replicas().await {
            Ok(now) => {
                answered = Instant::now();
                if whose == Whose::New {
                    replicas::all_there(daemon, scene, &now, "pass the gate with")?;
                }
                let wanted = behind(scene, whose, &now);
                let probed = tokio::select! {
                    biased;
                    () = cancel.cancelled() => return Err(turned_back(what())),
                    probed = ask(daemon, gate, &wanted) => probed,
                };
                let at = opened.elapsed();
                for (replica, must_be_healthy) in &wanted {
                    watches
                        .entry(replica.id.clone())
                        .or_insert_with(|| Watch::new(replica, *must_be_healthy));
                }
                let mut waiting: Option<String> = None;
                for (id, watch) in &mut watches {
                    let seen = now.iter().find(|replica| replica.id == *id);
                    match watch.look(gate, at, seen, probed.get(id)) {
                        Verdict::Good => {}
                        Verdict::Wait(text) => waiting = Some(text),
                        Verdict::Bad(why) => {
                            last_words(daemon, id, progress).await;
                            return Err(Failure::refused(Fault::new(what(), why)));
                        }
                    }
                }
                match waiting {
                    None => return Ok(()),
                    Some(text) => progress.text(&text),
                }
            }
            Err(failure) if failure.kind == FailureKind::Unreachable && answered.elapsed() < SILENCE => {}
            Err(failure) => return Err(failure),
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(turned_back(what()));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn turned_back(what: String) -> Failure {
    Failure::of(
        FailureKind::Interrupted,
        Fault::new(what, "the run is being undone"),
    )
}

/// Each that runs, at once.
async fn ask(
    daemon: &Daemon,
    gate: &Gate,
    wanted: &[(Replica, bool)],
) -> HashMap<ContainerId, Result<(), String>> {
    let Some(wish) = &gate.probe else {
        return HashMap::new();
    };
    let running = wanted.iter().filter(|(replica, _)| replica.state == Up::Running);
    let asked = running.map(|(replica, _)| async move {
        let answer = probe::probe(daemon, &replica.id, wish, gate.timeout).await;
        (replica.id.clone(), answer)
    });
    join_all(asked).await.into_iter().collect()
}

/// The replicas that must become ready, and whether each must be healthy.
fn behind(scene: &Scene<'_>, whose: Whose, now: &[Replica]) -> Vec<(Replica, bool)> {
    match whose {
        Whose::New => scene
            .new_ones(now)
            .cloned()
            .map(|replica| (replica, true))
            .collect(),
        Whose::Old => scene
            .old_ones(now)
            .filter_map(|replica| {
                let was = scene
                    .decision
                    .snapshot
                    .of(scene.host)
                    .iter()
                    .find(|was| was.id == replica.id)?;
                let is_untouched = replica.state == Up::Running
                    && replica.started_at == was.started_at
                    && replica.restarts == was.restarts;
                // What was in a restart loop before is only asked to be as it was: the comparison does that.
                (was.state == Up::Running && !is_untouched)
                    .then(|| (replica.clone(), was.health == Health::Healthy))
            })
            .collect(),
    }
}

/// The last output of its health check, then the end of its log.
async fn last_words(daemon: &Daemon, id: &ContainerId, progress: &mut dyn Progress) {
    let probe = last_probe(daemon, id).await.unwrap_or_default();
    for line in probe.lines() {
        progress.line(line);
    }
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .tail(LAST_WORDS)
        .build();
    let stream = daemon.read().logs(id.as_str(), Some(options));
    futures_util::pin_mut!(stream);
    let mut text = Vec::new();
    let reading = async {
        while let Some(Ok(piece)) = stream.next().await {
            text.extend_from_slice(&piece.into_bytes());
        }
    };
    if tokio::time::timeout(LISTEN, reading).await.is_err() {
        progress.line("(its log could not be read)");
    }
    for line in String::from_utf8_lossy(&text).lines() {
        progress.line(line);
    }
}

async fn last_probe(daemon: &Daemon, id: &ContainerId) -> Option<String> {
    let asked = daemon.read().inspect_container(id.as_str(), None);
    let seen = tokio::time::timeout(LISTEN, asked).await.ok()?.ok()?;
    let probe = seen.state?.health?.log?.pop()?;
    let code = probe.exit_code.unwrap_or_default();
    let said = probe.output.unwrap_or_default();
    Some(format!("its health check ended with {code}: {}", said.trim()))
}

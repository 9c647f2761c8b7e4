//! Starts a run as its own process: secrets are resolved first and passed through a pipe.
//! When this returns the run has started; from then on everything about it is in its journal.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::draft::draft;
use super::login::{self, Stay};
use super::logins::{self, Logins};
use super::secrets::{self, Handed, Secrets};
use crate::config::Config;
use crate::config::service::Secret;
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::plan::RunRequest;
use crate::domain::reference::{Reference, registry_of};
use crate::domain::run::RunKind;
use crate::release::plan::Actor;
use crate::runs::disk::journal;
use crate::runs::disk::state::{RunFile, State};
use crate::runs::process::finish::Finish;
use crate::runs::step::build::bases as bases_of;

/// The limit from its start until its first record is on disk.
const START_LIMIT: Duration = Duration::from_secs(15);
/// The limit for a runner asked to end; it has not changed any host yet.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Sent by the runner once it holds the run and has written its first record.
pub(in crate::runs) const READY: &[u8] = b"ready\n";

pub async fn launch(
    state: &State,
    config: &Config,
    request: &RunRequest,
    actor: Actor,
) -> Result<RunId, Fault> {
    let now = crate::runs::process::pen::now();
    let guess = state.next_number(&request.service);
    let mut file = draft(guess, config, request, actor, now).await?;
    let env = |name: &str| std::env::var(name).ok();
    let mut secrets = Secrets::new();
    let mut hidden: Vec<String> = config
        .private_variables()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut given = Secrets::new();
    let builds = file.plan.builds() || file.plan.tests_a_stage();
    if let Some(build) = file.plan.service.build.as_ref().filter(|_| builds) {
        hidden.extend(variables(&build.secrets));
        given = secrets::for_build(secrets::resolve(&build.secrets, &env).await?);
    }
    if let Some(deploy) = file.plan.deploy() {
        let wanted = &deploy.spec;
        hidden.extend(variables(wanted.sources()));
        secrets = match file.plan.kind {
            RunKind::Deploy | RunKind::Pipeline => secrets::of_replicas(wanted, &env).await?,
            // Only needed if a kept container is gone: creating it says which is missing.
            RunKind::Rollback => secrets::of_replicas(wanted, &env).await.unwrap_or_default(),
            RunKind::Build | RunKind::Test | RunKind::Push | RunKind::Adopt => Secrets::new(),
        };
    }
    file.plan.seals = secrets::seals(&secrets);
    // What a build is given is no part of what runs: it has no seal.
    secrets.append(&mut given);
    let finish = Box::pin(Finish::resolve(config, &request.service, &env)).await;
    state.forget_old(now);
    let logins = logins_of(config, &mut file, &env).await?;
    let mut bases = Logins::new();
    if let Some(build) = file.plan.service.build.as_ref().filter(|_| builds) {
        let named = bases_of(build).await;
        let notes;
        (bases, notes) = logins::of_bases(config, &named, &env).await?;
        file.plan.notes.extend(notes);
    }
    // Only now: who is still asked for a passphrase is in nobody's way.
    let entered = state.enter(&file.plan, now)?;
    if entered.number != guess {
        // Somebody was faster: tags may hold the number.
        let (by, seals, notes) = (file.plan.by, file.plan.seals, file.plan.notes);
        file = draft(entered.number, config, request, by, now).await?;
        file.plan.seals = seals;
        file.plan.notes = notes;
    }
    file.plan.run = entered.run;
    let dir = state.create(&file)?;
    let handed = Handed {
        secrets,
        finish,
        logins,
        bases,
    };
    start(state.program(), &dir, &handed, &hidden).await?;
    // The run holds its place itself by now.
    drop(entered.place);
    Ok(file.plan.run)
}

/// The environment variables that secrets come from, which the run itself does not need.
fn variables<'a>(wanted: impl IntoIterator<Item = (&'a String, &'a Secret)>) -> impl Iterator<Item = String> {
    wanted.into_iter().filter_map(|(_, source)| match source {
        Secret::Env(name) => Some(name.clone()),
        Secret::Command(_) | Secret::File(_) => None,
    })
}

/// The logins for the registries of its images. A push needs them; a release falls back to a transfer.
async fn logins_of(
    config: &Config,
    file: &mut RunFile,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Logins, Fault> {
    let plan = &mut file.plan;
    let of = |name: &str| Reference::parse(name).map(|image| image.registry().to_owned());
    let mut wanted: BTreeSet<String> = plan.test_pushes().into_iter().flat_map(of).collect();
    let own = registry_of(&plan.service.image).to_owned();
    if plan.does_push() {
        wanted.insert(own.clone());
    }
    let named = plan.named_images().into_iter().flat_map(|(_, _, names)| names);
    let mut registries: BTreeSet<String> = named.flat_map(of).chain(wanted.clone()).collect();
    registries.extend(of(&plan.image));
    registries.insert(own);
    if !wanted.is_empty() {
        return logins::logins(config, &registries, &wanted, env).await;
    }
    let found = match plan.kind {
        RunKind::Build | RunKind::Adopt => Ok(Logins::new()),
        RunKind::Push | RunKind::Pipeline | RunKind::Test | RunKind::Deploy | RunKind::Rollback => {
            logins::logins(config, &registries, &wanted, env).await
        }
    };
    Ok(found.unwrap_or_else(|fault| {
        plan.notes
            .push(format!("{fault}: images are transferred through Pilothouse"));
        Logins::new()
    }))
}

/// Starts the runner of `dir` detached, in its own session.
pub(in crate::runs) async fn start(
    program: &Path,
    dir: &Path,
    handed: &Handed,
    hidden: &[String],
) -> Result<(), Fault> {
    let fault = |why: &dyn std::fmt::Display| {
        Fault::new(
            format!("start {} __run {}", program.display(), dir.display()),
            why,
        )
    };
    let stay = login::stay(&|name| std::env::var(name).ok()).await;
    let said = match started(stay, program, dir, handed, hidden).await {
        // The user's systemd would not: what it would have kept ends with the login.
        Ok(said) if said.is_empty() && stay == Stay::InScope && !journal::path(dir).exists() => {
            tracing::warn!(dir = %dir.display(), "systemd-run could not start the run; starting it without systemd-run");
            started(Stay::EndsWithLogin, program, dir, handed, hidden).await
        }
        said => said,
    };
    let said = said.map_err(|error| fault(&error))?;
    if said == READY {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&said);
    let words = words.trim();
    Err(fault(&if words.is_empty() {
        "it ended before it began"
    } else {
        words
    }))
}

/// Ends a runner that was reported as not begun, so that it cannot deploy later. SIGTERM first, since it may have begun just now.
async fn end(child: &mut tokio::process::Child) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(process) = id.and_then(Pid::from_raw) {
        // Who is gone by now needs no signal.
        kill_process(process, Signal::TERM).ok();
    }
    if tokio::time::timeout(END_LIMIT, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "a run that did not begin in time could not be stopped");
    }
}

/// The first message of the runner.
async fn started(
    stay: Stay,
    program: &Path,
    dir: &Path,
    handed: &Handed,
    hidden: &[String],
) -> std::io::Result<Vec<u8>> {
    let mut command = login::command(stay, program);
    command
        .arg("__run")
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    for name in hidden {
        command.env_remove(name);
    }
    // Where a person logged in for this program, the run needs nobody.
    command.envs(crate::hosts::ssh::hand_on());
    let mut child = command.spawn()?;
    let text = serde_json::to_vec(handed)?;
    let handing_over = async {
        if let Some(mut pipe) = child.stdin.take() {
            let given = async {
                pipe.write_all(&text).await?;
                pipe.shutdown().await
            };
            match given.await {
                // Who ended without taking it says why, or nothing.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                given => given?,
            }
        }
        let mut said = Vec::new();
        if let Some(mut pipe) = child.stdout.take() {
            let mut piece = [0; 256];
            while said.len() < 4096 && !said.ends_with(b"\n") {
                let read = pipe.read(&mut piece).await?;
                if read == 0 {
                    break;
                }
                said.extend_from_slice(piece.get(..read).unwrap_or_default());
            }
        }
        Ok::<_, std::io::Error>(said)
    };
    match tokio::time::timeout(START_LIMIT, handing_over).await {
        Ok(said) => said,
        Err(_elapsed) => {
            end(&mut child).await;
            Err(std::io::Error::other(format!(
                "it did not begin within {} s and was stopped",
                START_LIMIT.as_secs()
            )))
        }
    }
}

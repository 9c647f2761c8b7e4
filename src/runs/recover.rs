//! Taking up what a dead run left: from its journal here, or from its lock on a host when its bastion is gone.
//! Starts a runner as any run has; what is undone or finished is decided there.

use super::journal::Journal;
use super::launch::start;
use super::secrets::Secrets;
use super::state::{RunFile, State, is_alive};
use super::step::lock;
use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::order::Access;
use crate::domain::run::{Outcome, RunStatus};
use crate::hosts::{Daemon, connect};
use crate::release::facts::LockSeen;
use crate::release::record::Entry;
use crate::release::subject::Subject;

/// What was found to recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Follow it.
    Started(RunId),
    /// A run had changed nothing but its locks: they are gone.
    Unlocked {
        run: String,
        hosts: Vec<HostName>,
    },
    Nothing,
}

/// The run of that id; without one, the newest that died, here or on any host of the configuration.
pub async fn recover(state: &State, config: &Config, wanted: Option<RunId>) -> Result<Recovery, Fault> {
    if let Some(run) = &wanted
        && state.dir(run).is_dir()
    {
        return here(state, run).await;
    }
    if wanted.is_none() {
        let dead = super::list(state)
            .into_iter()
            .find(|view| view.status == RunStatus::Dead);
        if let Some(view) = dead {
            return here(state, &view.id).await;
        }
    }
    elsewhere(state, config, wanted.as_ref()).await
}

async fn here(state: &State, run: &RunId) -> Result<Recovery, Fault> {
    let dir = state.dir(run);
    let what = || format!("recover run {run}");
    if is_alive(&dir) {
        return Err(Fault::new(what(), "its process is alive").hint("follow it, or cancel it"));
    }
    let view = super::view(state, run)?;
    match view.status {
        RunStatus::Closed {
            outcome: Outcome::Converged | Outcome::Reverted { .. },
            ..
        } => return Err(Fault::new(what(), "it was closed, and nothing of it is left")),
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { .. },
            ..
        }
        | RunStatus::Running
        | RunStatus::Dead => {}
    }
    start(state.program(), &dir, &Secrets::new(), &[]).await?;
    Ok(Recovery::Started(run.clone()))
}

/// A stale lock on a host: its run's process was on a machine that may be gone.
async fn elsewhere(state: &State, config: &Config, wanted: Option<&RunId>) -> Result<Recovery, Fault> {
    let mut unreached: Vec<Fault> = Vec::new();
    for service in &config.services {
        let Some(deploy) = &service.deploy else { continue };
        let subject = Subject {
            service: service.name.clone(),
            environment: None,
        };
        let mut found: Vec<(Daemon, LockSeen)> = Vec::new();
        for name in &deploy.hosts {
            let Some(host) = config.host(name) else { continue };
            match connect(host, Access::Full).await {
                Ok(daemon) => {
                    let locks = lock::seen(&daemon, &subject)
                        .await
                        .map_err(|failure| failure.fault)?;
                    found.extend(locks.into_iter().map(|lock| (daemon.clone(), lock)));
                }
                Err(error) => unreached.push(error.fault()),
            }
        }
        let run = match wanted {
            Some(run) => Some(run.to_string()),
            None => found
                .iter()
                .find(|(_, lock)| lock.is_stale())
                .map(|(_, lock)| lock.run.clone()),
        };
        let Some(run) = run else { continue };
        found.retain(|(_, lock)| lock.run == run);
        if found.is_empty() {
            continue;
        }
        if let Some((_, lock)) = found.iter().find(|(_, lock)| !lock.is_stale()) {
            return Err(Fault::new(format!("recover run {run}"), lock.described())
                .hint("it is renewed: its process lives, wherever it is"));
        }
        return take_up(state, config, run, found).await;
    }
    match (wanted, unreached.into_iter().next()) {
        (_, Some(fault)) => Err(fault),
        (Some(run), None) => Err(Fault::new(
            format!("recover run {run}"),
            "neither this machine nor a lock on the hosts knows it",
        )),
        (None, None) => Ok(Recovery::Nothing),
    }
}

async fn take_up(
    state: &State,
    config: &Config,
    run: String,
    found: Vec<(Daemon, LockSeen)>,
) -> Result<Recovery, Fault> {
    let mut pinned = None;
    for (daemon, lock) in &found {
        let known = lock::pinned(daemon, &lock.id)
            .await
            .map_err(|failure| failure.fault)?;
        pinned = pinned.or(known);
    }
    let Some(pinned) = pinned else {
        // Every lock gets the decision before anything is changed: where none has it, nothing was.
        let mut hosts = Vec::new();
        for (daemon, lock) in &found {
            lock::remove(daemon, &lock.id)
                .await
                .map_err(|failure| failure.fault)?;
            hosts.push(daemon.name().clone());
        }
        return Ok(Recovery::Unlocked { run, hosts });
    };
    let hosts = pinned
        .plan
        .hosts()
        .iter()
        .filter_map(|name| config.host(name).cloned())
        .collect();
    let file = RunFile {
        plan: pinned.plan.clone(),
        hosts,
    };
    let dir = state.create(&file)?;
    let (mut journal, _) = Journal::open(&dir)?;
    journal.write(pinned.plan.started, Entry::Opened(Box::new(pinned.plan.clone())))?;
    journal.write(super::pen::now(), Entry::Decided(Box::new(pinned.decision)))?;
    drop(journal);
    start(state.program(), &dir, &Secrets::new(), &[]).await?;
    Ok(Recovery::Started(pinned.plan.run))
}

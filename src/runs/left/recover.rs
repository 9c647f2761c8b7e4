//! Recovers a dead run: from its journal on this machine, or from its lock on a host if its machine is gone.
//! Starts a runner like any other run; the runner decides whether to undo or to finish.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use super::unfinished;
use crate::config::{Config, Host, Service};
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::order::Access;
use crate::domain::plan::Wait;
use crate::domain::run::{Outcome, RunStatus};
use crate::hosts::{Daemon, Unreached, connect};
use crate::release::facts::LockSeen;
use crate::release::lease::left_runs;
use crate::release::record::{Entry, Failure, FailureKind};
use crate::release::subject::Subject;
use crate::runs::begin::compose;
use crate::runs::begin::launch::start;
use crate::runs::begin::secrets::Handed;
use crate::runs::disk::journal::Journal;
use crate::runs::disk::state::{RunFile, State, is_alive, may_end};
use crate::runs::process::finish::Finish;
use crate::runs::step::answer;
use crate::runs::step::lock::{self, Claim, Pinned};

/// The result of starting a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// A recovery was started; follow this run.
    Started(RunId),
    /// A run had changed nothing but its locks: they are gone.
    Unlocked { run: String, hosts: Vec<HostName> },
}

/// A lock of a dead run, and its daemon.
pub type Found = (Daemon, LockSeen);

/// Recovers the run with this id: by its journal on this machine, otherwise by its locks on the configured hosts.
pub async fn recover(
    state: &State,
    config: &Config,
    wanted: RunId,
    access: Access,
) -> Result<Recovery, Failure> {
    access.may_change("recover a run").map_err(Failure::refused)?;
    if state.dir(&wanted).is_dir() {
        return Box::pin(here(state, &wanted, Some(config)))
            .await
            .map_err(Failure::refused);
    }
    Box::pin(elsewhere(state, config, &wanted, access)).await
}

/// With a configuration, `on_finish` is notified of the result.
async fn here(state: &State, run: &RunId, config: Option<&Config>) -> Result<Recovery, Fault> {
    let dir = state.dir(run);
    let what = || format!("recover run {run}");
    if is_alive(&dir) {
        return Err(Fault::new(what(), "its process is alive").hint("follow it, or cancel it"));
    }
    let view = crate::runs::view(state, run)?;
    may_end(&dir, &what())?;
    match view.status {
        RunStatus::Closed {
            outcome: Outcome::Converged | Outcome::Reverted { .. },
            ..
        } => return Err(Fault::new(what(), "it has ended, and nothing is left to recover")),
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { .. },
            ..
        }
        | RunStatus::Running
        | RunStatus::Dead => {}
    }
    let env = |name: &str| std::env::var(name).ok();
    let mut handed = Handed::default();
    let mut hidden = Vec::new();
    if let Some(config) = config {
        handed.finish = Box::pin(Finish::resolve(config, &view.service, &env)).await;
        hidden.extend(config.private_variables().into_iter().map(str::to_owned));
    }
    start(state.program(), &dir, &handed, &hidden).await?;
    Ok(Recovery::Started(run.clone()))
}

/// Searches the hosts for a stale lock of the run, whose machine may be gone. Hosts that do not answer are ignored if another
/// one has the lock.
async fn elsewhere(
    state: &State,
    config: &Config,
    wanted: &RunId,
    access: Access,
) -> Result<Recovery, Failure> {
    let locks = unfinished::locks(config, access).await;
    for place in locks.places {
        let mut found = place.found;
        found.retain(|(_, lock)| lock.run == wanted.as_str());
        if found.is_empty() {
            continue;
        }
        let here = Here {
            state,
            known: &config.hosts,
            subject: &place.subject,
            service: place.service,
        };
        return Box::pin(take_up(here, wanted.as_str(), found)).await;
    }
    Err(locks.missing.into_iter().next().unwrap_or_else(|| {
        Failure::refused(Fault::new(
            format!("recover run {wanted}"),
            "neither this machine nor a lock on the hosts knows it",
        ))
    }))
}

/// The runs that were left, or may be, by what all the locks of a service say. The latest is first.
#[must_use]
pub fn left(subject: &Subject, found: &[Found]) -> Vec<String> {
    let locks = || found.iter().map(|(_, lock)| lock);
    let since = |run: &str| locks().find(|lock| lock.run == run).map(|lock| lock.since);
    let mut runs: Vec<&str> = left_runs(subject, locks()).into_iter().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(since(run)));
    runs.into_iter().map(str::to_owned).collect()
}

/// For how long these locks have to be watched before it is certain that nobody renews them, if they have to be.
#[must_use]
pub fn watching<'a>(subject: &Subject, locks: impl Iterator<Item = &'a LockSeen>) -> Option<Duration> {
    let doubtful = locks.filter(|lock| lock.is_doubtful(subject));
    doubtful.map(LockSeen::patience).max()
}

/// Its run, if its journal is on this machine.
fn known_here(state: &State, run: &str) -> Option<RunId> {
    RunId::parse(run).ok().filter(|id| state.dir(id).is_dir())
}

/// Whether its journal is on this machine and its process is not alive: then its locks need not be watched.
#[must_use]
pub fn died_here(state: &State, run: &str) -> bool {
    known_here(state, run).is_some_and(|id| !is_alive(&state.dir(&id)))
}

/// These locks once it is certain that nobody renews any of them, else who does. Those whose age no clock tells are
/// watched, all at once.
pub async fn watched(subject: &Subject, found: Vec<Found>) -> Result<Vec<Found>, Failure> {
    let looked = found.into_iter().map(|(daemon, lock)| async move {
        let lock = lock::watched(&daemon, subject, lock).await?;
        Ok((daemon, lock))
    });
    try_join_all(looked).await
}

/// What is known here of a service whose locks were found.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    pub state: &'a State,
    /// All configured hosts; the run's own may have other names here.
    pub known: &'a [Host],
    pub subject: &'a Subject,
    /// The service in this configuration; for a run known from its locks only, stages that differ are not run.
    pub service: &'a Service,
}

/// Recovers the run of these locks: by its journal if it is here, otherwise from what the locks say.
pub async fn take_up(here: Here<'_>, run: &str, found: Vec<Found>) -> Result<Recovery, Failure> {
    let Here {
        state,
        known,
        subject,
        service,
    } = here;
    let what = || format!("recover run {run}");
    let locked = |fault: Fault| Failure::of(FailureKind::Locked, fault);
    if let Some((_, lock)) = found.iter().find(|(_, lock)| !lock.may_be_left(subject)) {
        return Err(locked(Fault::new(what(), lock.described()).hint(
            "the lock is still being renewed, so its process is alive somewhere",
        )));
    }
    if let Some(id) = known_here(state, run) {
        return self::here(state, &id, None).await.map_err(locked);
    }
    let found = watched(subject, found).await?;
    let Some(mut pinned) = pinned(&found).await? else {
        // Every lock gets the decision before anything is changed: where none has it, nothing was.
        for (daemon, lock) in &found {
            lock::take_away(daemon, subject, lock).await?;
        }
        let mut hosts = Vec::new();
        for (daemon, lock) in &found {
            lock::remove(daemon, &lock.id).await?;
            hosts.push(daemon.name().clone());
        }
        let run = run.to_owned();
        return Ok(Recovery::Unlocked { run, hosts });
    };
    if pinned.plan.run.as_str() != run || pinned.plan.subject != *subject {
        let why = format!(
            "its lock holds the plan of {} of {}",
            pinned.plan.run, pinned.plan.subject
        );
        return Err(Failure::refused(
            Fault::new(what(), why).hint(format!("pilothouse unlock {subject}")),
        ));
    }
    let mut said = service.clone();
    if let Err(fault) = compose::complete(&mut said) {
        // What stands on a file that is not here is not the same.
        tracing::debug!(%fault, "the service cannot be compared completely");
    }
    pinned.plan.withhold(&said);
    let hosts = hosts_of(&pinned, known).await?;
    // The run that goes on knows nothing of what was watched here, and would do it again host by host.
    for (daemon, lock) in found.iter().filter(|(_, lock)| !lock.watched.is_zero()) {
        lock::take_away(daemon, subject, lock).await?;
    }
    claim(&pinned, &hosts, &found).await?;
    let file = RunFile {
        plan: pinned.plan,
        hosts,
        known: known.to_vec(),
        wait: Wait::No,
        behind: Vec::new(),
    };
    let begun = async {
        let dir = state.create(&file)?;
        let (mut journal, _) = Journal::open(&dir)?;
        journal.write(file.plan.started, Entry::Opened(Box::new(file.plan.clone())))?;
        journal.write(
            crate::runs::process::pen::now(),
            Entry::Decided(Box::new(pinned.decision)),
        )?;
        drop(journal);
        start(state.program(), &dir, &Handed::default(), &[]).await
    };
    begun.await.map_err(Failure::refused)?;
    Ok(Recovery::Started(file.plan.run))
}

/// The plan and decision stored in any of these locks. `None` is returned only if every lock could be read.
async fn pinned(found: &[Found]) -> Result<Option<Pinned>, Failure> {
    let mut unread = None;
    for (daemon, lock) in found {
        match lock::pinned(daemon, &lock.id).await {
            Ok(Some(pinned)) => return Ok(Some(pinned)),
            Ok(None) => {}
            Err(failure) => unread = unread.or(Some(failure)),
        }
    }
    unread.map_or(Ok(None), Err)
}

/// Takes over the lock of the host whose ledger decides, so that only one of several recoveries proceeds.
async fn claim(pinned: &Pinned, hosts: &[Host], found: &[Found]) -> Result<(), Failure> {
    let plan = &pinned.plan;
    let subject = &plan.subject;
    let first = pinned.decision.order.first();
    let host = hosts
        .iter()
        .find(|host| Some(&host.name) == first)
        .ok_or_else(|| {
            Failure::refused(Fault::new(
                format!("recover run {}", plan.run),
                "its decision names no host",
            ))
        })?;
    let daemon = connect(host, Access::Full)
        .await
        .map_err(|unreached| Failure::of(FailureKind::Unreachable, unreached.fault()))?;
    let machine = crate::runs::who().machine;
    let claim = Claim {
        plan,
        machine: &machine,
        pinned: Some(pinned),
    };
    let id = daemon.id().map_err(answer::unidentified)?;
    let here: Vec<&LockSeen> = found
        .iter()
        .filter(|(there, _)| there.id().is_ok_and(|there| there == id))
        .map(|(_, lock)| lock)
        .collect();
    let name = subject.lock_name();
    let named = here.iter().find(|lock| lock.name == name).or(here.first());
    if let Some(stale) = named {
        lock::steal(&daemon, claim, stale).await?;
        return Ok(());
    }
    // Its lock there was pruned: the others' is the proof that it is not recovered yet.
    let own = lock::take(&daemon, claim).await?;
    for (there, stale) in found {
        if lock::seen(there, subject)
            .await?
            .iter()
            .any(|lock| lock.id == stale.id)
        {
            return Ok(());
        }
    }
    lock::remove(&daemon, &own).await?;
    Err(lock::gone(&daemon, subject))
}

/// The hosts of another machine's plan in this configuration, matched by daemon id.
async fn hosts_of(pinned: &Pinned, known: &[Host]) -> Result<Vec<Host>, Failure> {
    let id_of = |host: Host| async move {
        let daemon = connect(&host, Access::ReadOnly).await.ok()?;
        Some((daemon.id().ok()?.to_owned(), host))
    };
    let mut hosts = Vec::new();
    let mut all: Option<Vec<(String, Host)>> = None;
    for name in pinned.plan.hosts() {
        let same = known.iter().find(|host| host.name == name);
        let Some(wanted) = pinned.decision.daemons.get(&name) else {
            // It was not looked at when the run was decided: then it is not needed to recover it.
            hosts.extend(same.cloned());
            continue;
        };
        if let Some(host) = same {
            match connect(host, Access::ReadOnly).await.map_err(Unreached::fault) {
                Ok(daemon) if daemon.id().is_ok_and(|id| id != wanted) => {}
                // Whether it is the one is looked at again when it answers.
                Ok(_) | Err(_) => {
                    hosts.push(host.clone());
                    continue;
                }
            }
        }
        if all.is_none() {
            let looked = join_all(known.iter().cloned().map(id_of)).await;
            all = Some(looked.into_iter().flatten().collect());
        }
        let found = all.iter().flatten().find(|(id, _)| id == wanted);
        match found {
            Some((_, host)) => hosts.push(Host {
                name: name.clone(),
                ..host.clone()
            }),
            None if !pinned.plan.targets.contains(&name) => {}
            None => {
                return Err(Failure::refused(
                    Fault::new(
                        format!("recover run {}", pinned.plan.run),
                        format!(
                            "no reachable host of the configuration is its host {name} (daemon {wanted})"
                        ),
                    )
                    .hint("add that host to the configuration, or recover on a machine that has it"),
                ));
            }
        }
    }
    Ok(hosts)
}

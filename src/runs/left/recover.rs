//! Taking up what a dead run left: from its journal here, or from its lock on a host when its bastion is gone.
//! Starts a runner as any run has; what is undone or finished is decided there.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::unfinished;
use crate::config::{Config, Host, Service};
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::order::Access;
use crate::domain::plan::Wait;
use crate::domain::run::{Outcome, RunStatus};
use crate::hosts::{Daemon, Unreached, connect};
use crate::release::facts::LockSeen;
use crate::release::record::{Entry, Failure, FailureKind};
use crate::release::subject::Subject;
use crate::runs::begin::compose;
use crate::runs::begin::launch::start;
use crate::runs::begin::secrets::Handed;
use crate::runs::disk::journal::Journal;
use crate::runs::disk::state::{RunFile, State, is_alive, may_end};
use crate::runs::process::finish::Finish;
use crate::runs::step::lock::{self, Claim, Pinned};

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

/// A lock of a run that was left, and the daemon it is on.
pub type Found = (Daemon, LockSeen);

/// The run of that id: by its journal here, else by its locks on any host of the configuration.
pub async fn recover(
    state: &State,
    config: &Config,
    wanted: RunId,
    access: Access,
) -> Result<Recovery, Failure> {
    if access == Access::ReadOnly {
        let fault = Fault::new("recover a run", "Pilothouse was started with --read-only");
        return Err(Failure::refused(fault));
    }
    if state.dir(&wanted).is_dir() {
        return Box::pin(here(state, &wanted, Some(config)))
            .await
            .map_err(Failure::refused);
    }
    Box::pin(elsewhere(state, config, &wanted, access)).await
}

/// With a configuration, the result is told to whom it names.
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
        } => return Err(Fault::new(what(), "it was closed, and nothing of it is left")),
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

/// A stale lock on a host: its run's process was on a machine that may be gone. A host that does not answer is of no
/// consequence where another has the lock.
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
        return Box::pin(take_up(here, found)).await;
    }
    Err(locks.missing.into_iter().next().unwrap_or_else(|| {
        Failure::refused(Fault::new(
            format!("recover run {wanted}"),
            "neither this machine nor a lock on the hosts knows it",
        ))
    }))
}

/// The runs that were left, by what all the locks of a service say: none that is renewed anywhere. The latest is first.
#[must_use]
pub fn left(subject: &Subject, found: &[Found]) -> Vec<String> {
    let mut runs: BTreeMap<&str, _> = BTreeMap::new();
    for (_, lock) in found {
        if lock.is_left(subject)
            && !found
                .iter()
                .any(|(_, other)| other.run == lock.run && !other.is_left(subject))
        {
            runs.entry(lock.run.as_str()).or_insert(lock.since);
        }
    }
    let mut runs: Vec<_> = runs.into_iter().collect();
    runs.sort_by_key(|(run, since)| (std::cmp::Reverse(*since), *run));
    runs.into_iter().map(|(run, _)| run.to_owned()).collect()
}

/// What is known here of a service whose locks were found.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    pub state: &'a State,
    /// The hosts that can be reached from here, the run's own among them under whatever name.
    pub known: &'a [Host],
    pub subject: &'a Subject,
    /// As this configuration has it: no other work is done for a run that is known from its locks alone.
    pub service: &'a Service,
}

/// Recovers the run of these locks: by its journal if it is here, otherwise from what the locks say.
pub async fn take_up(here: Here<'_>, found: Vec<Found>) -> Result<Recovery, Failure> {
    let Here {
        state,
        known,
        subject,
        service,
    } = here;
    let Some((_, first)) = found.first() else {
        return Ok(Recovery::Nothing);
    };
    let run = first.run.clone();
    let what = || format!("recover run {run}");
    let locked = |fault: Fault| Failure::of(FailureKind::Locked, fault);
    if let Some((_, lock)) = found.iter().find(|(_, lock)| !lock.is_left(subject)) {
        return Err(locked(
            Fault::new(what(), lock.described()).hint("it is renewed: its process lives, wherever it is"),
        ));
    }
    if let Ok(id) = RunId::parse(&run)
        && state.dir(&id).is_dir()
    {
        return self::here(state, &id, None).await.map_err(locked);
    }
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
        tracing::debug!(%fault, "the service cannot be compared wholly");
    }
    pinned.plan.withhold(&said);
    let hosts = hosts_of(&pinned, known).await?;
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

/// What any of these locks says of its run; that none says anything is known only where all can be read.
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

/// Takes the lock of the host whose ledger says whether the run was committed: of several who would recover it, one may.
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
    let here: Vec<&LockSeen> = found
        .iter()
        .filter(|(there, _)| there.engine().daemon_id == daemon.engine().daemon_id)
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

/// How the hosts of another bastion's plan are reached from here: the same daemons, whatever they are called here.
async fn hosts_of(pinned: &Pinned, known: &[Host]) -> Result<Vec<Host>, Failure> {
    let id_of = |host: Host| async move {
        let daemon = connect(&host, Access::ReadOnly).await.ok()?;
        Some((daemon.engine().daemon_id.clone(), host))
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
                Ok(daemon) if daemon.engine().daemon_id != *wanted => {}
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
                        format!("no host of the configuration that answers is its {name} (daemon {wanted})"),
                    )
                    .hint("add that host to the configuration, or recover it where it is known"),
                ));
            }
        }
    }
    Ok(hosts)
}

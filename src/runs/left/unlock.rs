//! Removes a lock by hand: on every reachable host of the service or its environment, with a reason.
//! Refused while the holder renews the lock. What the run left is reported, not undone; the ledgers record who did it and why.

use std::time::Duration;

use futures_util::future::join_all;
use serde::Serialize;

use super::recover;
use crate::config::{Config, Host};
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::hosts::{Daemon, Unreached, connect};
use crate::release::facts::LockSeen;
use crate::release::ledger::Unlocked;
use crate::release::plan::Actor;
use crate::release::record::{Failure, FailureKind};
use crate::release::subject::Subject;
use crate::runs::step::{ledger, lock};

/// The result of unlocking a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unlocking {
    pub removed: Vec<RemovedLock>,
    /// Locks that are still renewed and were not removed.
    pub renewed: Vec<Fault>,
    /// Hosts that did not answer, whose locks remain.
    pub unreached: Vec<Fault>,
    /// Locks that could not be removed for another reason.
    pub failed: Vec<Fault>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemovedLock {
    pub host: HostName,
    /// Its description: holder, age.
    pub lock: String,
}

/// A person's word.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    pub reason: &'a str,
    pub by: &'a Actor,
    /// Called before locks are watched whose age no clock tells, with how long that takes.
    pub watching: &'a (dyn Fn(Duration) + Sync),
}

/// Refused as locked while any of the locks is renewed.
pub async fn unlock(
    config: &Config,
    subject: &Subject,
    said: Said<'_>,
    access: Access,
) -> Result<Unlocking, Failure> {
    access
        .may_change(format!("unlock {subject}"))
        .map_err(Failure::refused)?;
    let mut unlocking = Unlocking::default();
    let mut found = Vec::new();
    let looked = hosts_of(config, subject)?.into_iter().map(|host| async move {
        let unreached = |unreached: Unreached| Failure::of(FailureKind::Unreachable, unreached.fault());
        let daemon = connect(host, access).await.map_err(unreached)?;
        let locks = lock::seen(&daemon, subject).await?;
        Ok::<_, Failure>((daemon, locks))
    });
    for looked in join_all(looked).await {
        match looked {
            Ok((daemon, locks)) => found.extend(locks.into_iter().map(|lock| (daemon.clone(), lock))),
            Err(failure) if failure.kind == FailureKind::Unreachable => {
                unlocking.unreached.push(failure.fault);
            }
            Err(failure) => return Err(failure),
        }
    }
    // All of them before the first is removed.
    for (daemon, lock) in &found {
        not_renewed(daemon, subject, lock).map_err(|fault| Failure::of(FailureKind::Locked, fault))?;
    }
    if let Some(span) = recover::watching(subject, found.iter().map(|(_, lock)| lock)) {
        (said.watching)(span);
    }
    let found = recover::watched(subject, found).await?;
    for (daemon, stale) in found {
        match one(&daemon, subject, &stale, said).await {
            Ok(One::Removed(removed)) => unlocking.removed.push(removed),
            Ok(One::Renewed(fault)) => unlocking.renewed.push(fault),
            Ok(One::Gone) => {}
            // What was done on the other hosts is reported all the same.
            Err(failure) if failure.kind == FailureKind::Unreachable => {
                unlocking.unreached.push(failure.fault);
            }
            Err(failure) => unlocking.failed.push(failure.fault),
        }
    }
    Ok(unlocking)
}

/// What became of one lock.
enum One {
    Removed(RemovedLock),
    Renewed(Fault),
    Gone,
}

async fn one(daemon: &Daemon, subject: &Subject, stale: &LockSeen, said: Said<'_>) -> Result<One, Failure> {
    // Its holder may have come back while the others were looked at.
    let Some(lock) = lock::again(daemon, subject, stale).await? else {
        return Ok(One::Gone);
    };
    if !lock.is_same_lease(stale) {
        return Ok(One::Renewed(renewed(daemon, subject, &lock)));
    }
    let words = removed(daemon, subject, &lock, said).await?;
    Ok(One::Removed(RemovedLock {
        host: daemon.name().clone(),
        lock: words,
    }))
}

fn hosts_of<'a>(config: &'a Config, subject: &Subject) -> Result<Vec<&'a Host>, Failure> {
    let what = || format!("unlock {subject}");
    let known = config
        .service_in(&subject.service, subject.environment.as_deref())
        .map_err(Failure::refused)?;
    let deploy = known.deploy.as_ref().ok_or_else(|| {
        let fault = Fault::new(what(), "it is not deployed anywhere");
        Failure::refused(if known.environments.is_empty() {
            fault
        } else {
            fault.hint(known.environment_words())
        })
    })?;
    let host = |name| {
        config.host(name).ok_or_else(|| {
            let fault = Fault::new(what(), format!("the configuration has no host {name}"));
            Failure::refused(fault)
        })
    };
    deploy.hosts.iter().map(host).collect()
}

fn not_renewed(daemon: &Daemon, subject: &Subject, lock: &LockSeen) -> Result<(), Fault> {
    if lock.is_stale() || lock.ahead().is_some() {
        return Ok(());
    }
    Err(renewed(daemon, subject, lock))
}

fn renewed(daemon: &Daemon, subject: &Subject, lock: &LockSeen) -> Fault {
    let what = format!("unlock {subject} on {}", daemon.name());
    Fault::new(what, lock.described()).hint(format!(
        "its lock is still being renewed: use pilothouse cancel {} to end it properly",
        lock.run
    ))
}

async fn removed(
    daemon: &Daemon,
    subject: &Subject,
    lock: &LockSeen,
    said: Said<'_>,
) -> Result<String, Failure> {
    let Said { reason, by, .. } = said;
    tracing::warn!(host = %daemon.name(), run = lock.run, by = by.login, reason, "unlocked by hand");
    lock::remove(daemon, &lock.id).await?;
    let unlocked = Unlocked {
        at: crate::runs::process::pen::now(),
        by: by.login.clone(),
        machine: by.machine.clone(),
        why: reason.to_owned(),
        unlocked: lock.run.clone(),
    };
    let mut words = lock.described();
    // A ledger that cannot be written is no reason to keep the lock, and none to be silent.
    if let Err(failure) = ledger::note(daemon, subject, unlocked).await {
        words = format!(
            "{words}; the reason could not be written to its ledger: {}",
            failure.fault
        );
    }
    Ok(words)
}

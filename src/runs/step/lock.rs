//! The lock of a service on one host: a never-started container whose name only one run can have, with a lease inside.
//! A fence, not a sign: its holder looks at it by id before every change, and a stale one is taken by renaming it by id.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
};
use serde::{Deserialize, Serialize};

use super::answer::{change, failure, status};
use super::archive::Lying;
use super::{archive, replicas, shell};
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::domain::units::Stamp;
use crate::hosts::Daemon;
use crate::release::decision::Decision;
use crate::release::facts::LockSeen;
use crate::release::plan::Plan;
use crate::release::record::{Failure, FailureKind};
use crate::release::subject::Subject;

const MACHINE: &str = "pilothouse.machine";
const REASON: &str = "pilothouse.reason";
const LEASE: &str = "lease.json";
const RUN: &str = "run.json";
/// Nobody calls a lock stale that was made so short a time ago, whatever is in it.
const YOUNG: Duration = Duration::from_mins(1);
/// Between removing a lease and writing it anew a daemon takes milliseconds, and a busy one tenths of a second.
const LOOKS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Serialize, Deserialize)]
struct Lease {
    /// By the daemon's own clock.
    renewed: Stamp,
    stage: Option<String>,
}

/// What is left to know of a run when its bastion is gone: written into every lock before anything is changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    pub plan: Plan,
    pub decision: Decision,
}

/// Who wants the lock.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub plan: &'a Plan,
    /// The machine that this process runs on: whose run it was may have been another.
    pub machine: &'a str,
    /// When an earlier process's run is taken up.
    pub pinned: Option<&'a Pinned>,
}

/// Takes the lock, or says who holds it. A lock of the same run is taken up again: at once if its holder was on this
/// machine (whose process is known to be gone), otherwise only when it is stale.
pub async fn take(daemon: &Daemon, claim: Claim<'_>) -> Result<ContainerId, Failure> {
    let Claim {
        plan,
        machine,
        pinned,
    } = claim;
    let name = plan.subject.lock_name();
    for _ in 0..3 {
        let locks = seen(daemon, &plan.subject).await?;
        match locks.iter().find(|lock| lock.name == name) {
            Some(lock) if lock.run == plan.run.as_str() && lock.machine == machine => {
                renew(daemon, &lock.id, "recovery").await?;
                return Ok(lock.id.clone());
            }
            Some(lock) if lock.run == plan.run.as_str() && lock.is_stale() && pinned.is_some() => {
                return steal(daemon, claim, lock).await;
            }
            Some(lock) => return Err(held(daemon, &plan.subject, lock)),
            None => {}
        }
        let Some(id) = shell::create(daemon, &name, labels(plan, machine), Vec::new()).await? else {
            // Somebody was faster: who?
            continue;
        };
        let id = ContainerId::parse(&id).map_err(Failure::refused)?;
        renew(daemon, &id, "lock").await?;
        if let Some(pinned) = pinned {
            pin(daemon, &id, pinned).await?;
            remove_others(daemon, plan, &id, &locks).await?;
        }
        return Ok(id);
    }
    Err(Failure::of(
        FailureKind::Locked,
        Fault::new(locking(daemon, &plan.subject), "others take it again and again"),
    ))
}

fn locking(daemon: &Daemon, subject: &Subject) -> String {
    format!("lock {subject} on {}", daemon.name())
}

fn held(daemon: &Daemon, subject: &Subject, lock: &LockSeen) -> Failure {
    let fault = Fault::new(locking(daemon, subject), lock.described());
    let fault = if lock.is_stale() {
        fault.hint(format!(
            "its process seems to be gone: pilothouse recover {} undoes or finishes what it left",
            lock.run
        ))
    } else {
        fault.hint("wait for it, or follow it where it runs")
    };
    Failure::of(FailureKind::Locked, fault)
}

fn labels(plan: &Plan, machine: &str) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (label::ROLE.to_owned(), "lock".to_owned()),
        (label::SCHEMA.to_owned(), "1".to_owned()),
        (label::SERVICE.to_owned(), plan.subject.service.to_string()),
        (label::RUN.to_owned(), plan.run.to_string()),
        (label::ACTOR.to_owned(), plan.by.login.clone()),
        (MACHINE.to_owned(), machine.to_owned()),
    ]);
    labels.extend(
        plan.subject
            .environment
            .clone()
            .map(|name| (label::ENVIRONMENT.to_owned(), name)),
    );
    labels.extend(plan.reason.clone().map(|reason| (REASON.to_owned(), reason)));
    labels
}

/// Takes a stale lock of the claimed run over: out of the way, then an own one under the name. Exactly one of several
/// who try wins: the others find it renamed or gone, or the name taken, and are told who was faster.
pub async fn steal(daemon: &Daemon, claim: Claim<'_>, stale: &LockSeen) -> Result<ContainerId, Failure> {
    let Claim {
        plan,
        machine,
        pinned,
    } = claim;
    let name = plan.subject.lock_name();
    take_away(daemon, &plan.subject, stale).await?;
    let Some(id) = shell::create(daemon, &name, labels(plan, machine), Vec::new()).await? else {
        return Err(beaten(daemon, &plan.subject).await);
    };
    let id = ContainerId::parse(&id).map_err(Failure::refused)?;
    let locks = seen(daemon, &plan.subject).await?;
    if !locks.iter().any(|lock| lock.id == stale.id) {
        // Somebody recovered it wholly since it was looked at.
        remove(daemon, &id).await?;
        return Err(beaten(daemon, &plan.subject).await);
    }
    renew(daemon, &id, "recovery").await?;
    if let Some(pinned) = pinned {
        pin(daemon, &id, pinned).await?;
    }
    remove_others(daemon, plan, &id, &locks).await?;
    Ok(id)
}

/// Renames a lock by id, if it is left still: its holder may have come back since somebody looked, or in this very
/// moment. Then it has its name again, and is held.
pub async fn take_away(daemon: &Daemon, subject: &Subject, stale: &LockSeen) -> Result<(), Failure> {
    let Some(lock) = again(daemon, subject, stale).await? else {
        return Err(beaten(daemon, subject).await);
    };
    if !lock.is_left(subject) {
        return Err(held(daemon, subject, &lock));
    }
    let name = subject.lock_name();
    if lock.name != name {
        return Ok(());
    }
    rename(
        daemon,
        subject,
        &lock.id,
        &subject.taken_lock_name(lock.id.short()),
    )
    .await?;
    match again(daemon, subject, &lock).await? {
        Some(now) if !now.is_stale() => {
            rename(daemon, subject, &now.id, &name).await?;
            Err(held(daemon, subject, &now))
        }
        Some(_) | None => Ok(()),
    }
}

async fn again(daemon: &Daemon, subject: &Subject, lock: &LockSeen) -> Result<Option<LockSeen>, Failure> {
    let locks = seen(daemon, subject).await?;
    Ok(locks.into_iter().find(|known| known.id == lock.id))
}

async fn rename(daemon: &Daemon, subject: &Subject, id: &ContainerId, name: &str) -> Result<(), Failure> {
    let options = RenameContainerOptionsBuilder::default().name(name).build();
    match change(daemon)?.rename_container(id.as_str(), options).await {
        Ok(()) => Ok(()),
        Err(error) if status(&error).is_some() => Err(beaten(daemon, subject).await),
        Err(error) => Err(failure(daemon, "take the stale lock", &error)),
    }
}

/// The earlier locks of the same run: what they said is in the new one.
async fn remove_others(
    daemon: &Daemon,
    plan: &Plan,
    own: &ContainerId,
    locks: &[LockSeen],
) -> Result<(), Failure> {
    let others = locks
        .iter()
        .filter(|lock| lock.run == plan.run.as_str() && lock.id != *own);
    for lock in others {
        remove(daemon, &lock.id).await?;
    }
    Ok(())
}

async fn beaten(daemon: &Daemon, subject: &Subject) -> Failure {
    match holder(daemon, subject).await {
        Some(lock) => held(daemon, subject, &lock),
        None => gone(daemon, subject),
    }
}

/// Somebody took it away meanwhile.
#[must_use]
pub fn gone(daemon: &Daemon, subject: &Subject) -> Failure {
    let fault = Fault::new(locking(daemon, subject), "somebody else was faster").hint("look again");
    Failure::of(FailureKind::Locked, fault)
}

/// Who has it now, if that can be seen.
pub async fn holder(daemon: &Daemon, subject: &Subject) -> Option<LockSeen> {
    let locks = seen(daemon, subject).await.ok()?;
    let name = subject.lock_name();
    locks.into_iter().find(|lock| lock.name == name)
}

/// Every lock of the service there, taken ones included.
pub async fn seen(daemon: &Daemon, subject: &Subject) -> Result<Vec<LockSeen>, Failure> {
    let found = replicas::labelled(daemon, &format!("{}=lock", label::ROLE)).await?;
    let mut locks = Vec::new();
    for summary in found {
        let labels = summary.labels.unwrap_or_default();
        let label_of = |key: &str| labels.get(key).map(String::as_str);
        if !subject.owns(label_of) {
            continue;
        }
        let Some(id) = summary.id.and_then(|id| ContainerId::parse(&id).ok()) else {
            continue;
        };
        let name = summary
            .names
            .unwrap_or_default()
            .into_iter()
            .next()
            .unwrap_or_default();
        let since = Stamp::from_seconds(summary.created.unwrap_or(0));
        let lease = lease(daemon, &id, since).await?;
        locks.push(LockSeen {
            name: name.trim_start_matches('/').to_owned(),
            run: labels.get(label::RUN).cloned().unwrap_or_default(),
            actor: labels.get(label::ACTOR).cloned().unwrap_or_default(),
            machine: labels.get(MACHINE).cloned().unwrap_or_default(),
            reason: labels.get(REASON).cloned(),
            since,
            renewed: lease.renewed,
            stage: lease.stage,
            now: clock(daemon).await?,
            id,
        });
    }
    Ok(locks)
}

/// Every 20 s its holder writes it anew, and for a moment there is none: a lock that would be stale without its lease is
/// looked at again before anybody takes it. One that cannot be read (half of one, or nothing, on a full disk) was
/// written at the moment that its file says.
async fn lease(daemon: &Daemon, id: &ContainerId, since: Stamp) -> Result<Lease, Failure> {
    let mut lease = unread(since);
    for _ in 0..LOOKS {
        let file = archive::lying(daemon, id.as_str(), &format!("/{LEASE}")).await?;
        let now = clock(daemon).await?;
        lease = file.map_or_else(|| unread(since), |file| judged(&file, since, now));
        if lease.stage.is_some() || lease.renewed.until(now) < YOUNG {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(lease)
}

/// What it says, else when it was written: not before its lock was made, and not at a moment that is to come.
fn judged(file: &Lying, since: Stamp, now: Stamp) -> Lease {
    read(file).unwrap_or_else(|| {
        let written = i64::try_from(file.modified).map_or(since, Stamp::from_seconds);
        unread(if written <= now { since.max(written) } else { since })
    })
}

fn unread(renewed: Stamp) -> Lease {
    Lease { renewed, stage: None }
}

/// The daemon's clock: ages are judged by it, never between two machines.
async fn clock(daemon: &Daemon) -> Result<Stamp, Failure> {
    let info = daemon
        .read()
        .info()
        .await
        .map_err(|error| failure(daemon, "ask for the time", &error))?;
    let text = info.system_time.unwrap_or_default();
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        Failure::refused(Fault::new(format!("read the clock of {}", daemon.name()), error))
    })?;
    Ok(Stamp(i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)))
}

fn read(file: &Lying) -> Option<Lease> {
    serde_json::from_slice(&file.content).ok()
}

/// The holder lives: so says the file, once it can be read back.
pub async fn renew(daemon: &Daemon, id: &ContainerId, stage: &str) -> Result<(), Failure> {
    let what = || format!("write the lease on {}", daemon.name());
    let renewed = clock(daemon).await?;
    let lease = Lease {
        renewed,
        stage: Some(stage.to_owned()),
    };
    let text = serde_json::to_vec(&lease).map_err(|error| Failure::refused(Fault::new(what(), error)))?;
    let dated = ("/", LEASE, u64::try_from(renewed.seconds()).unwrap_or(0));
    archive::put_dated(daemon, id.as_str(), dated, &text).await?;
    match archive::lying(daemon, id.as_str(), &format!("/{LEASE}")).await? {
        // Or a later one: who keeps the lease, and who comes back, may both write it.
        Some(file) if read(&file).is_some_and(|lease| lease.renewed >= renewed) => Ok(()),
        Some(_) | None => Err(Failure::refused(Fault::new(
            what(),
            "what was written cannot be read back",
        ))),
    }
}

pub async fn pin(daemon: &Daemon, id: &ContainerId, pinned: &Pinned) -> Result<(), Failure> {
    let text = serde_json::to_vec(pinned)
        .map_err(|error| Failure::refused(Fault::new("write the decision down", error)))?;
    archive::put(daemon, id.as_str(), "/", RUN, &text).await
}

/// What the holder of this lock had decided; `None`: it had changed nothing yet.
pub async fn pinned(daemon: &Daemon, id: &ContainerId) -> Result<Option<Pinned>, Failure> {
    let files = archive::get(daemon, id.as_str(), &format!("/{RUN}")).await?;
    files
        .get(RUN)
        .map(|text| {
            serde_json::from_str(text).map_err(|error| {
                Failure::refused(Fault::new(
                    format!("read what the lock on {} says of its run", daemon.name()),
                    error,
                ))
            })
        })
        .transpose()
}

/// What every run under way on the host has decided, whichever service's it is.
pub(super) async fn all_pinned(daemon: &Daemon) -> Result<Vec<Pinned>, Failure> {
    let mut all = Vec::new();
    for summary in replicas::labelled(daemon, &format!("{}=lock", label::ROLE)).await? {
        if let Some(id) = summary.id.and_then(|id| ContainerId::parse(&id).ok()) {
            all.extend(pinned(daemon, &id).await?);
        }
    }
    Ok(all)
}

/// Asked before every change: is the lock still there, and still ours?
pub async fn is_ours(daemon: &Daemon, subject: &Subject, id: &ContainerId) -> Result<(), Failure> {
    let lost = match daemon
        .read()
        .inspect_container(id.as_str(), None::<InspectContainerOptions>)
        .await
    {
        Ok(seen) => {
            let name = seen.name.unwrap_or_default();
            if name.trim_start_matches('/') == subject.lock_name() {
                return Ok(());
            }
            "somebody took the lock of this run"
        }
        Err(error) if status(&error) == Some(404) => "the lock of this run is gone",
        Err(error) => return Err(failure(daemon, "look at the lock", &error)),
    };
    let why = match holder(daemon, subject).await {
        Some(lock) => format!("{lost}: it is {}", lock.described()),
        None => lost.to_owned(),
    };
    let what = format!("go on with {subject} on {}", daemon.name());
    Err(Failure::of(FailureKind::Fenced, Fault::new(what, why)))
}

/// Whatever locks of this run are there; none is no fault.
pub async fn release(daemon: &Daemon, subject: &Subject, run: &str) -> Result<(), Failure> {
    for lock in seen(daemon, subject).await?.iter().filter(|lock| lock.run == run) {
        remove(daemon, &lock.id).await?;
    }
    let left = seen(daemon, subject).await?;
    match left.iter().find(|lock| lock.run == run) {
        None => Ok(()),
        Some(lock) => Err(Failure::refused(Fault::new(
            format!("unlock {subject} on {}", daemon.name()),
            format!("the lock {} is still there", lock.id.short()),
        ))),
    }
}

pub async fn remove(daemon: &Daemon, id: &ContainerId) -> Result<(), Failure> {
    // It never ran: there is nothing that force could interrupt.
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    match change(daemon)?.remove_container(id.as_str(), Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(status(&error), Some(404)) => Ok(()),
        // Being removed already.
        Err(error) if matches!(status(&error), Some(409)) => Ok(()),
        Err(error) => Err(failure(daemon, "remove the lock", &error)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_lies_in_the_place_of_a_lease_its_lock_is_as_old_as_the_file(
            content in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "\\PC{0,60}".prop_map(String::into_bytes),
                "\\{\"renewed\": ?[-0-9e.\"]{0,30}(,\"stage\":)?".prop_map(String::into_bytes),
            ],
            modified: u64,
            since: i64,
            now: i64,
            label in "\\PC{0,40}|[\u{0}-\u{1f}]{0,9}",
        ) {
            let (since, now) = (Stamp(since), Stamp(now));
            let file = Lying { content, mode: 0, uid: 0, gid: 0, modified };
            let lease = judged(&file, since, now);
            if read(&file).is_none() {
                prop_assert!(lease.renewed >= since && lease.renewed <= now.max(since));
                let dated = Lying { modified: u64::try_from(now.seconds()).unwrap_or(0), ..file };
                let fresh = judged(&dated, since, now);
                prop_assert!(now.seconds() < 0 || fresh.renewed.until(now).as_secs() < 2);
            }
            let seen = LockSeen {
                id: ContainerId::parse("aa").unwrap(),
                name: label.clone(),
                run: label.clone(),
                actor: label.clone(),
                machine: label.clone(),
                reason: Some(label),
                since,
                renewed: lease.renewed,
                now,
                stage: lease.stage,
            };
            prop_assert!(!seen.described().is_empty());
        }
    }
}

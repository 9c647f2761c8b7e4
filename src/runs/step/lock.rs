//! The lock of a service on one host: a never-started container whose name only one run can have, with a lease inside.
//! A fence: its holder inspects it by id before every change, and a stale one is taken over by renaming it by id.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bollard::query_parameters::{
    InspectContainerOptions, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
};
use serde::{Deserialize, Serialize};

use super::answer::{change, failure, status};
use super::fence::uptime;
use super::lease::renew;
use super::{archive, lease, replicas, shell};
use crate::config::Host;
use crate::domain::container::{Role, label};
use crate::domain::endpoint::Endpoint;
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
/// Seconds.
const GRACE: &str = "pilothouse.grace";
const RUN: &str = "run.json";
/// What was sent over ssh may come behind its sender's end: a connection that is cut keeps what was not acknowledged,
/// and the kernel sends it again for 102 s (eight times, `tcp_orphan_retries`) after ssh ended. ssh knows no option
/// against that, as TCP connections of our own have (`TCP_USER_TIMEOUT`). Each jump host may add as much.
const OVER_SSH: Duration = Duration::from_mins(2);
/// A label that says more is not believed.
const LONGEST_GRACE: Duration = Duration::from_mins(10);
/// Between two looks at a lock that is watched.
const WATCH: Duration = Duration::from_secs(1);

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
            Some(lock)
                if lock.run == plan.run.as_str() && lock.may_be_left(&plan.subject) && pinned.is_some() =>
            {
                return steal(daemon, claim, lock).await;
            }
            Some(lock) => return Err(held(daemon, &plan.subject, lock)),
            None => {}
        }
        let Some(id) = shell::create(daemon, &name, labels(plan, machine, daemon.host()), Vec::new()).await?
        else {
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
        Fault::new(locking(daemon, &plan.subject), "others keep taking it"),
    ))
}

fn locking(daemon: &Daemon, subject: &Subject) -> String {
    format!("lock {subject} on {}", daemon.name())
}

fn held(daemon: &Daemon, subject: &Subject, lock: &LockSeen) -> Failure {
    let fault = Fault::new(locking(daemon, subject), lock.described());
    Failure::of(FailureKind::Locked, fault.hint(lock.remedy(subject)))
}

fn labels(plan: &Plan, machine: &str, host: &Host) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        Role::Lock.label(),
        (label::SCHEMA.to_owned(), "1".to_owned()),
        (label::SERVICE.to_owned(), plan.subject.service.to_string()),
        (label::RUN.to_owned(), plan.run.to_string()),
        (label::ACTOR.to_owned(), plan.by.login.clone()),
        (MACHINE.to_owned(), machine.to_owned()),
        (label::KIND.to_owned(), plan.kind.word().to_owned()),
    ]);
    labels.extend(
        plan.subject
            .environment
            .clone()
            .map(|name| (label::ENVIRONMENT.to_owned(), name)),
    );
    labels.extend(plan.reason.clone().map(|reason| (REASON.to_owned(), reason)));
    labels.extend(said_grace(&host.endpoint).map(|seconds| (GRACE.to_owned(), seconds)));
    labels
}

fn said_grace(endpoint: &Endpoint) -> Option<String> {
    matches!(endpoint, Endpoint::Ssh(_)).then(|| OVER_SSH.as_secs().to_string())
}

fn grace(label: Option<&str>) -> Duration {
    let seconds = label.and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default()).min(LONGEST_GRACE)
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
    let Some(id) = shell::create(daemon, &name, labels(plan, machine, daemon.host()), Vec::new()).await?
    else {
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
    let name = subject.lock_name();
    if lock.name != name {
        return Ok(());
    }
    let lock = watched(daemon, subject, lock).await?;
    rename(
        daemon,
        subject,
        &lock.id,
        &subject.taken_lock_name(lock.id.short()),
    )
    .await?;
    match again(daemon, subject, &lock).await? {
        Some(now) if !now.is_same_lease(&lock) => {
            rename(daemon, subject, &now.id, &name).await?;
            Err(held(daemon, subject, &LockSeen { name, ..now }))
        }
        Some(_) | None => Ok(()),
    }
}

/// The lock once it is certain that nobody renews it, else who holds it. Where the clocks do not tell, its lease is
/// watched by our own for as long as makes it stale.
pub async fn watched(daemon: &Daemon, subject: &Subject, lock: LockSeen) -> Result<LockSeen, Failure> {
    let begun = uptime();
    let mut lock = lock;
    while lock.is_doubtful(subject) {
        tokio::time::sleep(WATCH).await;
        // What is read behind this moment was not renewed before it.
        let passed = Duration::from_nanos(uptime().saturating_sub(begun));
        let Some(now) = again(daemon, subject, &lock).await? else {
            return Err(beaten(daemon, subject).await);
        };
        if !now.is_same_lease(&lock) {
            return Err(held(daemon, subject, &now));
        }
        lock = LockSeen {
            watched: passed,
            ..now
        };
    }
    if lock.is_left(subject) {
        Ok(lock)
    } else {
        Err(held(daemon, subject, &lock))
    }
}

/// As it is now; for how long it was watched counts as long as its lease is the same.
pub async fn again(daemon: &Daemon, subject: &Subject, lock: &LockSeen) -> Result<Option<LockSeen>, Failure> {
    let locks = seen(daemon, subject).await?;
    let now = locks.into_iter().find(|known| known.id == lock.id);
    Ok(now.map(|now| LockSeen {
        watched: if now.is_same_lease(lock) {
            lock.watched
        } else {
            Duration::ZERO
        },
        ..now
    }))
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
    let fault = Fault::new(locking(daemon, subject), "somebody else took it first").hint("look again");
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
    let found = replicas::labelled(daemon, &Role::Lock.filter()).await?;
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
        let lease = lease::read(daemon, &id, since).await?;
        locks.push(LockSeen {
            name: name.trim_start_matches('/').to_owned(),
            run: labels.get(label::RUN).cloned().unwrap_or_default(),
            actor: labels.get(label::ACTOR).cloned().unwrap_or_default(),
            machine: labels.get(MACHINE).cloned().unwrap_or_default(),
            kind: labels.get(label::KIND).cloned(),
            reason: labels.get(REASON).cloned(),
            since,
            renewed: lease.renewed,
            renewed_there: lease.holder,
            stage: lease.stage,
            now: lease::clock(daemon).await?,
            now_here: SystemTime::now().into(),
            watched: Duration::ZERO,
            grace: grace(labels.get(GRACE).map(String::as_str)),
            id,
        });
    }
    Ok(locks)
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
                    format!("read the run in the lock on {}", daemon.name()),
                    error,
                ))
            })
        })
        .transpose()
}

/// What every run under way on the host has decided, whichever service's it is.
pub(super) async fn all_pinned(daemon: &Daemon) -> Result<Vec<Pinned>, Failure> {
    let mut all = Vec::new();
    for summary in replicas::labelled(daemon, &Role::Lock.filter()).await? {
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
    use super::*;
    use crate::domain::endpoint::Ssh;

    #[test]
    fn what_was_made_over_ssh_says_its_grace_and_no_label_keeps_a_lock_for_ever() {
        let ssh = Endpoint::Ssh(Ssh {
            user: None,
            host: "db-1".to_owned(),
            port: None,
            socket: "/var/run/docker.sock".into(),
            reuse_master: false,
        });
        assert_eq!(grace(said_grace(&ssh).as_deref()), Duration::from_mins(2));
        let unix = Endpoint::Unix("/var/run/docker.sock".into());
        assert_eq!(grace(said_grace(&unix).as_deref()), Duration::ZERO);
        assert_eq!(grace(Some("18446744073709551615")), LONGEST_GRACE);
        assert_eq!(grace(Some("-1 s")), Duration::ZERO);
    }
}

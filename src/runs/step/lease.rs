//! The lease in a lock: the file that its holder writes again and again to show that it lives.
//! Writes and reads it; whether a lease is too old is decided in `release::lease`.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::answer::failure;
use super::archive;
use super::archive::Lying;
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::domain::units::Stamp;
use crate::hosts::Daemon;
use crate::release::record::Failure;

const LEASE: &str = "lease.json";
/// Nobody calls a lock stale that was made so short a time ago, whatever is in it.
const YOUNG: Duration = Duration::from_mins(1);
/// To which a daemon's clock is read.
const SECOND: Duration = Duration::from_secs(1);
/// Between removing a lease and writing it anew a daemon takes milliseconds, and a busy one tenths of a second.
const LOOKS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lease {
    /// By the daemon's own clock.
    pub(super) renewed: Stamp,
    pub(super) stage: Option<String>,
    /// The same moment by the clock of the holder's machine; older programs do not say it.
    #[serde(default)]
    pub(super) holder: Option<Stamp>,
}

/// Every 20 s its holder writes it anew, and for a moment there is none: a lock that would be stale without its lease is
/// looked at again before anybody takes it. One that cannot be read (half of one, or nothing, on a full disk) was
/// written at the moment that its file says.
pub(super) async fn read(daemon: &Daemon, id: &ContainerId, since: Stamp) -> Result<Lease, Failure> {
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
    parsed(file).unwrap_or_else(|| {
        let written = i64::try_from(file.modified).map_or(since, Stamp::from_seconds);
        unread(if written <= now { since.max(written) } else { since })
    })
}

fn unread(renewed: Stamp) -> Lease {
    Lease {
        renewed,
        stage: None,
        holder: None,
    }
}

/// The daemon's clock, by which leases are dated.
pub(super) async fn clock(daemon: &Daemon) -> Result<Stamp, Failure> {
    let asked = |error| failure(daemon, "ask for the time", &error);
    if let Some(now) = daemon.clock().await.map_err(asked)? {
        return Ok(now);
    }
    let info = daemon.read().info().await.map_err(asked)?;
    let text = info.system_time.unwrap_or_default();
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        Failure::refused(Fault::new(format!("read the clock of {}", daemon.name()), error))
    })?;
    Ok(Stamp(i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)))
}

fn parsed(file: &Lying) -> Option<Lease> {
    serde_json::from_slice(&file.content).ok()
}

/// The holder lives: so says the file, once it can be read back.
pub async fn renew(daemon: &Daemon, id: &ContainerId, stage: &str) -> Result<(), Failure> {
    let what = || format!("write the lease on {}", daemon.name());
    let read = clock(daemon).await?;
    // Rounded up: a lease never looks older than it is.
    let renewed = read.plus(SECOND);
    let lease = Lease {
        renewed,
        stage: Some(stage.to_owned()),
        holder: Some(SystemTime::now().into()),
    };
    let text = serde_json::to_vec(&lease).map_err(|error| Failure::refused(Fault::new(what(), error)))?;
    let dated = ("/", LEASE, u64::try_from(read.seconds()).unwrap_or(0));
    archive::put_dated(daemon, id.as_str(), dated, &text).await?;
    match archive::lying(daemon, id.as_str(), &format!("/{LEASE}")).await? {
        // Or a later one: who keeps the lease, and who comes back, may both write it.
        Some(file) if parsed(&file).is_some_and(|lease| lease.renewed >= renewed) => Ok(()),
        Some(_) | None => Err(Failure::refused(Fault::new(
            what(),
            "what was written cannot be read back",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::release::facts::LockSeen;

    fn lock(lease: Lease, label: &str, (since, now, now_here): (Stamp, Stamp, Stamp)) -> LockSeen {
        LockSeen {
            id: ContainerId::parse("aa").unwrap(),
            name: label.to_owned(),
            run: label.to_owned(),
            actor: label.to_owned(),
            machine: label.to_owned(),
            kind: Some(label.to_owned()),
            reason: Some(label.to_owned()),
            since,
            renewed: lease.renewed,
            renewed_there: lease.holder,
            now,
            now_here,
            watched: Duration::ZERO,
            stage: lease.stage,
            grace: Duration::ZERO,
        }
    }

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
            if parsed(&file).is_none() {
                prop_assert!(lease.renewed >= since && lease.renewed <= now.max(since));
                let dated = Lying { modified: u64::try_from(now.seconds()).unwrap_or(0), ..file };
                let fresh = judged(&dated, since, now);
                prop_assert!(now.seconds() < 0 || fresh.renewed.until(now).as_secs() < 2);
            }
            prop_assert!(!lock(lease, &label, (since, now, now)).described().is_empty());
        }

        #[test]
        fn a_lease_that_can_be_read_is_read_as_written(
            renewed: i64,
            now: i64,
            stage in prop::option::of("\\PC{0,9}"),
            holder in prop::option::of(any::<i64>()),
        ) {
            let said = Lease { renewed: Stamp(renewed), stage, holder: holder.map(Stamp) };
            let content = serde_json::to_vec(&said).unwrap();
            let file = Lying { content, mode: 0, uid: 0, gid: 0, modified: 0 };
            let read = judged(&file, Stamp(now), Stamp(now));
            prop_assert_eq!((read.renewed, &read.stage, read.holder), (said.renewed, &said.stage, said.holder));
        }
    }
}

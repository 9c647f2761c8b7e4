//! A run's right to change something on one host: it still owns the lock there and has renewed it recently.
//! Checked right before each changing request, so that a process that was suspended notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::{lease, lock};
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::hosts::Daemon;
use crate::release::record::{Failure, FailureKind};
use crate::release::subject::Subject;

/// A lease that was not renewed for this long is lost. Others may take the lock 60 s later, which leaves enough time for what is
/// under way to end.
pub const LOST: Duration = Duration::from_secs(30);

/// When a lease was last renewed, by a clock that includes suspend.
#[derive(Debug)]
pub struct Renewed(AtomicU64);

/// Nanoseconds since boot, including suspend.
#[must_use]
pub fn uptime() -> u64 {
    // A clock that cannot be read makes every lease old: nothing is done then.
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .ok()
        .and_then(|time| u64::try_from(Duration::from(time).as_nanos()).ok())
        .unwrap_or(u64::MAX)
}

impl Renewed {
    /// Set by a renewal that was begun at this `uptime`.
    #[must_use]
    pub fn at(begun: u64) -> Self {
        Self(AtomicU64::new(begun))
    }

    pub fn renew(&self, begun: u64) {
        self.0.fetch_max(begun, Ordering::Relaxed);
    }

    #[must_use]
    pub fn age(&self) -> Duration {
        age(self.0.load(Ordering::Relaxed), uptime())
    }
}

fn age(renewed: u64, now: u64) -> Duration {
    Duration::from_nanos(now.saturating_sub(renewed))
}

/// The lock of one host and its lease, from the holder's view.
#[derive(Clone, Debug)]
pub struct Fence {
    pub daemon: Daemon,
    pub subject: Subject,
    pub lock: ContainerId,
    pub renewed: Arc<Renewed>,
}

impl Fence {
    /// May something be changed now? A lease that ran out is renewed first, and the lock looked at behind that: whoever
    /// found it stale has it by then, or finds it renewed.
    pub async fn stands(&self) -> Result<(), Failure> {
        if self.renewed.age() >= LOST {
            let begun = uptime();
            lease::renew(&self.daemon, &self.lock, "coming back").await?;
            self.renewed.renew(begun);
        }
        lock::is_ours(&self.daemon, &self.subject, &self.lock).await?;
        self.holds()
    }

    /// Checks the lease's age only, without a request: before each further request of a deed that takes several.
    pub fn holds(&self) -> Result<(), Failure> {
        let age = self.renewed.age();
        if age < LOST {
            return Ok(());
        }
        let what = format!("go on with {} on {}", self.subject, self.daemon.name());
        let why = format!("its lease was not renewed for {} s", age.as_secs());
        Err(Failure::of(FailureKind::Unreachable, Fault::new(what, why)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_as_old_as_its_last_renewal_whatever_came_late() {
        let second = 1_000_000_000;
        assert_eq!(age(5 * second, 36 * second), Duration::from_secs(31));
        assert_eq!(age(7 * second, 5 * second), Duration::ZERO);
        let renewed = Renewed::at(uptime());
        renewed.renew(0);
        assert!(renewed.age() < LOST);
        assert!(Renewed::at(0).age() > Duration::ZERO);
    }
}

//! Whether the holder of a lock lives, judged from its lease; and what a person can do about the lock.
//! Judges what was seen, and never looks itself: an age is told by the clock of the lock's own daemon, and where that
//! was set, by two machines' clocks together, or by watching.

use std::collections::BTreeSet;
use std::time::Duration;

use super::facts::LockSeen;
use super::subject::Subject;
use crate::domain::units::{long_span, short_span};

/// Not renewed for so long, a lock may be taken: its time to live (60 s) and a grace (30 s).
pub const STALE: Duration = Duration::from_secs(90);
/// A clock that is read before and behind another may say so much less.
const ROUNDING: Duration = Duration::from_secs(5);
/// So far two clocks may be apart of which both are taken for right. A holder gives up after 30 s: 30 s are left.
const APART: Duration = Duration::from_secs(30);

impl LockSeen {
    /// Nobody renews it, as its daemon's clock tells, or as was seen.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.watched >= self.patience() || self.renewed.until(self.now) >= self.patience()
    }

    /// Not renewed for so long, this lock may be taken.
    #[must_use]
    pub fn patience(&self) -> Duration {
        STALE + self.grace
    }

    /// By how much it was renewed in its daemon's future: the clock was set back since, and how old it is nobody knows.
    #[must_use]
    pub fn ahead(&self) -> Option<Duration> {
        let ahead = self.now.until(self.renewed);
        (ahead > ROUNDING).then_some(ahead)
    }

    /// Whether its run seems dead: it is not renewed, or another run renamed it and got no further. Another lock of the same
    /// run may still be alive: see [`left_runs`].
    #[must_use]
    pub fn is_left(&self, subject: &Subject) -> bool {
        self.is_stale() || self.name != subject.lock_name()
    }

    /// As [`Self::is_left`], or its daemon's clock does not tell.
    #[must_use]
    pub fn may_be_left(&self, subject: &Subject) -> bool {
        self.is_left(subject) || self.ahead().is_some()
    }

    /// It may be left, and only watching it can tell: the daemon's clock was set back, or it was set forward, and the
    /// clocks of the two machines do not say that so much time has passed.
    #[must_use]
    pub fn is_doubtful(&self, subject: &Subject) -> bool {
        let age = self.renewed.until(self.now);
        let is_borne_out = self
            .renewed_there
            .is_some_and(|renewed| renewed.until(self.now_here).abs_diff(age) <= APART);
        self.name == subject.lock_name()
            && self.watched < self.patience()
            && (self.ahead().is_some() || age >= self.patience() && !is_borne_out)
    }

    /// Nobody has renewed it between these two looks.
    #[must_use]
    pub fn is_same_lease(&self, other: &Self) -> bool {
        (self.renewed, self.renewed_there, &self.stage) == (other.renewed, other.renewed_there, &other.stage)
    }

    /// What a person can do about it, by this lock alone.
    #[must_use]
    pub fn remedy(&self, subject: &Subject) -> String {
        let run = &self.run;
        if self.is_left(subject) {
            format!("its process seems to be gone: pilothouse recover {run} finishes or undoes it")
        } else if self.ahead().is_some() {
            format!("pilothouse recover {run} watches whether anybody renews it")
        } else {
            "wait for it, or follow it on its machine".to_owned()
        }
    }

    /// `held by ops-b on bastion-2, run 2026…, "fix basket", at gate, for 14 min`
    #[must_use]
    pub fn described(&self) -> String {
        let mut parts = vec![format!(
            "held by {} on {}, run {}",
            self.actor, self.machine, self.run
        )];
        parts.extend(self.reason.as_ref().map(|reason| format!("\"{reason}\"")));
        parts.extend(self.stage.as_ref().map(|stage| format!("at {stage}")));
        parts.push(format!("for {}", short_span(self.since.until(self.now))));
        if let Some(ahead) = self.ahead() {
            parts.push(format!(
                "stamped {} ahead of its daemon's clock",
                short_span(ahead)
            ));
        }
        if self.is_stale() {
            let silent = self.renewed.until(self.now).max(self.watched);
            parts.push(format!("not renewed for {}", short_span(silent)));
        } else if self.renewed.until(self.now) >= STALE {
            parts.push(format!(
                "not renewed for {}, and made over ssh: what it sent may come for {} in all",
                short_span(self.renewed.until(self.now)),
                long_span(self.patience())
            ));
        }
        parts.join(", ")
    }
}

/// The runs that were left, or may be, by all the locks of a service: none of theirs is known to be renewed.
#[must_use]
pub fn left_runs<'a>(subject: &Subject, locks: impl IntoIterator<Item = &'a LockSeen>) -> BTreeSet<&'a str> {
    let (left, alive): (Vec<&LockSeen>, Vec<&LockSeen>) =
        locks.into_iter().partition(|lock| lock.may_be_left(subject));
    let lives = |run: &str| alive.iter().any(|lock| lock.run == run);
    left.into_iter()
        .map(|lock| lock.run.as_str())
        .filter(|run| !lives(run))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::ContainerId;
    use crate::domain::units::Stamp;

    fn shop() -> Subject {
        Subject::parse("shop").unwrap()
    }

    /// Renewed so long ago, by its daemon's clock.
    fn lock(run: &str, age: Duration) -> LockSeen {
        let now = Stamp::from_seconds(1_000_000);
        LockSeen {
            id: ContainerId::parse("aa").unwrap(),
            name: shop().lock_name(),
            run: run.to_owned(),
            actor: "ops-a".to_owned(),
            machine: "bastion-1".to_owned(),
            kind: None,
            reason: None,
            since: now.minus(age),
            renewed: now.minus(age),
            renewed_there: None,
            now,
            now_here: now,
            watched: Duration::ZERO,
            stage: None,
            grace: Duration::ZERO,
        }
    }

    fn ahead(run: &str) -> LockSeen {
        let lock = lock(run, Duration::ZERO);
        LockSeen {
            renewed: lock.now.plus(Duration::from_hours(2)),
            ..lock
        }
    }

    fn stale(run: &str) -> LockSeen {
        lock(run, Duration::from_secs(100))
    }

    fn alive(run: &str) -> LockSeen {
        lock(run, Duration::from_secs(10))
    }

    #[test]
    fn a_run_is_left_once_none_of_its_locks_is_renewed() {
        let left = |locks: &[LockSeen]| {
            let left = left_runs(&shop(), locks);
            left.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(left(&[]), "");
        assert_eq!(left(&[stale("1"), stale("1"), alive("2")]), "1");
        assert_eq!(left(&[stale("1"), alive("1")]), "");
        assert_eq!(left(&[alive("1"), stale("1"), ahead("2")]), "2");
        let taken = LockSeen {
            name: shop().taken_lock_name("aa"),
            ..alive("1")
        };
        assert_eq!(left(&[taken]), "1");
    }

    #[test]
    fn what_can_be_done_about_a_lock_depends_on_what_is_known_of_its_holder() {
        let remedy = |lock: LockSeen| lock.remedy(&shop());
        assert!(remedy(stale("1")).contains("recover 1 finishes or undoes it"));
        assert!(remedy(ahead("1")).contains("recover 1 watches"));
        assert!(remedy(alive("1")).contains("wait for it"));
    }

    /// A little before, a little behind, or at any other time.
    fn near(now: i64) -> impl Strategy<Value = i64> {
        prop_oneof![
            (-200..200_i64).prop_map(move |seconds| now.saturating_add(seconds * 1_000_000_000)),
            any::<i64>(),
        ]
    }

    proptest! {
        /// Whatever moments it says: a young one is nobody's to take; one that is taken without being watched is old by
        /// two clocks; and what was watched for long enough may be taken.
        #[test]
        fn a_lock_is_taken_by_what_two_clocks_say_or_is_watched(
            (now, renewed) in any::<i64>().prop_flat_map(|now| (Just(now), near(now))),
            (here, holder) in any::<i64>().prop_flat_map(|here| (Just(here), prop::option::of(near(here)))),
        ) {
            let subject = shop();
            let seen = LockSeen {
                since: Stamp(now),
                renewed: Stamp(renewed),
                renewed_there: holder.map(Stamp),
                now: Stamp(now),
                now_here: Stamp(here),
                ..alive("1")
            };
            let by_daemon = now.saturating_sub(renewed) / 1_000_000_000;
            prop_assert_eq!(seen.may_be_left(&subject), !(-5..90).contains(&by_daemon), "{}", seen.described());
            if seen.is_left(&subject) && !seen.is_doubtful(&subject) {
                let there = holder.map(|holder| here.saturating_sub(holder) / 1_000_000_000);
                prop_assert!(by_daemon >= 90 && there.is_some_and(|there| there >= 60), "{}", seen.described());
            }
            let over_ssh = LockSeen { grace: Duration::from_mins(2), ..seen.clone() };
            prop_assert_eq!(over_ssh.is_stale(), by_daemon >= 210, "{}", over_ssh.described());
            let watched = LockSeen { watched: STALE, ..seen };
            prop_assert!(watched.is_left(&subject) && !watched.is_doubtful(&subject));
        }
    }
}

//! A simulated host's clock: the machine's, plus what a test has put it wrong by.
//! Runs on tokio's time, so that a paused test has paused daemons too.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::domain::units::Stamp;

#[derive(Debug)]
pub(super) struct Clock {
    /// Wall clock when the engine was made.
    wall: Stamp,
    started: Instant,
    /// Nanoseconds; negative is late.
    skew: AtomicI64,
}

impl Clock {
    pub(super) fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            wall: Stamp(0).plus(since_epoch),
            started: Instant::now(),
            skew: AtomicI64::new(0),
        }
    }

    /// What the host thinks the time is.
    pub(super) fn now(&self) -> Stamp {
        let right = self.wall.plus(self.started.elapsed());
        Stamp(right.0.saturating_add(self.skew.load(Ordering::Relaxed)))
    }

    /// The tokio instant at which this clock will show `at`; now if it has passed.
    pub(super) fn instant(&self, at: Stamp) -> Instant {
        Instant::now() + self.now().until(at)
    }

    pub(super) fn set_skew(&self, nanoseconds: i64) {
        self.skew.store(nanoseconds, Ordering::Relaxed);
    }
}

/// RFC 3339 with the nanoseconds Docker writes, trailing zeros cut as Go does.
pub(super) fn rfc3339(at: Stamp) -> String {
    if at.0 == 0 {
        return NEVER.to_owned();
    }
    jiff::Timestamp::from_nanosecond(i128::from(at.0))
        .map_or_else(|_| NEVER.to_owned(), |stamp| stamp.to_string())
}

/// As the `timestamps` of logs have it: always nine digits.
pub(super) fn rfc3339_full(at: Stamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or_else(
        |_| NEVER.to_owned(),
        |stamp| stamp.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string(),
    )
}

/// Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A span in Docker's words, as `Up 2 hours` has it.
pub(super) fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1_800) / 3_600;
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3_600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 14 => format!("{} days", hours / 24),
        _ if hours < 24 * 60 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_dockers_words() {
        let said: Vec<String> = [0, 1, 59, 60, 119, 120, 3_599, 3_600, 7_200, 200_000, 2_000_000]
            .map(|s| human(Duration::from_secs(s)))
            .into();
        assert_eq!(
            said,
            [
                "Less than a second",
                "1 second",
                "59 seconds",
                "About a minute",
                "About a minute",
                "2 minutes",
                "59 minutes",
                "About an hour",
                "2 hours",
                "2 days",
                "3 weeks",
            ]
        );
    }

    #[test]
    fn a_moment_that_never_was_is_gos_zero() {
        assert_eq!(rfc3339(Stamp(0)), "0001-01-01T00:00:00Z");
        assert_eq!(
            rfc3339_full(Stamp(1_500_000_000)),
            "1970-01-01T00:00:01.500000000Z"
        );
    }
}

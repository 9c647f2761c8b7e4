//! Quantities with units: bytes, points in time, durations.
//! Arithmetic saturates; formatting for people is defined here, in one way for all.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A number of bytes; shown in powers of 1024 with at most three digits: `212 M`, `1.9 G`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        let mut unit = 'B';
        for next in ['K', 'M', 'G', 'T', 'P'] {
            if value < 999.5 {
                break;
            }
            value /= 1024.0;
            unit = next;
        }
        let text = if unit != 'B' && value < 9.95 {
            format!("{value:.1} {unit}")
        } else {
            format!("{value:.0} {unit}")
        };
        f.pad(&text)
    }
}

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, by the clock of its source (a daemon's for its events and logs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub i64);

/// A clock before 1970 counts as 1970.
impl From<SystemTime> for Stamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl Stamp {
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// The time from this to `later`; zero if it is not later.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_nanos(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)),
        )
    }
}

/// The current time, passed in by `term`: pure code never reads a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Since the program started; never jumps: for deadlines and rates.
    pub uptime: Duration,
    /// Wall clock: for ages and what is shown.
    pub wall: Stamp,
}

/// A span as one short word: `21 s`, `4 min`, `2 h`, `9 d`.
#[must_use]
pub fn short_span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// An age in a table: below a minute in steps of 5 s, so that the screen is not redrawn every second.
#[must_use]
pub fn row_age(span: Duration) -> String {
    let seconds = span.as_secs();
    short_span(Duration::from_secs(if seconds < 60 {
        seconds - seconds % 5
    } else {
        seconds
    }))
}

/// A span to the second while that matters: `41 s`, `1 min 10 s`, `2 h 5 min`.
#[must_use]
pub fn long_span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => short_span(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_show_at_most_three_digits() {
        let shown: Vec<String> = [0, 999, 1_000, 10 * 1024, 212 << 20, 1_992 << 20]
            .iter()
            .map(|&n| Bytes(n).to_string())
            .collect();
        assert_eq!(shown, ["0 B", "999 B", "1.0 K", "10 K", "212 M", "1.9 G"]);
    }

    #[test]
    fn ages_of_rows_take_steps_until_they_are_a_minute() {
        let shown: Vec<String> = [0, 4, 5, 59, 60, 240]
            .map(|s| row_age(Duration::from_secs(s)))
            .into();
        assert_eq!(shown, ["0 s", "0 s", "5 s", "55 s", "1 min", "4 min"]);
    }

    #[test]
    fn spans_take_the_largest_unit_that_says_enough() {
        let shown: Vec<String> = [21, 240, 7_200, 9 * 86_400]
            .map(|s| short_span(Duration::from_secs(s)))
            .into();
        assert_eq!(shown, ["21 s", "4 min", "2 h", "9 d"]);
    }
}

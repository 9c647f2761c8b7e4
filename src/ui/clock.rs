//! Moments as people read them on a wall.
//! In the person's own time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::units::Stamp;

/// `14:03`
#[must_use]
pub fn hour_minute(at: Stamp) -> String {
    written(at, "%H:%M")
}

/// `14:03:22`
#[must_use]
pub fn time(at: Stamp) -> String {
    written(at, "%H:%M:%S")
}

/// `14:03:22.201`
#[must_use]
pub fn millis(at: Stamp) -> String {
    written(at, "%H:%M:%S%.3f")
}

/// `14:03:22.201`, or as wide and of another day than now: `Nov 19 14:03`
#[must_use]
pub fn millis_or_day(at: Stamp, now: Stamp) -> String {
    if written(at, "%F") == written(now, "%F") {
        millis(at)
    } else {
        written(at, "%b %d %H:%M")
    }
}

/// `2026-11-21 14:03`
#[must_use]
pub fn day(at: Stamp) -> String {
    written(at, "%Y-%m-%d %H:%M")
}

fn written(at: Stamp, format: &str) -> String {
    Timestamp::from_nanosecond(i128::from(at.0))
        .map(|at| at.to_zoned(TimeZone::system()).strftime(format).to_string())
        .unwrap_or_default()
}

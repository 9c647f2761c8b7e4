//! Times as wall-clock text.
//! In the user's time zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::domain::units::Stamp;

const MILLIS: &str = "%H:%M:%S%.3f";

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
    written(at, MILLIS)
}

/// A day, to tell moments of it from others.
#[derive(Clone, Copy, Debug)]
pub struct Day(Option<Date>);

impl Day {
    #[must_use]
    pub fn of(now: Stamp) -> Self {
        Self(zoned(now).map(|now| now.date()))
    }

    /// `14:03:22.201`, or as wide and of another day: `Nov 19 14:03`
    #[must_use]
    pub fn millis(self, at: Stamp) -> String {
        let Some(at) = zoned(at) else {
            return String::new();
        };
        let is_its = self.0 == Some(at.date());
        let format = if is_its { MILLIS } else { "%b %d %H:%M" };
        at.strftime(format).to_string()
    }
}

/// `2026-11-21`
#[must_use]
pub fn date(at: Stamp) -> String {
    written(at, "%Y-%m-%d")
}

/// `2026-11-21 14:03`
#[must_use]
pub fn day(at: Stamp) -> String {
    written(at, "%Y-%m-%d %H:%M")
}

fn written(at: Stamp, format: &str) -> String {
    zoned(at)
        .map(|at| at.strftime(format).to_string())
        .unwrap_or_default()
}

fn zoned(at: Stamp) -> Option<Zoned> {
    let at = Timestamp::from_nanosecond(i128::from(at.0)).ok()?;
    Some(at.to_zoned(TimeZone::system()))
}

//! How `--json` prints times and durations: RFC 3339 in UTC, and seconds.
//! For what is shown only; journals and ledgers keep their own format.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::units::Stamp;

#[must_use]
pub fn rfc3339(at: Stamp) -> String {
    jiff::Timestamp::from_nanosecond(at.0.into())
        .unwrap_or_default()
        .to_string()
}

pub fn time<S: Serializer>(at: &Stamp, to: S) -> Result<S::Ok, S::Error> {
    rfc3339(*at).serialize(to)
}

pub fn time_if<S: Serializer>(at: &Option<Stamp>, to: S) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(to)
}

pub fn seconds<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    span.as_secs_f64().serialize(to)
}

pub fn seconds_if<S: Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|span| span.as_secs_f64()).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_printed_as_rfc_3339_with_what_it_has_of_a_second() {
        assert_eq!(rfc3339(Stamp::from_seconds(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(Stamp(1_500_000_000)), "1970-01-01T00:00:01.5Z");
    }
}

//! Durations and sizes: `90s`, `1m30s`, `512M`, `1.5G`.
//! A number without a unit is refused.

use std::time::Duration;

use super::fault::Wrong;

/// Longer is a mistake, not a wish.
const LONGEST: Duration = Duration::from_hours(24 * 3650);

/// `500ms`, `90s`, `15m`, `2h`, `90d`, and several in a row: `1m30s`.
pub(super) fn span(text: &str) -> Result<Duration, Wrong> {
    let wrong = || {
        Wrong::new(format!("{text:?} is not a duration"))
            .hint("a number with its unit: `500ms`, `90s`, `15m`, `2h`, `90d`, `1m30s`")
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest);
        let number: u64 = number.parse().ok().ok_or_else(wrong)?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        total = total.saturating_add(Duration::from_millis(number.saturating_mul(millis)));
        rest = after.trim_start();
    }
    if total > LONGEST {
        return Err(Wrong::new(format!("{text:?} is longer than ten years")));
    }
    Ok(total)
}

/// `800K`, `512M`, `1.5G`, `2T`, in powers of 1024, also written `MB` or `MiB`; `4096B`.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let wrong = || {
        Wrong::new(format!("{text:?} is not a size")).hint("a number with its unit: `800K`, `512M`, `1.5G`")
    };
    let text = text.trim();
    let (number, unit, after) = number_and_unit(text);
    if !after.is_empty() {
        return Err(wrong());
    }
    let unit = unit.to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").unwrap_or(unit.trim_end_matches('b')) {
        "" if unit == "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits: String = fraction.chars().take(3).collect();
    let thousandths: u64 = format!("{digits:0<3}").parse().ok().ok_or_else(wrong)?;
    let whole: u64 = whole.parse().ok().ok_or_else(wrong)?;
    let unit = 1_u64 << shift;
    whole
        .checked_mul(unit)
        .and_then(|bytes| bytes.checked_add(unit / 1000 * thousandths + unit % 1000 * thousandths / 1000))
        .ok_or_else(wrong)
}

/// `1m30s` → `1`, `m`, `30s`.
fn number_and_unit(text: &str) -> (&str, &str, &str) {
    let number = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(number).unwrap_or((text, ""));
    let rest = rest.trim_start();
    let unit = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at_checked(unit).unwrap_or((rest, ""));
    (number, unit, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_numbers_with_units_one_or_several() {
        let spans = ["500ms", "90s", "15m", "15 min", "2h", "90d", "1m30s", "0s"].map(|t| span(t).unwrap());
        let seconds = spans.map(|span| span.as_millis());
        assert_eq!(
            seconds,
            [500, 90_000, 900_000, 900_000, 7_200_000, 7_776_000_000, 90_000, 0]
        );
    }

    #[test]
    fn a_span_without_unit_is_refused_with_how_to_write_it() {
        for text in [
            "",
            "10",
            "s",
            "1.5h",
            "-3s",
            "10 parsecs",
            "99999999999d",
            "1m 30",
        ] {
            assert!(span(text).is_err(), "{text}");
        }
        assert!(span("10").unwrap_err().hint.unwrap().contains("90s"));
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let sizes = ["4096B", "1k", "512M", "1.5G", "2GiB", "1MB"].map(|t| size(t).unwrap());
        assert_eq!(sizes, [4096, 1024, 512 << 20, 3 << 29, 2 << 30, 1 << 20]);
        for text in [
            "",
            "12",
            "G",
            "1.5.5G",
            "1X",
            "-1M",
            "1M extra",
            "99999999T",
            "bb",
            "1bb",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}

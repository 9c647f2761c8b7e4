//! The text of the lines that simulated containers write.
//! A line is a function of the seed and its number: asking twice gives the same words.

use super::behaviour::Style;

/// A well-mixed number from two.
pub(super) fn mix(seed: u64, number: u64) -> u64 {
    let mut x = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn pick<'a>(from: &[&'a str], by: u64) -> &'a str {
    let place = by % u64::try_from(from.len()).unwrap_or(1).max(1);
    usize::try_from(place)
        .ok()
        .and_then(|place| from.get(place))
        .copied()
        .unwrap_or_default()
}

/// Line `number` of this style; several lines where it is a stack.
pub(super) fn text(style: &Style, seed: u64, number: u64) -> String {
    let dice = mix(seed, number);
    match style {
        Style::Access => access(dice),
        Style::Levels => levels(dice),
        Style::Json => json(dice),
        Style::Jobs => job(dice, number),
        Style::Database => database(dice),
        Style::Counted => format!("line {number}"),
        Style::Fixed(lines) => {
            let count = u64::try_from(lines.len()).unwrap_or(1).max(1);
            usize::try_from(number % count)
                .ok()
                .and_then(|place| lines.get(place))
                .cloned()
                .unwrap_or_default()
        }
    }
}

fn access(dice: u64) -> String {
    let path = pick(
        &[
            "/",
            "/basket",
            "/products/1188",
            "/products/42",
            "/search?q=lamp",
            "/assets/app.css",
            "/assets/app.js",
            "/login",
            "/healthz",
        ],
        dice,
    );
    let method = if (dice >> 8).is_multiple_of(11) {
        "POST"
    } else {
        "GET"
    };
    let status = match (dice >> 16) % 40 {
        0 => 500,
        1..3 => 404,
        3..6 => 304,
        _ => 200,
    };
    let client = format!("10.20.{}.{}", (dice >> 24) % 8, (dice >> 32) % 250 + 2);
    let bytes = 300 + (dice >> 40) % 48_000;
    let millis = 2 + (dice >> 52) % 180;
    format!(r#"{client} - "{method} {path} HTTP/1.1" {status} {bytes} {millis}ms"#)
}

fn levels(dice: u64) -> String {
    let request = dice % 0xff_ffff;
    match (dice >> 24) % 30 {
        0 => format!("ERROR request {request:06x} failed: upstream pricing timed out after 2 s"),
        1..4 => format!(
            "WARN  slow query, {} ms: select * from orders where customer = $1",
            300 + (dice >> 32) % 900
        ),
        4..8 => format!(
            "DEBUG cache hit rate {} %, {} keys",
            80 + (dice >> 40) % 19,
            900 + (dice >> 32) % 800
        ),
        _ => format!(
            "INFO  request {request:06x} {} in {} ms",
            pick(
                &["GET /orders", "GET /stock", "POST /orders", "GET /customers"],
                dice >> 32
            ),
            4 + (dice >> 44) % 90
        ),
    }
}

fn json(dice: u64) -> String {
    let (level, message) = match (dice >> 8) % 24 {
        0 => ("error", "payment declined by provider"),
        1..3 => ("warn", "basket expired while paying"),
        3..8 => ("debug", "price list refreshed"),
        8..16 => ("info", "order placed"),
        _ => ("info", "basket changed"),
    };
    format!(
        r#"{{"level":"{level}","msg":"{message}","order":{},"ms":{},"user":"u{}"}}"#,
        10_000 + (dice >> 16) % 90_000,
        3 + (dice >> 36) % 240,
        (dice >> 48) % 900
    )
}

fn job(dice: u64, number: u64) -> String {
    let kind = pick(
        &["send-mail", "resize-image", "monthly-report", "sync-stock"],
        dice,
    );
    if (dice >> 16).is_multiple_of(23) {
        return format!(
            "job {number} {kind} failed: connection reset by peer\n    at queue.Worker.run (worker.js:118)\n    at net.Socket.read (net.js:41)\n  will be tried again in 30 s"
        );
    }
    format!("job {number} {kind} done in {} ms", 40 + (dice >> 24) % 4_000)
}

fn database(dice: u64) -> String {
    match dice % 4 {
        0 => "LOG:  checkpoint starting: time".to_owned(),
        1 => format!(
            "LOG:  checkpoint complete: wrote {} buffers",
            20 + (dice >> 8) % 900
        ),
        2 => format!(
            "LOG:  duration: {} ms  statement: select …",
            400 + (dice >> 8) % 1_500
        ),
        _ => "LOG:  automatic vacuum of table \"shop.public.orders\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_gives_the_same_words() {
        for style in [
            Style::Access,
            Style::Levels,
            Style::Json,
            Style::Jobs,
            Style::Database,
        ] {
            assert_eq!(text(&style, 7, 99), text(&style, 7, 99));
            assert_ne!(text(&style, 7, 99), text(&style, 8, 98));
        }
    }

    #[test]
    fn json_lines_are_json() {
        for number in 0..200 {
            let line = text(&Style::Json, 3, number);
            assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
        }
    }
}

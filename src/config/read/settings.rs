//! `[keys]`, `[looks]`, `[state]`, `[listen]`, `[log]`: settings of this program.
//! A file changes only the settings it contains.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::fault::Wrong;
use super::super::quantity::{size, span};
use super::super::section::{Section, Value};
use super::super::settings::{Notify, Theme};
use super::super::{Config, Place};

/// A pane needs some lines; a log view is not an archive.
const LOG_LINES: std::ops::RangeInclusive<u32> = 100..=1_000_000;
const LOG_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;
/// Of one delivery of a webhook: GitHub's own cap.
const DELIVERY: std::ops::RangeInclusive<u64> = 64 << 10..=25 << 20;
const OWN_LOG_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 30;

pub(super) fn read(root: &mut Section<'_>, config: &mut Config) {
    let mut table = |key: &'static str, read: fn(&mut Section<'_>, &mut Config)| {
        if let Some(mut section) = root.take(key).and_then(|value| value.section(format!("[{key}]"))) {
            read(&mut section, config);
            section.finish();
        }
    };
    table("keys", keys);
    table("looks", looks);
    table("state", state);
    table("listen", listen);
    table("log", log);
}

fn keys(section: &mut Section<'_>, config: &mut Config) {
    for value in section.take_all() {
        if let Some(keys) = value.text_or_texts() {
            config.keys.insert(value.key.clone(), keys);
            let source = value.place.source;
            let (line, column) = source.place(value.at.start);
            let file = source.file.clone();
            config
                .key_places
                .insert(value.key.clone(), Place { file, line, column });
        }
    }
}

fn looks(section: &mut Section<'_>, config: &mut Config) {
    let looks = &mut config.looks;
    let themes = [
        ("auto", Theme::Auto),
        ("dark", Theme::Dark),
        ("light", Theme::Light),
        ("ansi", Theme::Ansi),
        ("mono", Theme::Mono),
    ];
    set(
        &mut looks.theme,
        section.take("theme").and_then(|value| value.one_of(&themes)),
    );
    if let Some(ascii) = section.take("ascii").and_then(|value| value.truth()) {
        looks.ascii = Some(ascii);
    }
    set(
        &mut looks.title,
        section.take("title").and_then(|value| value.truth()),
    );
    let ways = [
        ("off", Notify::Off),
        ("bell", Notify::Bell),
        ("osc9", Notify::Osc9),
    ];
    set(
        &mut looks.notify,
        section.take("notify").and_then(|value| value.one_of(&ways)),
    );
    set(
        &mut looks.log_lines,
        section
            .take("log_lines")
            .and_then(|value| count(&value, LOG_LINES)),
    );
    let bytes = section
        .take("log_bytes")
        .and_then(|value| bytes(&value, LOG_BYTES));
    set(
        &mut looks.log_bytes,
        bytes.and_then(|bytes| usize::try_from(bytes).ok()),
    );
    set(
        &mut looks.log_tail,
        section
            .take("log_tail")
            .and_then(|value| value.whole(0..=1_000_000)),
    );
}

fn state(section: &mut Section<'_>, config: &mut Config) {
    let state = &mut config.state;
    if let Some(dir) = section.take("dir").and_then(|value| value.path()) {
        state.dir = Some(dir);
    }
    if let Some(group) = section.take("group").and_then(|value| value.word()) {
        state.group = Some(group.to_owned());
    }
    set(
        &mut state.keep_for,
        section.take("keep_for").and_then(|value| value.parsed(days)),
    );
    set(
        &mut state.keep_runs,
        section
            .take("keep_runs")
            .and_then(|value| count(&value, 1..=100_000)),
    );
}

fn listen(section: &mut Section<'_>, config: &mut Config) {
    let listen = &mut config.listen;
    let address = section.take("address");
    set(
        &mut listen.address,
        address.and_then(|value| value.parsed(socket_address)),
    );
    set(
        &mut listen.max_body,
        section
            .take("max_body")
            .and_then(|value| value.parsed(delivery_size)),
    );
}

fn socket_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().ok().ok_or_else(|| {
        Wrong::new(format!("{text:?} is not an address with a port"))
            .hint("`127.0.0.1:7456`, `[::1]:7456`; `0.0.0.0:7456` accepts connections from other machines")
    })
}

fn delivery_size(text: &str) -> Result<u64, Wrong> {
    let bytes = size(text)?;
    if DELIVERY.contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Wrong::new(format!("{text:?} is out of bounds"))
            .hint("from `64K` to `25M`, the most that GitHub sends"))
    }
}

fn log(section: &mut Section<'_>, config: &mut Config) {
    let log = &mut config.log;
    set(
        &mut log.level,
        section.take("level").and_then(|value| value.parsed(level)),
    );
    set(
        &mut log.max_bytes,
        section
            .take("max_bytes")
            .and_then(|value| bytes(&value, OWN_LOG_BYTES)),
    );
    set(
        &mut log.keep_files,
        section
            .take("keep_files")
            .and_then(|value| count(&value, 1..=1_000)),
    );
}

fn set<T>(target: &mut T, found: Option<T>) {
    if let Some(found) = found {
        *target = found;
    }
}

fn count(value: &Value<'_>, limits: std::ops::RangeInclusive<u32>) -> Option<usize> {
    usize::try_from(value.whole(limits)?).ok()
}

fn bytes(value: &Value<'_>, limits: std::ops::RangeInclusive<u64>) -> Option<u64> {
    value.parsed(|text| {
        let bytes = size(text)?;
        if limits.contains(&bytes) {
            Ok(bytes)
        } else {
            Err(Wrong::new(format!("{text:?} is out of bounds")).hint("from `64K` to `1G`"))
        }
    })
}

fn days(text: &str) -> Result<Duration, Wrong> {
    let span = span(text)?;
    if span < Duration::from_hours(1) {
        return Err(Wrong::new(format!("{text:?} would remove very recent runs")).hint("at least `1h`"));
    }
    Ok(span)
}

/// `info`, `pilothouse=debug,bollard=warn`: a misspelt level would be taken for a module's name and log everything.
fn level(text: &str) -> Result<String, Wrong> {
    let is_level = |word: &str| matches!(word, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let is_module = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
    };
    for part in text.split(',') {
        let fine = match part.trim().split_once('=') {
            Some((module, level)) => is_module(module) && is_level(level),
            None => is_level(part.trim()),
        };
        if !fine {
            return Err(Wrong::new(format!("{:?} is not a log level", part.trim())).hint(
                "`off`, `error`, `warn`, `info`, `debug` or `trace`, also of one module: `pilothouse=debug`",
            ));
        }
    }
    Ok(text.to_owned())
}

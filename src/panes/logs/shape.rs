//! Formats one log line: JSON as `level message key=value`, and the position of its level.
//! Works on one line of cleaned text; keeps no state.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::domain::text;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

/// A JSON line taken apart, in the order of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Level(Option<Level>, String),
    Message(String),
    /// `key=value`
    Field(String, String),
}

const LEVELS: [&str; 6] = ["level", "severity", "lvl", "levelname", "log.level", "@l"];
const MESSAGES: [&str; 4] = ["msg", "message", "@m", "@mt"];
/// Left out: the daemon's own time is beside the line.
const TIMES: [&str; 7] = [
    "time",
    "ts",
    "timestamp",
    "@timestamp",
    "@t",
    "asctime",
    "datetime",
];

/// Beyond this a level is a word of the message.
const LEVEL_WITHIN: usize = 72;

/// The parts of a line that is one JSON object, or `None`.
#[must_use]
pub fn json(line: &str) -> Option<Vec<Part>> {
    let line = line.trim();
    if !(line.starts_with('{') && line.ends_with('}')) {
        return None;
    }
    let mut object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let mut parts = Vec::new();
    if let Some(level) = take(&mut object, &LEVELS) {
        let word = match level.as_u64() {
            Some(number) => numbered(number).map_or_else(|| number.to_string(), str::to_owned),
            None => shown(&level).to_uppercase(),
        };
        parts.push(Part::Level(named(&word), word));
    }
    if let Some(message) = take(&mut object, &MESSAGES) {
        let said = match &message {
            Value::String(said) => text::plain(said).into_owned(),
            other => shown(other),
        };
        parts.push(Part::Message(said));
    }
    if !parts.is_empty() {
        for name in TIMES {
            object.remove(name);
        }
    }
    let fields = object
        .into_iter()
        .map(|(key, value)| Part::Field(text::plain(&key).into_owned(), shown(&value)));
    parts.extend(fields);
    Some(parts)
}

/// The line as it is read, searched and filtered: JSON made readable if that is wanted.
#[must_use]
pub fn readable(raw: &str, with_json: bool) -> Cow<'_, str> {
    let line = text::plain(raw);
    if with_json && let Some(parts) = json(&line) {
        let words: Vec<String> = parts.iter().map(Part::text).collect();
        return Cow::Owned(words.join(" "));
    }
    line
}

impl Part {
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Level(_, word) => word.clone(),
            Self::Message(said) => said.clone(),
            Self::Field(key, value) => format!("{key}={value}"),
        }
    }
}

fn take(object: &mut Map<String, Value>, names: &[&str]) -> Option<Value> {
    names
        .iter()
        .find(|name| object.get(**name).is_some_and(|value| !value.is_object()))
        .and_then(|name| object.remove(*name))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if is_simple(text) => text.clone(),
        other => text::plain(&other.to_string()).into_owned(),
    }
}

fn is_simple(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || "-_./:@%+,;#~*()[]<>|&!?".contains(c))
}

/// The numbers of bunyan and pino.
fn numbered(level: u64) -> Option<&'static str> {
    match level {
        10 => Some("TRACE"),
        20 => Some("DEBUG"),
        30 => Some("INFO"),
        40 => Some("WARN"),
        50 => Some("ERROR"),
        60 => Some("FATAL"),
        _ => None,
    }
}

fn named(word: &str) -> Option<Level> {
    match word.to_ascii_uppercase().as_str() {
        "ERROR" | "ERR" | "FATAL" | "CRITICAL" | "CRIT" | "PANIC" | "EMERG" | "ALERT" | "SEVERE" => {
            Some(Level::Error)
        }
        "WARN" | "WARNING" => Some(Level::Warning),
        "INFO" | "NOTICE" => Some(Level::Info),
        "DEBUG" | "TRACE" => Some(Level::Debug),
        _ => None,
    }
}

/// Where a line says its own level: a word in capitals, or one set off as `level=error`, `[error]`, `error:`.
#[must_use]
pub fn level(line: &str) -> Option<(Level, Range<usize>)> {
    let mut start = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        if c.is_ascii_alphabetic() {
            start.get_or_insert(at);
            continue;
        }
        if let Some(from) = start.take() {
            let word = line.get(from..at)?;
            let before = line.get(..from)?.chars().next_back();
            let whole = !before.is_some_and(char::is_alphanumeric) && !c.is_alphanumeric();
            let set_off = matches!(before, Some('=' | '[' | '<' | '"')) || matches!(c, ':' | ']' | '>');
            if whole
                && (set_off || word.chars().all(|c| c.is_ascii_uppercase()))
                && let Some(level) = named(word)
            {
                return Some((level, from..at));
            }
        }
        if at > LEVEL_WITHIN {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_as_level_message_and_fields() {
        let line = r#"{"time":"2026-01-01T00:00:00Z","level":"warn","msg":"cache cold","keys":1200,"path":"/a b","ok":true}"#;
        assert_eq!(
            readable(line, true),
            r#"WARN cache cold keys=1200 ok=true path="/a b""#
        );
        assert_eq!(readable(line, false), line);
    }

    #[test]
    fn numbers_of_pino_are_levels() {
        assert_eq!(readable(r#"{"level":50,"msg":"no"}"#, true), "ERROR no");
    }

    #[test]
    fn what_is_no_json_object_stays_as_it_is() {
        for line in ["{not json}", "[1,2]", "{", "plain", ""] {
            assert_eq!(readable(line, true), line);
        }
    }

    #[test]
    fn escape_codes_inside_json_strings_do_not_get_out() {
        let line = r#"{"msg":"a\u001b[2Jb","k":"\u001b]0;x\u0007y"}"#;
        assert!(!readable(line, true).chars().any(char::is_control));
        assert!(readable(line, true).starts_with("ab k="));
    }

    fn level_of(line: &str) -> Option<Level> {
        level(line).map(|(level, _)| level)
    }

    #[test]
    fn a_level_is_a_word_that_stands_for_itself() {
        assert_eq!(level("12:00 WARN cache"), Some((Level::Warning, 6..10)));
        assert_eq!(level_of("level=error msg=x"), Some(Level::Error));
        assert_eq!(level_of("[error] 7#7: upstream"), Some(Level::Error));
        assert_eq!(level_of("error: no such file"), Some(Level::Error));
        assert_eq!(level_of("0 errors, no error at all"), None);
        assert_eq!(level_of("TERROR"), None);
        assert_eq!(level_of(&format!("{} ERROR", "x ".repeat(60))), None);
    }
}

//! What all stages of a service share: names, hosts, limits, commands, pairs.
//! Reports duplicate names and unknown hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::fault::Wrong;
use super::super::nearest::nearest;
use super::super::quantity::span;
use super::super::section::{Section, Value};
use super::{Known, Names};
use crate::domain::ids::HostName;

/// Less than this is a mistaken unit.
const SHORTEST_LIMIT: Duration = Duration::from_secs(1);

/// What a test or a stage is called; within one service each once.
pub(super) fn name(value: &Value<'_>, names: &mut Names) -> Option<String> {
    let name = value.parsed(|text| {
        let name = in_container_names(text)?;
        // It stands beside these in `pipeline`.
        if matches!(text, "build" | "push" | "deploy") {
            return Err(
                Wrong::new(format!("{text:?} is reserved for a built-in stage")).hint("choose another name")
            );
        }
        Ok(name)
    })?;
    names.claim("test or stage of this service", &name, value);
    Some(name)
}

/// What becomes a part of container names.
pub(super) fn in_container_names(text: &str) -> Result<String, Wrong> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > 40 || !text.chars().all(allowed) {
        return Err(
            Wrong::new(format!("{text:?} is not allowed")).hint("letters, digits, `-` and `_`, at most 40")
        );
    }
    Ok(text.to_owned())
}

/// The host that a stage names; else the fallback, else the only one there is.
pub(super) fn host(
    section: &mut Section<'_>,
    known: &Known,
    fallback: Option<&HostName>,
) -> Option<HostName> {
    let Some(value) = section.take("host") else {
        let host = fallback.or_else(|| known.alone());
        if host.is_none() && !section.place.source.broken {
            section.fault(Wrong::new("it names no `host`").hint("required with more than one host"));
        }
        return host.cloned();
    };
    value.parsed(|text| find(text, known))
}

pub(super) fn find(text: &str, known: &Known) -> Result<HostName, Wrong> {
    if let Some((name, _)) = known.hosts.iter().find(|(name, _)| name.as_str() == text) {
        return Ok(name.clone());
    }
    let wrong = Wrong::new(format!("no host is called {text:?}"));
    let names: Vec<&str> = known.hosts.iter().map(|(name, _)| name.as_str()).collect();
    Err(match nearest(text, names.iter().copied()) {
        Some(meant) => wrong.hint(format!("did you mean `{meant}`?")),
        None if names.is_empty() => wrong.hint("there is no [[hosts]] yet"),
        None => wrong.hint(format!("there are {}", names.join(", "))),
    })
}

pub(super) fn limit(section: &mut Section<'_>, default: Duration) -> Option<Duration> {
    let Some(value) = section.take("timeout") else {
        return Some(default);
    };
    value.parsed(|text| {
        let limit = span(text)?;
        if limit < SHORTEST_LIMIT {
            return Err(Wrong::new(format!(
                "{text:?} is too short for anything to finish"
            )));
        }
        Ok(limit)
    })
}

/// Arguments as they are handed over, never through a shell.
pub(super) fn command(value: &Value<'_>) -> Option<Vec<String>> {
    if value.is_text() {
        let text = value.text()?;
        value.fault(
            Wrong::new(format!("`{}` must be a list of arguments", value.key))
                .hint(format!("[\"sh\", \"-c\", {text:?}] if you want a shell")),
        );
        return None;
    }
    let words = value.texts()?;
    if words.first().is_none_or(String::is_empty) {
        value.fault(Wrong::new(format!("`{}` names no program", value.key)));
        return None;
    }
    Some(words)
}

/// A table of texts under names that `allowed` accepts.
pub(super) fn pairs(
    value: &Value<'_>,
    allowed: &dyn Fn(&str) -> Result<(), Wrong>,
) -> Option<BTreeMap<String, String>> {
    let mut section = value.section(format!("`{}`", value.key))?;
    let mut found = BTreeMap::new();
    for item in section.take_all() {
        if let Err(wrong) = allowed(&item.key) {
            item.fault(wrong);
        }
        if let Some(text) = item.text() {
            found.insert(item.key.clone(), text.to_owned());
        }
    }
    section.finish();
    Some(found)
}

pub(super) fn name_of_variable(name: &str) -> Result<(), Wrong> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')) {
        return Ok(());
    }
    Err(Wrong::new(format!("{name:?} cannot be a variable's name")).hint("letters, digits and `_`"))
}

/// Of a logging driver.
pub(super) fn name_of_option(name: &str) -> Result<(), Wrong> {
    before_equals(name, "an option's")
}

pub(super) fn name_of_label(name: &str) -> Result<(), Wrong> {
    if name.starts_with("pilothouse.") {
        return Err(
            Wrong::new(format!("{name:?} is one of Pilothouse's own labels")).hint("choose another name")
        );
    }
    before_equals(name, "a label's")
}

/// It stands as `name=value` at the daemon.
fn before_equals(name: &str, whose: &str) -> Result<(), Wrong> {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '=') {
        return Err(Wrong::new(format!("{name:?} cannot be {whose} name")));
    }
    Ok(())
}

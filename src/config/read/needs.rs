//! `[[services.tests.needs]]`: dependencies of a test, and when each is ready.
//! Parses only; images are checked when a run begins.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::fault::Wrong;
use super::super::quantity::span;
use super::super::section::{Section, Value};
use super::super::test::{HealthCheck, Need, NeedVolume, Ready};
use super::Names;
use super::spec::memory;
use super::stages::{command, name_of_variable, pairs};
use super::testing::{files, inside, pattern};

/// A database on a cold disk takes half of it.
pub(super) const WITHIN: Duration = Duration::from_mins(1);
/// Less than this is a mistaken unit.
const SHORTEST: Duration = Duration::from_millis(100);

pub(super) fn read(section: &mut Section<'_>, names: &mut Names) -> Option<Need> {
    let name = section.need("name").and_then(|value| {
        let name = value.parsed(host_name)?;
        names.claim("need of this test", &name, &value);
        Some(name)
    });
    let image_named = section.need("image").and_then(|value| value.parsed(image));
    let mut argv = |key| {
        section
            .take(key)
            .and_then(|value| command(&value))
            .unwrap_or_default()
    };
    let (program, entrypoint) = (argv("command"), argv("entrypoint"));
    let env = section
        .take("env")
        .and_then(|value| pairs(&value, &name_of_variable));
    let files = section.take("files").and_then(|value| files(&value));
    let user = section
        .take("user")
        .and_then(|value| value.word().map(str::to_owned));
    let memory = section.take("memory").and_then(|value| value.parsed(memory));
    let tmpfs = section.take("tmpfs").and_then(|value| places(&value));
    let volumes = section.take("volumes").and_then(|value| places(&value));
    let health = section.take("health").and_then(|value| health(&value));
    let ready = section
        .take("ready")
        .map_or(Some(Ready::Running), |value| ready(&value));
    let limit = section
        .take("within")
        .map_or(Some(WITHIN), |value| value.parsed(within));
    Some(Need {
        name: name?,
        image: image_named?,
        command: program,
        entrypoint,
        env: env.unwrap_or_default(),
        files: files.unwrap_or_default(),
        user,
        memory,
        tmpfs: tmpfs
            .unwrap_or_default()
            .into_iter()
            .map(|place| (place, String::new()))
            .collect::<BTreeMap<_, _>>(),
        volumes: volumes
            .unwrap_or_default()
            .into_iter()
            .map(|target| NeedVolume {
                name: None,
                target,
                read_only: false,
            })
            .collect(),
        health,
        ready: ready?,
        within: limit?,
        ..Need::default()
    })
}

/// It becomes a name in DNS.
fn host_name(text: &str) -> Result<String, Wrong> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if text.len() > 40 || !ends || !text.chars().all(allowed) {
        return Err(Wrong::new(format!("{text:?} cannot be the name of a host"))
            .hint("letters, digits, `-`, `_` and `.`, at most 40: the test reaches it under this name"));
    }
    Ok(text.to_owned())
}

/// An image as daemons name them, or `self`.
pub(super) fn image(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > 500 || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Wrong::new(format!("{text:?} is not an image"))
            .hint("`postgres:16`, `registry:5000/tools/hurl@sha256:…`; `self` is the image under test"));
    }
    Ok(text.to_owned())
}

pub(super) fn within(text: &str) -> Result<Duration, Wrong> {
    let limit = span(text)?;
    if limit < SHORTEST {
        return Err(Wrong::new(format!("{text:?} is too short for anything to start")));
    }
    Ok(limit)
}

fn places(value: &Value<'_>) -> Option<Vec<String>> {
    let items = value.list()?;
    items.iter().map(|item| item.parsed(inside)).collect()
}

/// `["CMD", "pg_isready"]` in the words of a Dockerfile; `CMD` may be left out.
pub(super) fn check(value: &Value<'_>) -> Option<Vec<String>> {
    let mut words = command(value)?;
    let first = words.first().map(String::as_str);
    if !matches!(first, Some("CMD" | "CMD-SHELL" | "NONE")) {
        words.insert(0, "CMD".to_owned());
    }
    Some(words)
}

/// A check of a need; how often is Docker's own, but faster.
fn health(value: &Value<'_>) -> Option<HealthCheck> {
    Some(HealthCheck {
        test: check(value)?,
        // Docker's own half a minute would be waited for by every test.
        interval: Some(Duration::from_secs(1)),
        timeout: Some(Duration::from_secs(10)),
        start_period: None,
        retries: Some(60),
    })
}

/// `"health"`, `{ tcp = 5432 }`, `{ command = ["pg_isready"] }`, `{ log = "ready to accept" }`
fn ready(value: &Value<'_>) -> Option<Ready> {
    if value.is_text() {
        return value.one_of(&[("health", Ready::Health), ("running", Ready::Running)]);
    }
    let mut section = value.section("`ready`")?;
    let tcp = section.take("tcp").map(|value| {
        let port = value.whole(1..=u32::from(u16::MAX))?;
        u16::try_from(port).ok().map(Ready::Tcp)
    });
    let words = section
        .take("command")
        .map(|value| command(&value).map(Ready::Command));
    let log = section
        .take("log")
        .map(|value| value.parsed(pattern).map(Ready::Log));
    let mut said = [tcp, words, log].into_iter().flatten();
    let first = said.next();
    if first.is_none() || said.next().is_some() {
        section.fault(Wrong::new("`ready` takes one condition").hint(
            "\"health\", { tcp = 5432 }, { command = [\"pg_isready\"] } or { log = \"ready to accept\" }",
        ));
    }
    section.finish();
    first.flatten()
}

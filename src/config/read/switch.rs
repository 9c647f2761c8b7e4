//! `[[services.deploy.before_switch]]` and `after_switch`: tests of a release, in containers or as probes.
//! Refuses keys of another kind of test; sends no requests.

use std::time::Duration;

use super::super::fault::Wrong;
use super::super::section::{Section, Value};
use super::super::switch::{Ask, Facts, OF_HOST, OF_REPLICA, ReleaseTest, Url, check, fill, place};
use super::super::test::{Test, TestImage};
use super::stages::{command, in_container_names, limit, name_of_variable, pairs};
use super::{gate, needs, spec, testing};
use crate::domain::ids::HostName;

const RUN_LIMIT: Duration = Duration::from_mins(2);
/// Of one probe: longer than a gate's, for nothing asks again at once.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
const MOST_RETRIES: u32 = 100;
const OF_CONTAINER: &[&str] = &["image", "env", "files", "memory", "passes"];
const OF_PROBE: &[&str] = &["port", "host", "status", "ca"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

impl When {
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Before => "before_switch",
            Self::After => "after_switch",
        }
    }

    /// What a test is called that has no name.
    fn word(self) -> &'static str {
        match self {
            Self::Before => "smoke",
            Self::After => "check",
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Before => OF_REPLICA,
            Self::After => OF_HOST,
        }
    }
}

/// `host`: one of those that it runs on, where they could be read.
pub(super) fn read(
    section: &mut Section<'_>,
    when: When,
    host: Option<&HostName>,
) -> Option<Vec<ReleaseTest>> {
    let Some(value) = section.take(when.key()) else {
        return Some(Vec::new());
    };
    let mut found: Vec<ReleaseTest> = Vec::new();
    let mut all_found = true;
    for (n, mut own) in value
        .sections(&format!("services.deploy.{}", when.key()))
        .into_iter()
        .enumerate()
    {
        let test = one(&mut own, when, n, host);
        if let Some(test) = &test
            && found.iter().any(|other| other.name == test.name)
        {
            own.fault(Wrong::new(format!("a second test is called {:?}", test.name)));
        }
        own.finish();
        all_found &= test.is_some();
        found.extend(test);
    }
    all_found.then_some(found)
}

fn one(section: &mut Section<'_>, when: When, n: usize, host: Option<&HostName>) -> Option<ReleaseTest> {
    let name = match section.take("name") {
        Some(value) => value.parsed(in_container_names),
        None if n == 0 => Some(when.word().to_owned()),
        None => Some(format!("{}-{}", when.word(), n + 1)),
    };
    let retries = match section.take("retries") {
        Some(value) => value.whole(0..=MOST_RETRIES),
        None => Some(0),
    };
    let probes = ["http", "https", "tcp"]
        .iter()
        .filter(|key| section.has(key))
        .count();
    let is_probe = probes > 0;
    if is_probe && section.has("command") || probes > 1 {
        section.fault(
            Wrong::new("a test is either a `command` in a container or one probe")
                .hint("two tests, one after the other"),
        );
    }
    let timeout = limit(section, if is_probe { PROBE_LIMIT } else { RUN_LIMIT });
    let ask = if is_probe {
        refuse(
            section,
            OF_CONTAINER,
            "only allowed for a container, and this is a probe",
        );
        match when {
            When::Before => before(section),
            When::After => after(section),
        }
    } else {
        refuse(
            section,
            OF_PROBE,
            "only allowed for a probe: `http`, `https` or `tcp`",
        );
        run(section, when, name.as_deref(), host)
    };
    Some(ReleaseTest {
        name: name?,
        ask: ask?,
        retries: retries?,
        timeout: timeout?,
    })
}

fn refuse(section: &mut Section<'_>, keys: &[&'static str], why: &str) {
    for key in keys {
        if let Some(value) = section.take(key) {
            value.fault(Wrong::new(format!("`{key}` is {why}")));
        }
    }
}

fn run(section: &mut Section<'_>, when: When, name: Option<&str>, host: Option<&HostName>) -> Option<Ask> {
    let argv = section.need("command").and_then(|value| {
        let words = command(&value)?;
        templates(&value, words.iter(), when)?;
        Some(words)
    });
    let env = section
        .take("env")
        .map_or(Some(std::collections::BTreeMap::new()), |value| {
            let env = pairs(&value, &name_of_variable)?;
            templates(&value, env.values(), when)?;
            Some(env)
        });
    let image = match section.take("image") {
        Some(value) => value.parsed(needs::image).map(TestImage::Named),
        None => Some(TestImage::Own),
    };
    let files = section
        .take("files")
        .map_or(Some(std::collections::BTreeMap::new()), |value| {
            testing::files(&value)
        });
    let memory = section
        .take("memory")
        .and_then(|value| value.parsed(spec::memory));
    let passes = match section.take("passes") {
        Some(value) => testing::passes(&value),
        None => Some(super::super::test::Passes::ExitCode),
    };
    Some(Ask::Run(Box::new(Test {
        command: argv?,
        env: env?,
        image: image?,
        files: files?,
        memory,
        passes: passes?,
        ..Test::new(name?, host?.clone())
    })))
}

fn templates<'t>(value: &Value<'_>, texts: impl Iterator<Item = &'t String>, when: When) -> Option<()> {
    for text in texts {
        if let Err(wrong) = check(text, when.names()) {
            value.fault(wrong);
            return None;
        }
    }
    Some(())
}

/// As in `health`.
fn before(section: &mut Section<'_>) -> Option<Ask> {
    gate::probe(section)?.map(Ask::Probe)
}

/// `http = "http://{host.address}:8080/healthz"`, also with `https://`; `tcp = "{host.address}:5432"`
fn after(section: &mut Section<'_>) -> Option<Ask> {
    let stand_in: Facts = OF_HOST
        .iter()
        .map(|name| (*name, "localhost".to_owned()))
        .collect();
    if let Some(value) = section.take("tcp") {
        refuse(section, OF_PROBE, "not supported with tcp");
        return value.parsed(|text| {
            check(text, OF_HOST)?;
            place(&fill(text, &stand_in), None)
                .map_err(|why| Wrong::new(format!("{text:?} {why}")).hint("\"{host.address}:5432\""))?;
            Ok(Ask::Tcp(text.to_owned()))
        });
    }
    if let Some(value) = section.take("https") {
        value.fault(Wrong::new("give `https` in the URL").hint("http = \"https://{host.address}/healthz\""));
        return None;
    }
    let value = section.take("http")?;
    let url = value.parsed(|text| {
        check(text, OF_HOST)?;
        Ok(text.to_owned())
    });
    let host = match section.take("host") {
        Some(value) => Some(Some(value.parsed(gate::host)?)),
        None => Some(None),
    };
    let status = match section.take("status") {
        Some(value) => Some(u16::try_from(value.whole(100..=599)?).ok()),
        None => Some(None),
    };
    let is_plain = url.as_ref().is_some_and(|url| url.starts_with("http://"));
    let ca = match section.take("ca") {
        Some(value) if is_plain => {
            value.fault(Wrong::new("`ca` has no effect with http://"));
            None
        }
        Some(value) => Some(Some(value.path()?)),
        None => Some(None),
    };
    let http = Url {
        url: url?,
        host: host?,
        status: status?,
        ca: ca?,
    };
    if let Err(why) = http.filled(&stand_in) {
        value.fault(Wrong::new(format!("`http`: {why}")).hint("\"http://{host.address}:8080/healthz\""));
        return None;
    }
    Some(Ask::Http(http))
}

//! `[[services.tests]]`: how the image is tested.
//! Refuses contradictions; compose files and files to copy are read when a run begins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::super::fault::Wrong;
use super::super::section::{Section, Value};
use super::super::template;
use super::super::test::{Compose, Need, Passes, Test, TestImage};
use super::needs::{self, WITHIN};
use super::service::repository;
use super::spec::memory;
use super::stages::{command, host, limit, name, name_of_variable, pairs};
use super::{Known, Names};
use crate::domain::ids::HostName;
use crate::domain::reference::{HUB, registry_of};

const TEST_LIMIT: Duration = Duration::from_mins(10);
/// What fails so often is no chance.
const MOST_RETRIES: u32 = 10;

/// What the service says of its build.
pub(super) struct Built<'a> {
    /// Absent, too, when the build has a fault of its own.
    pub(super) host: Option<&'a HostName>,
    pub(super) declared: bool,
}

pub(super) fn test(
    section: &mut Section<'_>,
    known: &Known,
    built: &Built<'_>,
    names: &mut Names,
) -> Option<Test> {
    let name = section.need("name").and_then(|value| name(&value, names));
    // A build with a fault of its own has said so already.
    let host = match (built.host, built.declared) {
        (None, true) if !section.has("host") => {
            section.take("host");
            None
        }
        (fallback, _) => host(section, known, fallback),
    };
    let image = image(section, built);
    let command = section
        .take("command")
        .map_or(Some(Vec::new()), |value| command(&value));
    let env = section
        .take("env")
        .and_then(|value| pairs(&value, &name_of_variable));
    let files = section.take("files").and_then(|value| files(&value));
    let memory = section.take("memory").and_then(|value| value.parsed(memory));
    let timeout = limit(section, TEST_LIMIT);
    let retries = section
        .take("retries")
        .map_or(Some(0), |value| value.whole(0..=MOST_RETRIES));
    let passes = section
        .take("passes")
        .map_or(Some(Passes::ExitCode), |value| passes(&value));
    let needs = needs(section);
    let artifacts = section.take("artifacts").map_or(Some(Vec::new()), |value| {
        let places = value.list()?;
        places.iter().map(|place| place.parsed(inside)).collect()
    });
    let junit = section.take("junit").map(|value| value.parsed(inside));
    let compose = compose(section, &needs);
    let push = section
        .take("push")
        .map(|value| push(&value, image.as_ref(), known));
    Some(Test {
        name: name?,
        host: host?,
        image: image?,
        command: command?,
        env: env.unwrap_or_default(),
        files: files.unwrap_or_default(),
        memory,
        timeout: timeout?,
        retries: retries?,
        passes: passes?,
        needs,
        compose,
        artifacts: artifacts?,
        junit: junit.flatten(),
        push: push.flatten(),
    })
}

fn image(section: &mut Section<'_>, built: &Built<'_>) -> Option<TestImage> {
    let target = section.take("target");
    let image = section.take("image");
    match (target, image) {
        (None, None) => Some(TestImage::Own),
        (Some(target), Some(_)) => {
            target.fault(Wrong::new("it has both `target` and `image`").hint("a test runs in one of them"));
            None
        }
        (Some(target), None) => {
            if !built.declared {
                target.fault(
                    Wrong::new("`target` is a stage of the Dockerfile, but there is no [services.build]")
                        .hint("use `image` for an existing image"),
                );
            }
            Some(TestImage::Target(target.word()?.to_owned()))
        }
        (None, Some(image)) => {
            let name = image.parsed(needs::image)?;
            Some(if name == super::super::test::SELF {
                TestImage::Own
            } else {
                TestImage::Named(name)
            })
        }
    }
}

/// `registry:5000/shop-tests:{git.short}`: the image under test has its own stage for that.
fn push(value: &Value<'_>, image: Option<&TestImage>, known: &Known) -> Option<String> {
    if let Some(TestImage::Own | TestImage::Named(_)) = image {
        value.fault(
            Wrong::new("`push` needs `target`: it pushes the image built for the test")
                .hint("the image under test is pushed by the stage `push` of the pipeline"),
        );
        return None;
    }
    value.parsed(|text| {
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            Some(_) | None => {
                return Err(
                    Wrong::new(format!("{text:?} has no tag")).hint(format!("\"{text}:{{git.short}}\""))
                );
            }
        };
        let name = repository(name)?;
        let registry = registry_of(&name);
        if registry == HUB && !known.registries.iter().any(|known| known == HUB) {
            return Err(Wrong::new(format!("{name} names no registry")).hint(format!(
                "\"registry:5000/{name}\"; for Docker's own, [[registries]] with `address = \"{HUB}\"`"
            )));
        }
        Ok(format!("{name}:{}", template::check(tag)?))
    })
}

/// `"exit-code"`, or `{ last-line = '^Result: SUCCESS!$' }`.
pub(super) fn passes(value: &Value<'_>) -> Option<Passes> {
    if value.is_text() {
        return value.one_of(&[("exit-code", Passes::ExitCode)]);
    }
    let mut section = value.section("`passes`")?;
    let pattern = section.need("last-line").and_then(|value| value.parsed(pattern));
    let exit_code = section
        .take("exit-code")
        .map_or(Some(true), |value| value.truth());
    section.finish();
    Some(Passes::LastLine {
        pattern: pattern?,
        exit_code: exit_code?,
    })
}

pub(super) fn pattern(text: &str) -> Result<String, Wrong> {
    if text.is_empty() {
        return Err(Wrong::new("an empty pattern matches everything"));
    }
    match regex::Regex::new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let words = error.to_string();
            let last = words.lines().last().unwrap_or_default();
            Err(Wrong::new(format!(
                "{text:?} is not a valid pattern: {}",
                last.trim_start_matches("error: ")
            ))
            .hint("see docs.rs/regex for the syntax; a TOML string in '…' keeps its backslashes"))
        }
    }
}

/// A place in the container.
pub(super) fn inside(text: &str) -> Result<String, Wrong> {
    let whole = text.starts_with('/') && text.len() > 1 && !text.ends_with('/');
    if !whole || text.split('/').any(|part| part == "..") {
        return Err(
            Wrong::new(format!("{text:?} is not an absolute path in the container"))
                .hint("`/app/report.xml`: without `..` and without a final `/`"),
        );
    }
    Ok(text.to_owned())
}

/// `{ "/etc/app.toml" = "path here" }`
pub(super) fn files(value: &Value<'_>) -> Option<BTreeMap<String, PathBuf>> {
    let mut section = value.section(format!("`{}`", value.key))?;
    let mut found = BTreeMap::new();
    for item in section.take_all() {
        match inside(&item.key) {
            Ok(place) => {
                if let Some(path) = item.path() {
                    found.insert(place, path);
                }
            }
            Err(wrong) => item.fault(wrong),
        }
    }
    section.finish();
    Some(found)
}

fn needs(section: &mut Section<'_>) -> Vec<Need> {
    let mut names = Names::default();
    let mut found = Vec::new();
    let Some(value) = section.take("needs") else {
        return found;
    };
    for mut section in value.sections("services.tests.needs") {
        found.extend(needs::read(&mut section, &mut names));
        section.finish();
    }
    found
}

fn compose(section: &mut Section<'_>, needs: &[Need]) -> Option<Compose> {
    let file = section.take("compose");
    let services = section.take("services");
    let within = section.take("within");
    let Some(file) = file else {
        for (key, value) in [("services", services), ("within", within)] {
            if let Some(value) = value {
                value.fault(
                    Wrong::new(format!("`{key}` needs `compose`"))
                        .hint("`compose = \"compose.yaml\"` names the file"),
                );
            }
        }
        return None;
    };
    let Some(services) = services else {
        section.fault(
            Wrong::new("`compose` needs `services`")
                .hint("`services = [\"db\"]`: their dependencies are included"),
        );
        return None;
    };
    let names = services.texts()?;
    if names.is_empty() {
        services.fault(Wrong::new("`services` is empty"));
    }
    for name in &names {
        if needs.iter().any(|need| need.name == *name) {
            services.fault(Wrong::new(format!(
                "`{name}` is one of [[services.tests.needs]], too"
            )));
        }
    }
    Some(Compose {
        file: file.path()?,
        services: names,
        within: within.map_or(Some(WITHIN), |value| value.parsed(needs::within))?,
    })
}

//! Parses one service of a compose file, key by key.
//! Keys that do not matter to a test, such as published ports and restart policies, are ignored deliberately.

use std::collections::BTreeMap;
use std::time::Duration;

use super::text::{argv, bytes, one_or_more, span, text, texts};
use super::yaml::{Entry, Node, Tree};
use super::{Faults, File, fault, mounts};
use crate::config::test::{HealthCheck, Need, Ready};

/// What a service waits for before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    Started,
    Healthy,
}

/// A service as it was read, and what it depends on, with lines.
pub(super) struct Draft {
    pub(super) need: Need,
    pub(super) depends: Vec<(String, Waits, usize)>,
}

pub(super) fn read(entry: &Entry, file: &File<'_>, faults: &mut Faults) -> Draft {
    let mut need = Need {
        name: entry.key.clone(),
        ready: Ready::Running,
        ..Need::default()
    };
    let mut depends = Vec::new();
    let Node::Map(settings) = &entry.value.node else {
        faults.push(fault(
            entry.line,
            format!("the service {} is not a table", entry.key),
        ));
        return Draft { need, depends };
    };
    for setting in settings {
        let (key, value) = (setting.key.as_str(), &setting.value);
        match key {
            "image" => need.image = text(value, key, faults).unwrap_or_default(),
            "command" => need.command = argv(value, key, faults),
            "entrypoint" => need.entrypoint = argv(value, key, faults),
            "environment" => need.env = environment(value, faults),
            "user" => need.user = text(value, key, faults),
            "working_dir" => need.folder = text(value, key, faults),
            "hostname" => need.hostname = text(value, key, faults),
            "mem_limit" => need.memory = bytes(value, key, faults),
            "shm_size" => need.shared_memory = bytes(value, key, faults),
            "tmpfs" => {
                for place in one_or_more(value, key, faults) {
                    let (place, options) = place.split_once(':').unwrap_or((&place, ""));
                    need.tmpfs.insert(place.to_owned(), options.to_owned());
                }
            }
            "volumes" => mounts::read(value, file, &mut need, faults),
            "healthcheck" => need.health = health(value, faults),
            "depends_on" => depends = dependencies(value, faults),
            "networks" => need.aliases = aliases(value, faults),
            // Nobody outside the test reaches it; it lives for minutes; other programs' marks.
            "ports" | "expose" | "container_name" | "restart" | "labels" | "logging" | "profiles"
            | "stop_grace_period" | "stop_signal" | "pull_policy" | "build" | "annotations" => {}
            other if other.starts_with("x-") => {}
            other => faults.push(fault(
                setting.line,
                format!("`{other}` of {} is not supported", entry.key),
            )),
        }
    }
    if settings.iter().all(|setting| setting.key != "image") {
        let own_build = settings.iter().find(|setting| setting.key == "build");
        let (line, why) = match own_build {
            Some(build) => (build.line, "is built: a dependency needs an existing image"),
            None => (entry.line, "has no `image`"),
        };
        faults.push(fault(line, format!("{} {why}", entry.key)));
    }
    Draft { need, depends }
}

/// A table, or a list of `NAME=value`.
pub(super) fn environment(tree: &Tree, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let from_outside = |line, name: &str| {
        fault(
            line,
            format!("`environment` takes {name} from the environment, which is not used: give it a value"),
        )
    };
    match &tree.node {
        Node::Map(entries) => {
            for entry in entries {
                if entry.value.node == Node::Nothing {
                    faults.push(from_outside(entry.line, &entry.key));
                } else if let Some(value) = text(&entry.value, "environment", faults) {
                    env.insert(entry.key.clone(), value);
                }
            }
        }
        Node::List(items) => {
            for item in items {
                let Some(pair) = text(item, "environment", faults) else {
                    continue;
                };
                match pair.split_once('=') {
                    Some((name, value)) => drop(env.insert(name.to_owned(), value.to_owned())),
                    None => faults.push(from_outside(item.line, &pair)),
                }
            }
        }
        Node::Nothing => {}
        Node::Text(_) => faults.push(tree.fault("`environment` is neither a table nor a list")),
    }
    env
}

pub(super) fn health(tree: &Tree, faults: &mut Faults) -> Option<HealthCheck> {
    let Node::Map(settings) = &tree.node else {
        faults.push(tree.fault("`healthcheck` is not a table"));
        return None;
    };
    let mut check = HealthCheck::default();
    for setting in settings {
        let (key, value) = (setting.key.as_str(), &setting.value);
        match key {
            "test" => {
                check.test = match &value.node {
                    Node::Text(_) => text(value, key, faults)
                        .map(|line| vec!["CMD-SHELL".to_owned(), line])
                        .unwrap_or_default(),
                    Node::Nothing | Node::List(_) | Node::Map(_) => texts(value, key, faults),
                };
            }
            "interval" => check.interval = span(value, key, faults),
            "timeout" => check.timeout = span(value, key, faults),
            "start_period" => check.start_period = span(value, key, faults),
            "retries" => {
                check.retries = text(value, key, faults).and_then(|number| number.parse().ok());
                if check.retries.is_none() {
                    faults.push(value.fault("`retries` is not a number"));
                }
            }
            // Newer daemons ask more often at first; older ones do not know it.
            "start_interval" => drop::<Option<Duration>>(span(value, key, faults)),
            "disable" => {
                if text(value, key, faults).as_deref() == Some("true") {
                    check.test = vec!["NONE".to_owned()];
                }
            }
            other => faults.push(fault(
                setting.line,
                format!("`{other}` of `healthcheck` is not supported"),
            )),
        }
    }
    Some(check)
}

/// A list, or a table with conditions.
fn dependencies(tree: &Tree, faults: &mut Faults) -> Vec<(String, Waits, usize)> {
    let Node::Map(entries) = &tree.node else {
        let names = texts(tree, "depends_on", faults);
        return names
            .into_iter()
            .map(|name| (name, Waits::Started, tree.line))
            .collect();
    };
    let mut found = Vec::new();
    for entry in entries {
        let mut waits = Waits::Started;
        if let Node::Map(settings) = &entry.value.node {
            for setting in settings {
                match (setting.key.as_str(), &setting.value.node) {
                    ("condition", Node::Text(word)) if word == "service_started" => {}
                    ("condition", Node::Text(word)) if word == "service_healthy" => waits = Waits::Healthy,
                    // What ends or is absent is no need.
                    ("restart" | "required", _) => {}
                    ("condition", Node::Text(word)) => faults.push(fault(
                        setting.line,
                        format!(
                            "the condition `{word}` is not supported: a dependency runs while the test runs"
                        ),
                    )),
                    (other, _) => faults.push(fault(
                        setting.line,
                        format!("`{other}` of `depends_on` is not supported"),
                    )),
                }
            }
        }
        found.push((entry.key.clone(), waits, entry.line));
    }
    found
}

/// All are on one network of the test's own; only the names they have there count.
fn aliases(tree: &Tree, faults: &mut Faults) -> Vec<String> {
    let Node::Map(networks) = &tree.node else {
        if tree.node != Node::Nothing {
            texts(tree, "networks", faults);
        }
        return Vec::new();
    };
    let mut names = Vec::new();
    for network in networks {
        let Node::Map(settings) = &network.value.node else {
            continue;
        };
        for setting in settings {
            match setting.key.as_str() {
                "aliases" => names.extend(texts(&setting.value, "aliases", faults)),
                "priority" => {}
                other => faults.push(fault(
                    setting.line,
                    format!("`{other}` of `networks` is not supported"),
                )),
            }
        }
    }
    names
}

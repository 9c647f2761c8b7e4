//! A service of a compose file as the settings of a replica: the subset that applies to one container on a remote host.
//! The image is the release's own; what does not apply is refused by name and place, never ignored.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::places::{self, Project};
use super::service::{environment, health};
use super::text::{argv, bytes, one_or_more, span, text, texts};
use super::yaml::{self, Entry, Node, Tree};
use super::{ComposeFault, Faults};
use crate::config::fault::Wrong;
use crate::config::options::Log;
use crate::config::read::{options, spec as words};
use crate::config::service::Spec;

/// What a compose file means where it says nothing.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Of the image, which is the release's own.
const OF_IMAGE: &[&str] = &["image", "build", "pull_policy"];

/// Keys of a service that are not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left<'a> {
    /// Because somebody said so: each must be there.
    pub without: &'a [String],
    /// Because something else is said in their place.
    pub replaced: &'a [&'static str],
}

/// The service `wanted` of `text`; paths in it begin at `folder`. On failure every fault.
pub fn replica(text: &str, folder: &Path, wanted: &str, left: Left<'_>) -> Result<Spec, Vec<ComposeFault>> {
    let root = yaml::read(text).map_err(|fault| vec![fault])?;
    let mut faults = Faults::new();
    let project = Project::of(&root, folder, &mut faults);
    let mut spec = Spec {
        stop_grace: STOP_GRACE,
        ..Spec::default()
    };
    let services = match &root.node {
        Node::Map(entries) => entries.iter().find(|entry| entry.key == "services"),
        Node::Nothing | Node::Text(_) | Node::List(_) => None,
    };
    if let Some(Node::Map(services)) = services.map(|entry| &entry.value.node) {
        if let Some(entry) = services.iter().find(|entry| entry.key == wanted) {
            one(entry, &project, left, &mut spec, &mut faults);
        } else {
            let known: Vec<&str> = services.iter().map(|entry| entry.key.as_str()).collect();
            let known = known.join(", ");
            faults.push(root.fault(format!("no service is called {wanted:?}: there are {known}")));
        }
    } else {
        faults.push(root.fault("a compose file has a table `services`"));
    }
    if faults.is_empty() {
        return Ok(spec);
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.dedup();
    Err(faults)
}

impl Left<'_> {
    fn has(self, key: &str) -> bool {
        self.without.iter().any(|left| left == key) || self.replaced.contains(&key)
    }
}

fn one(entry: &Entry, project: &Project<'_>, left: Left<'_>, spec: &mut Spec, faults: &mut Faults) {
    let Node::Map(settings) = &entry.value.node else {
        faults.push(entry.fault(format!("the service {} is not a table", entry.key)));
        return;
    };
    let has = |key: &str| settings.iter().any(|setting| setting.key == key);
    for key in left.without.iter().filter(|key| !has(key)) {
        faults.push(entry.fault(format!("{} has no `{key}` to leave out", entry.key)));
    }
    for setting in settings {
        let key = setting.key.as_str();
        if left.has(key) || OF_IMAGE.contains(&key) || key.starts_with("x-") {
            continue;
        }
        let known = basic(setting, project, spec, faults)
            || confined(setting, spec, faults)
            || places::read(setting, entry, project, spec, faults);
        if !known {
            faults.push(setting.fault(format!(
                "`{key}` of {} is not supported here: compose_without = [{key:?}] ignores it",
                entry.key
            )));
        }
    }
    if !has("networks") && !left.has("networks") {
        places::default_network(entry, project, spec);
    }
}

/// What it runs, and how long it lives.
fn basic(setting: &Entry, project: &Project<'_>, spec: &mut Spec, faults: &mut Faults) -> bool {
    let (key, value) = (setting.key.as_str(), &setting.value);
    match key {
        "command" => spec.command = argv(value, key, faults),
        "entrypoint" => spec.entrypoint = argv(value, key, faults),
        // What is said by name comes before what a file says.
        "environment" => spec.env.extend(environment(value, faults)),
        "env_file" => {
            for (name, found) in env_files(value, project, faults) {
                spec.env.entry(name).or_insert(found);
            }
        }
        "labels" => spec.labels = labels(value, faults),
        "user" => spec.user = text(value, key, faults),
        "restart" => spec.restart = parsed(value, key, faults, words::restart).unwrap_or_default(),
        "stop_signal" => spec.stop_signal = parsed(value, key, faults, words::signal),
        "stop_grace_period" => spec.stop_grace = span(value, key, faults).unwrap_or(STOP_GRACE),
        "working_dir" => spec.options.working_dir = text(value, key, faults),
        "healthcheck" => spec.options.healthcheck = health(value, faults),
        "logging" => spec.options.log = logging(value, faults),
        _ => return false,
    }
    true
}

/// What it may do and use.
fn confined(setting: &Entry, spec: &mut Spec, faults: &mut Faults) -> bool {
    let (key, value) = (setting.key.as_str(), &setting.value);
    match key {
        "read_only" => spec.options.read_only = truth(value, key, faults),
        "init" => spec.options.init = truth(value, key, faults),
        "cap_add" => spec.options.cap_add = capabilities(value, key, faults),
        "cap_drop" => spec.options.cap_drop = capabilities(value, key, faults),
        "tmpfs" => {
            for place in one_or_more(value, key, faults) {
                let (place, options) = place.split_once(':').unwrap_or((&place, ""));
                spec.options.tmpfs.insert(place.to_owned(), options.to_owned());
            }
        }
        "security_opt" => {
            for word in texts(value, key, faults) {
                match word.as_str() {
                    "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true" => {
                        spec.options.no_new_privileges = true;
                    }
                    other => faults.push(value.fault(format!("`security_opt`: {other:?} is not supported"))),
                }
            }
        }
        "mem_limit" => spec.memory = bytes(value, key, faults),
        "cpus" => spec.cpus = number(value, key, faults),
        "pids_limit" => spec.options.pids = number(value, key, faults),
        "deploy" => limits(value, spec, faults),
        _ => return false,
    }
    true
}

pub(super) fn parsed<T>(
    value: &Tree,
    key: &str,
    faults: &mut Faults,
    parse: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Option<T> {
    match parse(&text(value, key, faults)?) {
        Ok(found) => Some(found),
        Err(wrong) => {
            let hint = wrong.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            faults.push(value.fault(format!("`{key}`: {}{hint}", wrong.what)));
            None
        }
    }
}

fn number<T: std::str::FromStr>(value: &Tree, key: &str, faults: &mut Faults) -> Option<T> {
    parsed(value, key, faults, |text| {
        text.parse()
            .ok()
            .ok_or_else(|| Wrong::new(format!("{text:?} is not a usable number")))
    })
}

pub(super) fn truth(value: &Tree, key: &str, faults: &mut Faults) -> bool {
    parsed(value, key, faults, |text| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::new(format!("{text:?} is neither `true` nor `false`"))),
    })
    .unwrap_or_default()
}

fn capabilities(value: &Tree, key: &str, faults: &mut Faults) -> Vec<String> {
    let mut found = Vec::new();
    for word in texts(value, key, faults) {
        match options::capability(&word) {
            Ok(name) => found.push(name),
            Err(wrong) => faults.push(value.fault(format!("`{key}`: {}", wrong.what))),
        }
    }
    found
}

/// A table, or a list of `name=value`.
fn labels(value: &Tree, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    match &value.node {
        Node::Map(entries) => {
            for entry in entries {
                let text = match entry.value.node {
                    Node::Nothing => Some(String::new()),
                    Node::Text(_) | Node::List(_) | Node::Map(_) => text(&entry.value, "labels", faults),
                };
                found.extend(text.map(|text| (entry.key.clone(), text)));
            }
        }
        Node::Nothing | Node::Text(_) | Node::List(_) => {
            for pair in texts(value, "labels", faults) {
                let (name, text) = pair.split_once('=').unwrap_or((&pair, ""));
                found.insert(name.to_owned(), text.to_owned());
            }
        }
    }
    if let Some(name) = found.keys().find(|name| name.starts_with("pilothouse.")) {
        faults.push(value.fault(format!("{name:?} is one of Pilothouse's own labels")));
    }
    found
}

fn logging(value: &Tree, faults: &mut Faults) -> Option<Log> {
    let Node::Map(settings) = &value.node else {
        faults.push(value.fault("`logging` is not a table"));
        return None;
    };
    let mut log = Log {
        driver: "json-file".to_owned(),
        options: BTreeMap::new(),
    };
    for setting in settings {
        match (setting.key.as_str(), &setting.value.node) {
            ("driver", _) => log.driver = text(&setting.value, "driver", faults)?,
            ("options", Node::Map(options)) => {
                for option in options {
                    let text = text(&option.value, &option.key, faults);
                    log.options.extend(text.map(|text| (option.key.clone(), text)));
                }
            }
            (other, _) => faults.push(setting.fault(format!("`{other}` of `logging` is not supported"))),
        }
    }
    Some(log)
}

/// `deploy.resources.limits`, and nothing else of `deploy`.
fn limits(value: &Tree, spec: &mut Spec, faults: &mut Faults) {
    fn inner<'t>(value: &'t Tree, path: &str, key: &str, faults: &mut Faults) -> Option<&'t Tree> {
        let Node::Map(settings) = &value.node else {
            faults.push(value.fault(format!("`{path}` is not a table")));
            return None;
        };
        for other in settings.iter().filter(|setting| setting.key != key) {
            faults.push(other.fault(format!("`{path}.{}` is not supported", other.key)));
        }
        settings
            .iter()
            .find(|setting| setting.key == key)
            .map(|setting| &setting.value)
    }
    let Some(resources) = inner(value, "deploy", "resources", faults) else {
        return;
    };
    let Some(limits) = inner(resources, "deploy.resources", "limits", faults) else {
        return;
    };
    let Node::Map(settings) = &limits.node else {
        faults.push(limits.fault("`deploy.resources.limits` is not a table"));
        return;
    };
    for setting in settings {
        let (key, value) = (setting.key.as_str(), &setting.value);
        match key {
            "memory" => spec.memory = bytes(value, key, faults),
            "cpus" => spec.cpus = number(value, key, faults),
            "pids" => spec.options.pids = number(value, key, faults),
            other => {
                faults.push(setting.fault(format!("`deploy.resources.limits.{other}` is not supported")));
            }
        }
    }
}

/// One path, or a list of them; the later ones come first.
fn env_files(value: &Tree, project: &Project<'_>, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in one_or_more(value, "env_file", faults) {
        let file = project.folder.join(&path);
        let content = match std::fs::read_to_string(&file) {
            Ok(content) => content,
            Err(error) => {
                faults.push(value.fault(format!("`env_file` {}: {error}", file.display())));
                continue;
            }
        };
        for (n, line) in content.lines().enumerate() {
            match variable(line) {
                Ok(pair) => found.extend(pair),
                Err(why) => faults.push(value.fault(format!("`env_file` {path}, line {}: {why}", n + 1))),
            }
        }
    }
    found
}

/// `NAME=value`, quoted or not; what takes from an environment is refused.
fn variable(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or("it is no `NAME=value`")?;
    let (name, value) = (name.trim(), value.trim());
    let quoted = |quote| {
        let inner = value.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    };
    if let Some(inner) = quoted('\'') {
        return Ok(Some((name.to_owned(), inner.to_owned())));
    }
    if value.contains(['$', '\\']) || name.contains(char::is_whitespace) {
        return Err("only plain values are understood: no `$`, no `\\`");
    }
    let value = match quoted('"') {
        Some(inner) => inner,
        None if value.contains(['"', '\'']) => return Err("a quote in it is not supported"),
        // A remark behind the value.
        None => value.split(" #").next().unwrap_or(value).trim_end(),
    };
    Ok(Some((name.to_owned(), value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_an_env_file_is_a_plain_pair_or_refused() {
        let pair = |line| variable(line).unwrap().unwrap().1;
        assert_eq!(pair("A=b # remark"), "b");
        assert_eq!(pair("A='$b # c'"), "$b # c");
        assert_eq!(pair("A=\"b c\""), "b c");
        assert_eq!(pair("A="), "");
        assert_eq!(variable("# A=b").unwrap(), None);
        for line in ["A", "A=$B", "export A=b", "A=b\"c", "A=\\n"] {
            assert!(variable(line).is_err(), "{line}");
        }
    }
}

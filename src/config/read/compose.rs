//! `compose = "compose.yaml"`, `compose_service = "web"`: settings of a deploy from a compose file.
//! Read with the configuration, so that refusals have a place; keys of the deploy take precedence.

use super::super::compose;
use super::super::fault::{ConfigFault, Wrong};
use super::super::section::Section;
use super::super::service::Spec;

/// Longer is no compose file.
const LARGEST: u64 = 1 << 20;

/// What is said as a whole beside the file, and what it is called there.
const REPLACED: &[(&str, &str)] = &[
    ("command", "command"),
    ("entrypoint", "entrypoint"),
    ("user", "user"),
    ("restart", "restart"),
    ("stop_signal", "stop_signal"),
    ("stop_grace", "stop_grace_period"),
    ("ports", "ports"),
    ("volumes", "volumes"),
    ("networks", "networks"),
    ("memory", "mem_limit"),
    ("cpus", "cpus"),
    ("pids", "pids_limit"),
    ("read_only", "read_only"),
    ("no_new_privileges", "security_opt"),
    ("init", "init"),
    ("tmpfs", "tmpfs"),
    ("cap_add", "cap_add"),
    ("cap_drop", "cap_drop"),
    ("extra_hosts", "extra_hosts"),
    ("log", "logging"),
    ("working_dir", "working_dir"),
    ("healthcheck", "healthcheck"),
];

/// `None` where there is none, or it has faults.
pub(super) fn read(section: &mut Section<'_>) -> Option<Spec> {
    let file = section.take("compose");
    let service = section.take("compose_service");
    let without = section.take("compose_without");
    let Some(file) = file else {
        for other in service.iter().chain(&without) {
            other.fault(
                Wrong::new(format!("`{}` needs `compose`, which is missing", other.key))
                    .hint("compose = \"compose.yaml\""),
            );
        }
        return None;
    };
    let Some(service) = service else {
        file.fault(Wrong::new("which of its services is meant?").hint("compose_service = \"web\""));
        return None;
    };
    let without = without.map_or(Some(Vec::new()), |value| value.texts())?;
    let (path, name) = (file.path()?, service.word()?);
    let text = match content(&path) {
        Ok(text) => text,
        Err(error) => {
            file.fault(Wrong::new(format!("{}: {error}", path.display())));
            return None;
        }
    };
    let folder = path.parent().unwrap_or(&path);
    let replaced = REPLACED.iter().filter(|(own, _)| section.has(own));
    let replaced: Vec<&str> = replaced.map(|(_, composed)| *composed).collect();
    let left = compose::Left {
        without: &without,
        replaced: &replaced,
    };
    match compose::replica(&text, folder, name, left) {
        Ok(spec) => Some(spec),
        Err(faults) => {
            let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            for fault in faults {
                section.place.faults.add_new(ConfigFault {
                    file: path.clone(),
                    line: small(fault.line),
                    column: small(fault.column).max(u32::from(fault.line > 0)),
                    what: fault.what,
                    hint: None,
                });
            }
            None
        }
    }
}

fn content(path: &std::path::Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LARGEST {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path)
}

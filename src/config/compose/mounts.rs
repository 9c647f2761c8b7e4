//! `volumes` of a compose service: new volumes of the test, tmpfs mounts, single files to copy in.
//! Folders are refused: those of this machine do not exist on the test's host, and a test must not use the host's own.

use std::path::Path;

use super::text::{text, texts};
use super::yaml::{Entry, Node, Tree};
use super::{Faults, File, fault};
use crate::config::test::{Need, NeedVolume};

pub(super) fn read(tree: &Tree, file: &File<'_>, need: &mut Need, faults: &mut Faults) {
    let Node::List(items) = &tree.node else {
        faults.push(fault(tree.line, "`volumes` is not a list"));
        return;
    };
    for item in items {
        let mount = match &item.node {
            Node::Map(settings) => long(item.line, settings, need, faults),
            Node::Nothing | Node::Text(_) | Node::List(_) => short(item, faults),
        };
        if let Some(mount) = mount {
            put(item.line, mount, file, need, faults);
        }
    }
}

struct Mount {
    /// A name, a path, or nothing for one of its own.
    source: Option<String>,
    target: String,
    read_only: bool,
}

/// `/data`, `data:/data`, `./init.sql:/docker-entrypoint-initdb.d/init.sql:ro`
fn short(item: &Tree, faults: &mut Faults) -> Option<Mount> {
    let line = text(item, "volumes", faults)?;
    let mut parts = line.split(':');
    let (first, second, mode) = (parts.next()?, parts.next(), parts.next());
    let mode = mode.unwrap_or_default();
    if parts.next().is_some() {
        faults.push(fault(item.line, format!("{line:?} has more than three parts")));
        return None;
    }
    Some(Mount {
        source: second.map(|_| first.to_owned()),
        target: second.unwrap_or(first).to_owned(),
        read_only: mode.split(',').any(|word| word == "ro"),
    })
}

/// `{ type: volume, source: data, target: /data }`; places in memory are put in at once.
fn long(line: usize, settings: &[Entry], need: &mut Need, faults: &mut Faults) -> Option<Mount> {
    let (mut kind, mut source, mut target, mut read_only) = (None, None, None, false);
    let mut options = Vec::new();
    for setting in settings {
        let (key, value) = (setting.key.as_str(), &setting.value);
        match key {
            "type" => kind = text(value, key, faults),
            "source" => source = text(value, key, faults),
            "target" => target = text(value, key, faults),
            "read_only" => read_only = text(value, key, faults).as_deref() == Some("true"),
            "tmpfs" => options = memory_options(value, faults),
            other => faults.push(fault(
                setting.line,
                format!("`{other}` of `volumes` is not supported"),
            )),
        }
    }
    let Some(target) = target else {
        faults.push(fault(line, "a volume has no `target`"));
        return None;
    };
    match kind.as_deref() {
        Some("volume" | "bind") => Some(Mount {
            source,
            target,
            read_only,
        }),
        Some("tmpfs") => {
            need.tmpfs.insert(target, options.join(","));
            None
        }
        other => {
            let kind = other.unwrap_or("(none)");
            faults.push(fault(
                line,
                format!("the type {kind} of a volume is not supported"),
            ));
            None
        }
    }
}

fn memory_options(tree: &Tree, faults: &mut Faults) -> Vec<String> {
    let Node::Map(settings) = &tree.node else {
        return texts(tree, "tmpfs", faults);
    };
    settings
        .iter()
        .filter_map(|setting| {
            let value = text(&setting.value, "tmpfs", faults)?;
            Some(format!("{}={value}", setting.key))
        })
        .collect()
}

fn put(line: usize, mount: Mount, file: &File<'_>, need: &mut Need, faults: &mut Faults) {
    let target = mount.target.trim_end_matches('/').to_owned();
    if !target.starts_with('/') || target.split('/').any(|part| part == "..") {
        faults.push(fault(
            line,
            format!("{target:?} is not an absolute path in the container"),
        ));
        return;
    }
    match mount.source {
        None => need.volumes.push(NeedVolume {
            name: None,
            target,
            read_only: mount.read_only,
        }),
        Some(source) if source.starts_with(['.', '/', '~']) => {
            let path = file.folder.join(&source);
            if !source.starts_with('.') {
                faults.push(fault(
                    line,
                    format!("{source} is a path of the host, which a test cannot use"),
                ));
            } else if path.is_dir() {
                faults.push(fault(
                    line,
                    format!("{source} is a folder: only single files can be copied into a dependency"),
                ));
            } else {
                need.files.insert(target, plain(&path));
            }
        }
        Some(name) => match file.volumes.get(name.as_str()) {
            None => faults.push(fault(line, format!("no volume is called {name:?}"))),
            Some(Some((line, what))) => faults.push(fault(*line, format!("{what} is not supported"))),
            Some(None) => need.volumes.push(NeedVolume {
                name: Some(name),
                target,
                read_only: mount.read_only,
            }),
        },
    }
}

/// Without `./` in the middle.
fn plain(path: &Path) -> std::path::PathBuf {
    path.components()
        .filter(|part| *part != std::path::Component::CurDir)
        .collect()
}

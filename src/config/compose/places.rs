//! How a compose service is connected: ports, volumes, networks, names and secrets.
//! Names are those that Compose creates: `shop_data` for `data`; external ones keep their name.

use std::path::Path;

use super::Faults;
use super::replica::{parsed, truth};
use super::text::{text, texts};
use super::yaml::{Entry, Node, Tree};
use crate::config::fault::Wrong;
use crate::config::read::{options, spec as words};
use crate::config::service::{Publish, Secret, SecretFile, Spec};

/// What the file as a whole says.
pub(super) struct Project<'t> {
    pub(super) folder: &'t Path,
    name: String,
    volumes: &'t [Entry],
    networks: &'t [Entry],
    secrets: &'t [Entry],
}

impl<'t> Project<'t> {
    pub(super) fn of(root: &'t Tree, folder: &'t Path, faults: &mut Faults) -> Self {
        let own = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let is_kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let mut project = Self {
            folder,
            name: own.chars().filter(is_kept).collect(),
            volumes: &[],
            networks: &[],
            secrets: &[],
        };
        let Node::Map(entries) = &root.node else {
            return project;
        };
        for entry in entries {
            let part = match &entry.value.node {
                Node::Map(part) => part.as_slice(),
                Node::Nothing | Node::Text(_) | Node::List(_) => &[],
            };
            match entry.key.as_str() {
                "name" => project.name = text(&entry.value, "name", faults).unwrap_or_default(),
                "volumes" => project.volumes = part,
                "networks" => project.networks = part,
                "secrets" => project.secrets = part,
                "include" => faults.push(entry.fault("`include` is not supported")),
                _ => {}
            }
        }
        project
    }

    /// What it is called on the host. A network or volume is there, or is refused before a release begins.
    fn real(&self, declared: &[Entry], name: &str, at: &Tree, faults: &mut Faults) -> String {
        let composed = format!("{}_{name}", self.name);
        let Some(entry) = declared.iter().find(|entry| entry.key == name) else {
            if name != "default" {
                faults.push(at.fault(format!("{name:?} is not declared in the file")));
            }
            return composed;
        };
        let Node::Map(settings) = &entry.value.node else {
            return composed;
        };
        let (mut own, mut external) = (None, false);
        for setting in settings {
            match setting.key.as_str() {
                "name" => own = text(&setting.value, "name", faults),
                "external" => external = truth(&setting.value, "external", faults),
                // How it would be made: it is there already.
                "labels" => {}
                other => faults.push(setting.fault(format!("`{other}` of {name} is not supported"))),
            }
        }
        own.unwrap_or(if external { name.to_owned() } else { composed })
    }
}

/// `false`: it is no key of these.
pub(super) fn read(
    setting: &Entry,
    service: &Entry,
    project: &Project<'_>,
    spec: &mut Spec,
    faults: &mut Faults,
) -> bool {
    let value = &setting.value;
    match setting.key.as_str() {
        "ports" => {
            for item in items(value, "ports", faults) {
                spec.ports.extend(port(item, faults));
            }
        }
        "volumes" => {
            for item in items(value, "volumes", faults) {
                volume(item, project, spec, faults);
            }
        }
        "networks" => networks(value, service, project, spec, faults),
        "extra_hosts" => extra_hosts(value, spec, faults),
        "secrets" => {
            for item in items(value, "secrets", faults) {
                secret(item, project, spec, faults);
            }
        }
        _ => return false,
    }
    true
}

fn items<'t>(value: &'t Tree, key: &str, faults: &mut Faults) -> &'t [Tree] {
    match &value.node {
        Node::List(items) => items,
        Node::Nothing => &[],
        Node::Text(_) | Node::Map(_) => {
            faults.push(value.fault(format!("`{key}` is not a list")));
            &[]
        }
    }
}

/// `"8080:80"`, or `{ target: 80, published: "8080" }`
fn port(item: &Tree, faults: &mut Faults) -> Option<Publish> {
    let Node::Map(settings) = &item.node else {
        return parsed(item, "ports", faults, words::publish);
    };
    let (mut outside, mut inside, mut address, mut protocol) = (None, None, None, None);
    for setting in settings {
        let (key, value) = (setting.key.as_str(), &setting.value);
        match key {
            "target" => inside = text(value, key, faults),
            "published" => outside = text(value, key, faults),
            "host_ip" => address = text(value, key, faults),
            "protocol" => protocol = text(value, key, faults),
            // A name for people.
            "name" => {}
            other => faults.push(setting.fault(format!("`{other}` of `ports` is not supported"))),
        }
    }
    let address = address.map(|address| {
        if address.contains(':') {
            format!("[{address}]:")
        } else {
            format!("{address}:")
        }
    });
    let whole = format!(
        "{}{}:{}/{}",
        address.unwrap_or_default(),
        outside.unwrap_or_default(),
        inside.unwrap_or_default(),
        protocol.as_deref().unwrap_or("tcp")
    );
    words::publish(&whole)
        .map_err(|wrong| faults.push(item.fault(format!("`ports`: {}", wrong.what))))
        .ok()
}

fn volume(item: &Tree, project: &Project<'_>, spec: &mut Spec, faults: &mut Faults) {
    let (mut kind, mut source, mut target, mut read_only) = ("volume".to_owned(), None, None, false);
    if let Node::Map(settings) = &item.node {
        for setting in settings {
            let (key, value) = (setting.key.as_str(), &setting.value);
            match key {
                "type" => kind = text(value, key, faults).unwrap_or_default(),
                "source" => source = text(value, key, faults),
                "target" => target = text(value, key, faults),
                "read_only" => read_only = truth(value, key, faults),
                other => faults.push(setting.fault(format!("`{other}` of `volumes` is not supported"))),
            }
        }
    } else if let Some(line) = text(item, "volumes", faults) {
        let mut parts = line.split(':').map(str::to_owned);
        let first = parts.next();
        (source, target) = match parts.next() {
            Some(target) => (first, Some(target)),
            None => (None, first),
        };
        match parts.next().as_deref() {
            None | Some("rw") => {}
            Some("ro") => read_only = true,
            Some(other) => {
                faults.push(item.fault(format!("`volumes`: the mode {other:?} is not supported")));
            }
        }
    }
    let target = target.unwrap_or_default();
    if kind == "tmpfs" {
        spec.options.tmpfs.insert(target, String::new());
        return;
    }
    let Some(source) = source else {
        let why = "has no name: it would start empty with every release, and be left over afterwards";
        faults.push(item.fault(format!("the volume at {target} {why}")));
        return;
    };
    let is_place = source.starts_with(['.', '/', '~']);
    let source = if is_place {
        source
    } else {
        project.real(project.volumes, &source, item, faults)
    };
    let mode = if read_only { ":ro" } else { "" };
    match words::mount(&format!("{source}:{target}{mode}")) {
        Ok(mount) => spec.volumes.push(mount),
        Err(wrong) => faults.push(item.fault(format!("`volumes`: {}", wrong.what))),
    }
}

/// Without a word about networks a service is in the project's own.
pub(super) fn default_network(service: &Entry, project: &Project<'_>, spec: &mut Spec) {
    let mut none = Faults::new();
    let name = project.real(project.networks, "default", &service.value, &mut none);
    spec.aliases.insert(name.clone(), vec![service.key.clone()]);
    spec.networks.push(name);
}

fn networks(value: &Tree, service: &Entry, project: &Project<'_>, spec: &mut Spec, faults: &mut Faults) {
    let mut join = |name: &str, at: &Tree, more: Vec<String>, faults: &mut Faults| {
        let real = project.real(project.networks, name, at, faults);
        let mut names = vec![service.key.clone()];
        names.extend(more);
        spec.aliases.insert(real.clone(), names);
        spec.networks.push(real);
    };
    let Node::Map(entries) = &value.node else {
        for item in items(value, "networks", faults) {
            if let Some(name) = text(item, "networks", faults) {
                join(&name, item, Vec::new(), faults);
            }
        }
        return;
    };
    for entry in entries {
        let mut aliases = Vec::new();
        match &entry.value.node {
            Node::Map(settings) => {
                for setting in settings {
                    match setting.key.as_str() {
                        "aliases" => aliases.extend(texts(&setting.value, "aliases", faults)),
                        other => {
                            faults.push(setting.fault(format!("`{other}` of `networks` is not supported")));
                        }
                    }
                }
            }
            Node::Nothing => {}
            Node::Text(_) | Node::List(_) => {
                faults.push(entry.fault(format!("the network {} is not a table", entry.key)));
            }
        }
        join(&entry.key, &entry.value, aliases, faults);
    }
}

/// A list of `name:address` or `name=address`, or a table.
fn extra_hosts(value: &Tree, spec: &mut Spec, faults: &mut Faults) {
    let mut pairs: Vec<(String, String, &Tree)> = Vec::new();
    if let Node::Map(entries) = &value.node {
        for entry in entries {
            let address = text(&entry.value, "extra_hosts", faults);
            pairs.extend(address.map(|address| (entry.key.clone(), address, &entry.value)));
        }
    } else {
        for item in items(value, "extra_hosts", faults) {
            let Some(line) = text(item, "extra_hosts", faults) else {
                continue;
            };
            match line.split_once('=').or_else(|| line.split_once(':')) {
                Some((name, address)) => pairs.push((name.to_owned(), address.to_owned(), item)),
                None => faults.push(item.fault(format!("{line:?} is not a name with an address"))),
            }
        }
    }
    for (name, address, at) in pairs {
        match options::known_address(&address) {
            Ok(address) => drop(spec.options.extra_hosts.insert(name, address)),
            Err(wrong) => faults.push(at.fault(format!("`extra_hosts`: {}", wrong.what))),
        }
    }
}

/// Compose's own default: everybody in the container may read it.
const MODE: u32 = 0o444;

fn secret(item: &Tree, project: &Project<'_>, spec: &mut Spec, faults: &mut Faults) {
    let (mut name, mut target, mut owner, mut mode) = (None, None, (0, 0), MODE);
    if let Node::Map(settings) = &item.node {
        for setting in settings {
            let (key, value) = (setting.key.as_str(), &setting.value);
            let number = |text: &str| {
                let number = text.parse().ok();
                number.ok_or_else(|| Wrong::new(format!("{text:?} is not a number")))
            };
            match key {
                "source" => name = text(value, key, faults),
                "target" => target = text(value, key, faults),
                "uid" => owner.0 = parsed(value, key, faults, number).unwrap_or_default(),
                "gid" => owner.1 = parsed(value, key, faults, number).unwrap_or_default(),
                "mode" => mode = parsed(value, key, faults, octal).unwrap_or(MODE),
                other => faults.push(setting.fault(format!("`{other}` of `secrets` is not supported"))),
            }
        }
    } else {
        name = text(item, "secrets", faults);
    }
    let Some(name) = name else {
        return;
    };
    let target = target.unwrap_or_else(|| name.clone());
    let path = if target.starts_with('/') {
        target
    } else {
        format!("/run/secrets/{target}")
    };
    let Some(declared) = project.secrets.iter().find(|entry| entry.key == name) else {
        faults.push(item.fault(format!("the secret {name:?} is not declared in the file")));
        return;
    };
    let settings = match &declared.value.node {
        Node::Map(settings) => settings.as_slice(),
        Node::Nothing | Node::Text(_) | Node::List(_) => &[],
    };
    let source = match settings {
        [only] if only.key == "file" => {
            text(&only.value, "file", faults).map(|file| Secret::File(project.folder.join(file)))
        }
        [only] if only.key == "environment" => text(&only.value, "environment", faults).map(Secret::Env),
        _ => {
            faults.push(declared.fault(format!(
                "the secret {name} comes from neither one `file` nor one `environment`"
            )));
            None
        }
    };
    let file = source.map(|source| SecretFile {
        source,
        path,
        uid: owner.0,
        gid: owner.1,
        mode,
    });
    spec.files.extend(file.map(|file| (name, file)));
}

/// `0440`, `"0440"`, `0o440`
fn octal(text: &str) -> Result<u32, Wrong> {
    let digits = text.trim_start_matches("0o").trim_start_matches('0');
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o777)
        .ok_or_else(|| Wrong::new(format!("{text:?} is not a file mode")))
}

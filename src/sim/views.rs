//! Containers as Docker's JSON shows them: a row of the list, an inspection.

use serde_json::{Map, Value, json};

use super::clock::{human, rfc3339};
use super::container::{Container, Health, Mounted, Phase};
use super::health;
use super::http::{Answer, Ask, Refused, bad, ok};
use super::ports;
use super::world::{World, text};

const ADMITTED: [&str; 20] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "label!",
    "role",
    "desired-state",
    "node",
    "service",
];

impl World {
    pub(super) fn list(&self, ask: &Ask) -> Answer {
        let filters = ask.filters()?;
        if let Some(unknown) = filters.keys().find(|key| !ADMITTED.contains(key)) {
            return Err(bad(format!("Invalid filter '{unknown}'")));
        }
        for status in filters.get("status") {
            if !STATES.contains(&status.as_str()) {
                return Err(bad(format!("Invalid filter 'status={status}'")));
            }
        }
        let all = ask.flag("all") || filters.has("status") || ask.query("limit").is_some();
        let ancestors: Vec<String> = filters
            .get("ancestor")
            .iter()
            .filter_map(|name| self.images.find(name).map(|image| image.id.clone()))
            .collect();
        let mut rows: Vec<&Container> = self
            .containers
            .values()
            .filter(|container| all || container.is_up() || container.phase == Phase::Restarting)
            .filter(|container| {
                filters.admits("id", |wanted| container.id.starts_with(wanted))
                    && filters.admits("name", |wanted| {
                        let slashed = format!("/{}", container.name);
                        regex::Regex::new(wanted).map_or_else(
                            |_| slashed.contains(wanted),
                            |pattern| pattern.is_match(&slashed) || pattern.is_match(&container.name),
                        )
                    })
                    && filters.admits("status", |wanted| state_word(container) == wanted)
                    && filters.admits("health", |wanted| health::word(container.health) == wanted)
                    && filters.admits("exited", |wanted| {
                        container.phase == Phase::Exited && container.exit_code.to_string() == wanted
                    })
                    && filters.admits("volume", |wanted| {
                        container
                            .mounts
                            .iter()
                            .any(|mount| mount.source == wanted || mount.target == wanted)
                    })
                    && filters.admits("network", |wanted| {
                        container.networks.contains_key(&self.network_name(wanted))
                    })
                    && (!filters.has("ancestor") || ancestors.contains(&container.image_id))
                    && filters.admits_labels(container.labels())
            })
            .collect();
        rows.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        if let Some(limit) = ask.query("limit").and_then(|text| text.parse().ok())
            && limit > 0
        {
            rows.truncate(limit);
        }
        let rows: Vec<Value> = rows.into_iter().map(|row| self.row(row)).collect();
        Ok(ok(&Value::Array(rows)))
    }

    fn row(&self, container: &Container) -> Value {
        json!({
            "Id": container.id,
            "Names": [format!("/{}", container.name)],
            "Image": self.shown_image(container),
            "ImageID": container.image_id,
            "Command": command(container),
            "Created": container.created.seconds(),
            "Ports": ports::listed(container),
            "Labels": match container.labels() { Value::Null => json!({}), labels => labels.clone() },
            "State": state_word(container),
            "Status": self.status(container),
            "HostConfig": { "NetworkMode": text(&container.host, "NetworkMode") },
            "NetworkSettings": { "Networks": self.networks_view(container) },
            "Mounts": mounts_view(&container.mounts),
        })
    }

    /// An image whose tag has moved on is shown by its id, as the daemon does.
    fn shown_image(&self, container: &Container) -> String {
        match self.images.find(&container.image) {
            Some(image) if image.id != container.image_id => container.image_id.clone(),
            None if !container.image.is_empty() => container.image_id.clone(),
            _ => container.image.clone(),
        }
    }

    pub(super) fn status(&self, container: &Container) -> String {
        let up = human(container.started.until(self.now));
        let down = human(container.finished.until(self.now));
        match (container.phase, container.health) {
            (Phase::Created, _) => "Created".to_owned(),
            (Phase::Paused, _) => format!("Up {up} (Paused)"),
            (Phase::Restarting, _) => format!("Restarting ({}) {down} ago", container.exit_code),
            (Phase::Exited, _) => format!("Exited ({}) {down} ago", container.exit_code),
            (Phase::Running, Health::Unchecked) => format!("Up {up}"),
            (Phase::Running, Health::Starting) => format!("Up {up} (health: starting)"),
            (Phase::Running, Health::Healthy) => format!("Up {up} (healthy)"),
            (Phase::Running, Health::Unhealthy) => format!("Up {up} (unhealthy)"),
        }
    }

    pub(super) fn inspect(&self, name: &str) -> Result<Value, Refused> {
        let container = self.container(name)?;
        let id = &container.id;
        let argv = container.argv();
        let (path, arguments) = argv
            .split_first()
            .map_or((String::new(), Vec::new()), |(first, rest)| {
                (first.clone(), rest.to_vec())
            });
        let ran = container.started.0 != 0;
        // A start that fails has come as far as the network's files.
        let got_a_network = ran || !container.error.is_empty();
        let file = |name: &str, is_made: bool| {
            if is_made {
                format!("/var/lib/docker/containers/{id}/{name}")
            } else {
                String::new()
            }
        };
        let mut state = json!({
            "Status": state_word(container),
            "Running": container.is_up() || container.phase == Phase::Restarting,
            "Paused": container.phase == Phase::Paused,
            "Restarting": container.phase == Phase::Restarting,
            "OOMKilled": container.oom,
            "Dead": false,
            "Pid": container.pid,
            "ExitCode": container.exit_code,
            "Error": container.error,
            "StartedAt": rfc3339(container.started),
            "FinishedAt": rfc3339(container.finished),
        });
        if let (Some(health), Some(state)) = (self.health_view(container), state.as_object_mut())
            && ran
        {
            state.insert("Health".to_owned(), health);
        }
        let execs: Vec<&String> = self
            .execs
            .iter()
            .filter(|(_, exec)| exec.container == *id && exec.is_open())
            .map(|(id, _)| id)
            .collect();
        let layer = format!("/var/lib/docker/fuse-overlayfs/{id}");
        Ok(json!({
            "Id": id,
            "Created": rfc3339(container.created),
            "Path": path,
            "Args": arguments,
            "State": state,
            "Image": container.image_id,
            "ResolvConfPath": file("resolv.conf", got_a_network),
            "HostnamePath": file("hostname", ran),
            "HostsPath": file("hosts", got_a_network),
            "LogPath": file(&format!("{id}-json.log"), ran),
            "Name": format!("/{}", container.name),
            "RestartCount": container.restarts,
            "Driver": "fuse-overlayfs",
            "Platform": "linux",
            "MountLabel": "",
            "ProcessLabel": "",
            "AppArmorProfile": "",
            "ExecIDs": if execs.is_empty() { Value::Null } else { json!(execs) },
            "HostConfig": container.host,
            "GraphDriver": {
                "Data": {
                    "LowerDir": format!("{layer}-init/diff"),
                    "MergedDir": format!("{layer}/merged"),
                    "UpperDir": format!("{layer}/diff"),
                    "WorkDir": format!("{layer}/work"),
                },
                "Name": "fuse-overlayfs",
            },
            "Mounts": mounts_view(&container.mounts),
            "Config": config_view(container),
            "NetworkSettings": self.network_settings(container),
        }))
    }

    fn network_settings(&self, container: &Container) -> Value {
        let networks = self.networks_view(container);
        let first = networks
            .get("bridge")
            .cloned()
            .filter(|_| container.is_up())
            .unwrap_or(Value::Null);
        let sandbox = if container.is_up() {
            container.id.chars().rev().collect()
        } else {
            String::new()
        };
        let key = if sandbox.is_empty() {
            String::new()
        } else {
            format!("/var/run/docker/netns/{}", sandbox.get(..12).unwrap_or_default())
        };
        json!({
            "Bridge": "",
            "SandboxID": sandbox,
            "HairpinMode": false,
            "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0,
            "Ports": ports::inspected(container),
            "SandboxKey": key,
            "SecondaryIPAddresses": null,
            "SecondaryIPv6Addresses": null,
            "EndpointID": text(&first, "EndpointID"),
            "Gateway": text(&first, "Gateway"),
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "IPAddress": text(&first, "IPAddress"),
            "IPPrefixLen": first.get("IPPrefixLen").cloned().unwrap_or(json!(0)),
            "IPv6Gateway": "",
            "MacAddress": text(&first, "MacAddress"),
            "Networks": networks,
        })
    }

    fn networks_view(&self, container: &Container) -> Value {
        let map: Map<String, Value> = container
            .networks
            .iter()
            .map(|(name, attached)| (name.clone(), self.attached_view(container, name, attached)))
            .collect();
        Value::Object(map)
    }
}

fn config_view(container: &Container) -> Value {
    let mut config = container.config.clone();
    if let Some(object) = config.as_object_mut() {
        object.insert("Image".to_owned(), json!(container.image));
    }
    config
}

const STATES: [&str; 7] = [
    "created",
    "running",
    "paused",
    "restarting",
    "removing",
    "exited",
    "dead",
];

pub(super) fn state_word(container: &Container) -> &'static str {
    match container.phase {
        Phase::Created => "created",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Restarting => "restarting",
        Phase::Exited => "exited",
    }
}

/// `sh -c 'echo hi'`: words with blanks are quoted.
fn command(container: &Container) -> String {
    let words: Vec<String> = container
        .argv()
        .into_iter()
        .map(|word| {
            if word.is_empty() || word.contains(' ') {
                format!("'{word}'")
            } else {
                word
            }
        })
        .collect();
    words.join(" ")
}

fn mounts_view(mounts: &[Mounted]) -> Value {
    let list = mounts
        .iter()
        .map(|mount| {
            if mount.kind == "volume" {
                json!({
                    "Type": "volume",
                    "Name": mount.source,
                    "Source": format!("/var/lib/docker/volumes/{}/_data", mount.source),
                    "Destination": mount.target,
                    "Driver": "local",
                    "Mode": mount.mode,
                    "RW": mount.writable,
                    "Propagation": "",
                })
            } else {
                json!({
                    "Type": "bind",
                    "Source": mount.source,
                    "Destination": mount.target,
                    "Mode": mount.mode,
                    "RW": mount.writable,
                    "Propagation": "rprivate",
                })
            }
        })
        .collect();
    Value::Array(list)
}

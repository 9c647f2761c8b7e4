//! Creating containers: what was asked for, with Docker's defaults filled in.
//! Concurrent creates of one name meet in one world: exactly one of them makes it.

use std::collections::{BTreeMap, VecDeque};

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::behaviour::Behaviour;
use super::container::{Attached, Container, Health, Mounted, Phase, words};
use super::http::{Answer, Refused, bad, broken, conflict, json_reply, missing};
use super::shell;
use super::tree::Tree;
use super::world::{World, text};
use crate::domain::units::Stamp;

impl World {
    pub(super) fn create(&mut self, name: Option<&str>, asked: &Value) -> Answer {
        if asked.is_null() {
            return Err(broken("EOF"));
        }
        let id = self.create_container(name, asked)?;
        Ok(json_reply(
            StatusCode::CREATED,
            &json!({"Id": id, "Warnings": []}),
        ))
    }

    pub(super) fn create_container(&mut self, name: Option<&str>, asked: &Value) -> Result<String, Refused> {
        let image = text(asked, "Image").to_owned();
        let found = if image.is_empty() {
            None
        } else {
            let found = self.images.find(&image).cloned();
            Some(found.ok_or_else(|| missing(format!("No such image: {}", with_tag(&image))))?)
        };
        let mut config = default_config();
        let image_config = found
            .as_ref()
            .map_or(Value::Null, |image| image.container_config().clone());
        merge_config(&mut config, asked, &image_config);
        if image.is_empty()
            && let Some(config) = config.as_object_mut()
        {
            config.insert("Volumes".to_owned(), json!({}));
        }
        if words(config.get("Cmd")).is_empty() && words(config.get("Entrypoint")).is_empty() {
            return Err(bad("No command specified"));
        }
        let host = host_config(asked.get("HostConfig").unwrap_or(&Value::Null));
        let policy = host.get("RestartPolicy").cloned().unwrap_or(Value::Null);
        check_policy(
            text(&policy, "Name"),
            policy
                .get("MaximumRetryCount")
                .and_then(Value::as_i64)
                .unwrap_or(0),
        )?;
        if self.disk_full {
            return Err(broken(
                "write /var/lib/docker/containers/.tmp-config.v2.json: no space left on device",
            ));
        }
        let name = self.admitted_name(name)?;
        let id = self.new_id();
        if text(&config, "Hostname").is_empty()
            && let Some(object) = config.as_object_mut()
        {
            object.insert("Hostname".to_owned(), json!(id.get(..12)));
        }
        let networks = self.asked_networks(asked, &host);
        let mounts = self.asked_mounts(&config, &host, &id);
        let container = Container {
            id: id.clone(),
            name,
            created: self.now,
            image,
            image_id: found.map(|image| image.id).unwrap_or_default(),
            config,
            host,
            mounts,
            networks,
            phase: Phase::Created,
            started: Stamp(0),
            finished: Stamp(0),
            exit_code: 0,
            oom: false,
            error: String::new(),
            pid: 0,
            restarts: 0,
            quick_ends: 0,
            stopped_by_hand: false,
            no_restart: false,
            health: Health::Unchecked,
            failing_streak: 0,
            behaviour: Behaviour::default(),
            planted: None,
            ordered_health: None,
            life: 0,
            lives: VecDeque::new(),
            extra: VecDeque::new(),
            files: Tree::default(),
            paused_at: None,
        };
        self.containers.insert(id.clone(), container);
        self.emit_container(&id, "create", &[]);
        Ok(id)
    }

    pub(super) fn rename(&mut self, id: &str, to: &str) -> Result<(), Refused> {
        if to.is_empty() {
            return Err(bad("Neither old nor new names may be empty"));
        }
        let id = self.find(id)?;
        let old = self.container(&id)?.name.clone();
        if old == to.trim_start_matches('/') {
            return Err(bad("Renaming a container with the same name as its current name"));
        }
        let name = self
            .admitted_name(Some(&format!("/{}", to.trim_start_matches('/'))))
            .map_err(|refused| Refused {
                message: format!("Error when allocating new name: {}", refused.message),
                ..refused
            })?;
        self.container_mut(&id)?.name = name;
        self.emit_container(&id, "rename", &[("oldName", &format!("/{old}"))]);
        Ok(())
    }

    fn admitted_name(&mut self, name: Option<&str>) -> Result<String, Refused> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            let adjective = self
                .rng
                .choice(["bold", "calm", "dreamy", "eager", "keen", "quiet", "vivid"]);
            let noun = self.rng.choice([
                "bell", "curie", "euler", "hopper", "lovelace", "noether", "turing",
            ]);
            let number = self.rng.u16(..);
            return Ok(format!(
                "{}_{}{number}",
                adjective.unwrap_or("calm"),
                noun.unwrap_or("bell")
            ));
        };
        let bare = name.strip_prefix('/').unwrap_or(name);
        let mut letters = bare.chars();
        let well_formed = letters.next().is_some_and(|c| c.is_ascii_alphanumeric())
            && bare.len() > 1
            && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
        if !well_formed {
            return Err(bad(format!(
                "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )));
        }
        match self.containers.values().find(|other| other.name == bare) {
            Some(holder) => Err(conflict(format!(
                "Conflict. The container name \"/{bare}\" is already in use by container \"{}\". You have to remove (or rename) that container to be able to reuse that name.",
                holder.id
            ))),
            None => Ok(bare.to_owned()),
        }
    }

    fn asked_networks(&self, asked: &Value, host: &Value) -> BTreeMap<String, Attached> {
        let mode = match text(host, "NetworkMode") {
            "" | "default" => "bridge",
            other => other,
        };
        let mut all = BTreeMap::new();
        if mode.starts_with("container:") {
            return all;
        }
        let endpoints = asked
            .pointer("/NetworkingConfig/EndpointsConfig")
            .and_then(Value::as_object);
        for (name, endpoint) in endpoints.into_iter().flatten() {
            all.insert(self.network_name(name), attached(endpoint));
        }
        let mode = self.network_name(mode);
        all.entry(mode).or_insert_with(|| attached(&Value::Null));
        all
    }

    fn asked_mounts(&mut self, config: &Value, host: &Value, id: &str) -> Vec<Mounted> {
        let mut mounts: Vec<Mounted> = Vec::new();
        for bind in words(host.get("Binds")) {
            let mut parts = bind.splitn(3, ':');
            let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
                continue;
            };
            let mode = parts.next().unwrap_or_default();
            mounts.push(Mounted {
                kind: if source.starts_with('/') { "bind" } else { "volume" },
                source: source.to_owned(),
                target: target.to_owned(),
                mode: mode.to_owned(),
                writable: !mode.split(',').any(|word| word == "ro"),
            });
        }
        for mount in host.get("Mounts").and_then(Value::as_array).into_iter().flatten() {
            let kind = match text(mount, "Type") {
                "volume" => "volume",
                "bind" => "bind",
                _ => continue,
            };
            let source = match text(mount, "Source") {
                "" => self.new_id(),
                source => source.to_owned(),
            };
            mounts.push(Mounted {
                kind,
                source,
                target: text(mount, "Target").to_owned(),
                mode: if kind == "volume" { "z" } else { "" }.to_owned(),
                writable: !mount.get("ReadOnly").and_then(Value::as_bool).unwrap_or(false),
            });
        }
        for target in config
            .get("Volumes")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys)
        {
            if !mounts.iter().any(|mount| mount.target == *target) {
                let source = self.new_id();
                mounts.push(Mounted {
                    kind: "volume",
                    source,
                    target: target.clone(),
                    mode: String::new(),
                    writable: true,
                });
            }
        }
        for mount in &mut mounts {
            if mount.kind == "volume" {
                if mount.mode.is_empty() {
                    "z".clone_into(&mut mount.mode);
                }
                let source = mount.source.clone();
                self.ensure_volume(&source, &Value::Null, &Value::Null, Some(id));
            }
        }
        mounts
    }

    /// What it will do once it runs.
    pub(super) fn behaviour_of(&self, id: &str) -> Behaviour {
        let Some(container) = self.containers.get(id) else {
            return Behaviour::default();
        };
        if let Some(planted) = &container.planted {
            return planted.clone();
        }
        if let Some(behaviour) = self.named_conduct(container) {
            return behaviour;
        }
        let tree = self.whole_tree(container);
        shell::play(&self.stage(container), &tree, &container.argv()).behaviour()
    }

    pub(super) fn has_conduct(&self, container: &Container) -> bool {
        container.planted.is_some() || self.named_conduct(container).is_some()
    }

    /// By `SIM_BEHAVIOUR` in its environment, or by the image's label as long as the command is the image's own.
    fn named_conduct(&self, container: &Container) -> Option<Behaviour> {
        let environment = words(container.config.get("Env"));
        let ordered = environment
            .iter()
            .rev()
            .find_map(|pair| pair.strip_prefix("SIM_BEHAVIOUR="));
        let labelled = || {
            let image = self.images.find(&container.image_id)?;
            let own = ["Cmd", "Entrypoint"]
                .iter()
                .all(|key| words(image.container_config().get(key)) == words(container.config.get(key)));
            own.then(|| text(container.labels(), "sim.behaviour"))
                .filter(|name| !name.is_empty())
        };
        let name = ordered.or_else(labelled)?;
        self.behaviours
            .get(name)
            .cloned()
            .or_else(|| Behaviour::named(name))
    }

    pub(super) fn stage(&self, container: &Container) -> shell::Stage {
        let mut environment: BTreeMap<String, String> = words(container.config.get("Env"))
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let hostname = text(&container.config, "Hostname").to_owned();
        environment
            .entry("PATH".to_owned())
            .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
        environment.insert("HOSTNAME".to_owned(), hostname.clone());
        environment
            .entry("HOME".to_owned())
            .or_insert_with(|| "/root".to_owned());
        let disk = self.traits.disk;
        let growth = u64::try_from(self.now.seconds() / 60).unwrap_or(0) % 977;
        shell::Stage {
            environment,
            hostname,
            argv: container.argv(),
            disk_total: disk.1 / 1024,
            disk_used: if self.disk_full {
                disk.1 / 1024
            } else {
                disk.0 / 1024 + growth * 512
            },
            cores: self.traits.cpus,
            memory: self.traits.memory,
            level: self.daemon_id.bytes().map(u32::from).sum(),
            now: self.now,
            listening: container
                .config
                .get("ExposedPorts")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(Map::keys)
                .filter_map(|port| port.strip_suffix("/tcp")?.parse().ok())
                .collect(),
            folder: match text(&container.config, "WorkingDir") {
                "" => "/".to_owned(),
                folder => folder.to_owned(),
            },
        }
    }
}

pub(super) fn attached(asked: &Value) -> Attached {
    let part = |key: &str| asked.get(key).cloned().unwrap_or(Value::Null);
    Attached {
        aliases: words(asked.get("Aliases")),
        ipam: part("IPAMConfig"),
        links: part("Links"),
        options: part("DriverOpts"),
        address: None,
        endpoint: String::new(),
    }
}

pub(super) fn check_policy(name: &str, tries: i64) -> Result<(), Refused> {
    match name {
        "" | "no" | "always" | "unless-stopped" if tries != 0 => Err(bad(format!(
            "maximum retry count cannot be used with restart policy '{name}'"
        ))),
        "on-failure" if tries < 0 => Err(bad("maximum retry count cannot be negative")),
        "" | "no" | "always" | "unless-stopped" | "on-failure" => Ok(()),
        other => Err(bad(format!("invalid restart policy '{other}'"))),
    }
}

/// `shop` → `shop:latest`, as the daemon names what it misses.
pub(super) fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') {
        image.to_owned()
    } else {
        format!("{image}:latest")
    }
}

pub(super) fn default_config() -> Value {
    json!({
        "Hostname": "", "Domainname": "", "User": "",
        "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": null, "Cmd": null, "Image": "", "Volumes": null,
        "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": null,
    })
}

/// The request over the image over the defaults: lists and maps are joined where Docker joins them.
fn merge_config(config: &mut Value, asked: &Value, image: &Value) {
    let Some(config) = config.as_object_mut() else {
        return;
    };
    for (key, value) in asked.as_object().into_iter().flatten() {
        let known = config.contains_key(key)
            || matches!(
                key.as_str(),
                "ExposedPorts" | "Healthcheck" | "StopSignal" | "StopTimeout" | "Shell" | "MacAddress"
            );
        if known && !value.is_null() {
            config.insert(key.clone(), value.clone());
        }
    }
    let asks_command = !words(asked.get("Entrypoint")).is_empty();
    for key in ["Cmd", "Entrypoint"] {
        if words(config.get(key)).is_empty() && !(key == "Cmd" && asks_command) {
            let own = image.get(key).cloned().unwrap_or(Value::Null);
            config.insert(key.to_owned(), own);
        }
    }
    for key in ["User", "WorkingDir", "StopSignal"] {
        let empty = config
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .is_empty();
        if empty && let Some(value) = image.get(key).filter(|value| value.as_str() != Some("")) {
            config.insert(key.to_owned(), value.clone());
        }
    }
    if config.get("Healthcheck").is_none_or(Value::is_null)
        && let Some(check) = image.get("Healthcheck").filter(|check| check.is_object())
    {
        config.insert("Healthcheck".to_owned(), check.clone());
    }
    for key in ["Labels", "ExposedPorts", "Volumes"] {
        let mut joined: Map<String, Value> = image
            .get(key)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        joined.extend(
            asked
                .get(key)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
        );
        if key == "Labels" || !joined.is_empty() {
            config.insert(key.to_owned(), Value::Object(joined));
        }
    }
    let own = words(config.get("Env"));
    let name = |pair: &str| pair.split('=').next().unwrap_or_default().to_owned();
    let mut environment = own.clone();
    for pair in words(image.get("Env")) {
        if !own.iter().any(|other| name(other) == name(&pair)) {
            environment.push(pair);
        }
    }
    if !environment.is_empty() {
        config.insert("Env".to_owned(), json!(environment));
    }
}

/// `HostConfig` with everything an inspection shows.
pub(super) fn host_config(asked: &Value) -> Value {
    let mut host: Value = serde_json::from_str(HOST_CONFIG).unwrap_or(Value::Null);
    if let (Some(host), Some(asked)) = (host.as_object_mut(), asked.as_object()) {
        for (key, value) in asked {
            let empty_mode = key == "NetworkMode" && value.as_str() == Some("");
            if !value.is_null() && !empty_mode {
                host.insert(key.clone(), value.clone());
            }
        }
        for places in host
            .get_mut("PortBindings")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(|bindings| bindings.values_mut())
            .filter_map(Value::as_array_mut)
            .flatten()
        {
            if let Some(place) = places.as_object_mut() {
                place.entry("HostIp").or_insert_with(|| json!(""));
                place.entry("HostPort").or_insert_with(|| json!(""));
            }
        }
        if let Some(policy) = host.get_mut("RestartPolicy").and_then(Value::as_object_mut) {
            policy.entry("Name").or_insert_with(|| json!(""));
            policy.entry("MaximumRetryCount").or_insert_with(|| json!(0));
        }
    }
    host
}

const HOST_CONFIG: &str = r#"{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"json-file","Config":{}},"NetworkMode":"default","PortBindings":null,"RestartPolicy":{"Name":"","MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"CapAdd":null,"CapDrop":null,"CgroupnsMode":"host","Dns":null,"DnsOptions":null,"DnsSearch":null,"ExtraHosts":null,"GroupAdd":null,"IpcMode":"private","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":67108864,"Runtime":"runc","ConsoleSize":[0,0],"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":null,"BlkioDeviceReadBps":null,"BlkioDeviceWriteBps":null,"BlkioDeviceReadIOps":null,"BlkioDeviceWriteIOps":null,"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":null,"DeviceCgroupRules":null,"DeviceRequests":null,"KernelMemory":0,"KernelMemoryTCP":0,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":false,"PidsLimit":null,"Ulimits":null,"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":["/proc/asound","/proc/acpi","/proc/kcore","/proc/keys","/proc/latency_stats","/proc/timer_list","/proc/timer_stats","/proc/sched_debug","/proc/scsi","/sys/firmware"],"ReadonlyPaths":["/proc/bus","/proc/fs","/proc/irq","/proc/sys","/proc/sysrq-trigger"]}"#;

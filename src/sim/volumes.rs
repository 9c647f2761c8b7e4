//! Named volumes: files that outlive the containers which mount them.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::clock::rfc3339;
use super::http::{Answer, Filters, bad, broken, conflict, empty, json_reply, missing, ok};
use super::tree::Tree;
use super::world::{World, text};
use crate::domain::units::Stamp;

#[derive(Clone, Debug, Default)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) created: Stamp,
    pub(super) labels: Value,
    pub(super) options: Value,
    /// Named by the daemon: its owner's removal with `v` takes it along.
    pub(super) anonymous: bool,
    pub(super) files: Tree,
}

impl World {
    /// Makes it unless it is there. `mounted_by`: it came into being with a container.
    pub(super) fn ensure_volume(
        &mut self,
        name: &str,
        labels: &Value,
        options: &Value,
        mounted_by: Option<&str>,
    ) {
        if self.volumes.contains_key(name) {
            return;
        }
        let anonymous = name.len() == 64 && name.chars().all(|c| c.is_ascii_hexdigit());
        self.volumes.insert(
            name.to_owned(),
            Volume {
                name: name.to_owned(),
                created: self.now,
                labels: labels.clone(),
                options: options.clone(),
                anonymous: anonymous && mounted_by.is_some(),
                files: Tree::default(),
            },
        );
        self.emit("volume", "create", name, json!({"driver": "local"}));
    }

    pub(super) fn create_volume(&mut self, asked: &Value) -> Answer {
        if self.disk_full {
            return Err(broken(
                "error while creating volume root path: mkdir /var/lib/docker/volumes: no space left on device",
            ));
        }
        let driver = text(asked, "Driver");
        if !matches!(driver, "" | "local") {
            return Err(missing(format!(
                "create {}: error looking up volume plugin {driver}: plugin \"{driver}\" not found",
                text(asked, "Name")
            )));
        }
        let name = match text(asked, "Name") {
            "" => self.new_id(),
            name => name.to_owned(),
        };
        if name.len() < 2
            || !name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        {
            return Err(bad(format!(
                "create {name}: \"{name}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
            )));
        }
        let part = |key: &str| asked.get(key).cloned().unwrap_or(Value::Null);
        self.ensure_volume(&name, &part("Labels"), &part("DriverOpts"), None);
        let view = self.volumes.get(&name).map(view).unwrap_or_default();
        Ok(json_reply(StatusCode::CREATED, &view))
    }

    pub(super) fn list_volumes(&self, filters: &Filters) -> Answer {
        let rows: Vec<Value> = self
            .volumes
            .values()
            .filter(|volume| {
                filters.admits("name", |wanted| volume.name.contains(wanted))
                    && filters.admits("driver", |wanted| wanted == "local")
                    && filters.admits("dangling", |wanted| {
                        (wanted == "true" || wanted == "1") != self.is_mounted(&volume.name)
                    })
                    && filters.admits_labels(&volume.labels)
            })
            .map(view)
            .collect();
        Ok(ok(&json!({"Volumes": rows, "Warnings": null})))
    }

    pub(super) fn inspect_volume(&self, name: &str) -> Answer {
        self.volumes.get(name).map_or_else(
            || Err(missing(format!("get {name}: no such volume"))),
            |volume| Ok(ok(&view(volume))),
        )
    }

    pub(super) fn remove_volume(&mut self, name: &str) -> Answer {
        if !self.volumes.contains_key(name) {
            return Err(missing(format!("get {name}: no such volume")));
        }
        let holders: Vec<&str> = self
            .containers
            .values()
            .filter(|container| container.mounts.iter().any(|mount| mount.source == name))
            .map(|container| container.id.as_str())
            .collect();
        if !holders.is_empty() {
            return Err(conflict(format!(
                "remove {name}: volume is in use - [{}]",
                holders.join(", ")
            )));
        }
        self.destroy_volume(name);
        Ok(empty(StatusCode::NO_CONTENT))
    }

    fn destroy_volume(&mut self, name: &str) {
        self.volumes.remove(name);
        self.emit("volume", "destroy", name, json!({"driver": "local"}));
    }

    pub(super) fn drop_anonymous(&mut self, name: &str) {
        if self.volumes.get(name).is_some_and(|volume| volume.anonymous) && !self.is_mounted(name) {
            self.destroy_volume(name);
        }
    }

    fn is_mounted(&self, name: &str) -> bool {
        self.containers
            .values()
            .any(|container| container.mounts.iter().any(|mount| mount.source == name))
    }

    /// As 20.10 has it: unused named ones go too.
    pub(super) fn prune_volumes(&mut self, filters: &Filters) -> Answer {
        let unused: Vec<String> = self
            .volumes
            .values()
            .filter(|volume| !self.is_mounted(&volume.name) && filters.admits_labels(&volume.labels))
            .map(|volume| volume.name.clone())
            .collect();
        let mut bytes = 0;
        for name in &unused {
            bytes += self.volumes.get(name).map_or(0, |volume| volume.files.bytes());
            self.destroy_volume(name);
        }
        self.emit("volume", "prune", "", json!({"reclaimed": bytes.to_string()}));
        Ok(ok(&json!({
            "VolumesDeleted": unused,
            "SpaceReclaimed": bytes,
        })))
    }

    pub(super) fn volumes_usage(&self) -> Vec<Value> {
        self.volumes
            .values()
            .map(|volume| {
                let mut row = view(volume);
                let users = self
                    .containers
                    .values()
                    .filter(|container| container.mounts.iter().any(|mount| mount.source == volume.name))
                    .count();
                if let Some(row) = row.as_object_mut() {
                    row.insert(
                        "UsageData".to_owned(),
                        json!({"RefCount": users, "Size": volume.files.bytes()}),
                    );
                }
                row
            })
            .collect()
    }
}

fn view(volume: &Volume) -> Value {
    json!({
        "CreatedAt": rfc3339(Stamp::from_seconds(volume.created.seconds())),
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": format!("/var/lib/docker/volumes/{}/_data", volume.name),
        "Name": volume.name,
        "Options": volume.options,
        "Scope": "local",
    })
}

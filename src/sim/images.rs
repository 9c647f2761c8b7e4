//! Images of a simulated host: real configurations, real layers, ids that are the hash of the configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::create::{default_config, with_tag};
use super::http::{Answer, Filters, Refused, conflict, empty, missing, ok};
use super::tree::Tree;
use super::world::{World, text};

/// What one image is.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// `sha256:…`, of `config`.
    pub(super) id: String,
    /// The image's JSON as it is saved and loaded.
    pub(super) config: Bytes,
    parsed: Value,
    /// Lowest first.
    pub(super) layers: Vec<Layer>,
    pub(super) tags: Vec<String>,
    /// `repository@sha256:…`: what registries call it.
    pub(super) digests: Vec<String>,
    pub(super) parent: String,
    /// Bytes that a list shows beyond what the layers really hold.
    pub(super) claimed: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// `sha256:…` of the tar.
    pub(super) diff: String,
    pub(super) tar: Bytes,
    pub(super) files: Tree,
}

#[derive(Debug, Default)]
pub(super) struct Images {
    pub(super) all: BTreeMap<String, Image>,
    /// Steps already done: parent and instruction → image.
    pub(super) cache: BTreeMap<String, String>,
}

/// In the image's own configuration, so that it survives a transfer.
const CLAIMED: &str = "sim.size";

pub(super) fn digest(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

impl Layer {
    pub(super) fn new(files: Tree) -> std::io::Result<Self> {
        let tar = Bytes::from(files.pack("", "")?);
        Ok(Self {
            diff: digest(&tar),
            tar,
            files,
        })
    }
}

impl Image {
    pub(super) fn new(config: Bytes, layers: Vec<Layer>) -> Self {
        let parsed: Value = serde_json::from_slice(&config).unwrap_or(Value::Null);
        Self {
            id: digest(&config),
            claimed: parsed.get(CLAIMED).and_then(Value::as_u64).unwrap_or(0),
            parsed,
            config,
            layers,
            tags: Vec::new(),
            digests: Vec::new(),
            parent: String::new(),
        }
    }

    /// From the parts of a configuration.
    pub(super) fn of(config: &Value, created: &str, comment: &str, layers: Vec<Layer>) -> Self {
        Self::sized(config, created, comment, layers, 0)
    }

    pub(super) fn sized(
        config: &Value,
        created: &str,
        comment: &str,
        layers: Vec<Layer>,
        claimed: u64,
    ) -> Self {
        let diffs: Vec<&str> = layers.iter().map(|layer| layer.diff.as_str()).collect();
        let mut whole = json!({
            "architecture": "amd64",
            "os": "linux",
            "created": created,
            "docker_version": "20.10.24+dfsg1",
            "comment": comment,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": diffs},
        });
        if let Some(whole) = whole.as_object_mut().filter(|_| claimed > 0) {
            whole.insert(CLAIMED.to_owned(), json!(claimed));
        }
        Self::new(Bytes::from(whole.to_string()), layers)
    }

    /// What containers take over.
    pub(super) fn container_config(&self) -> &Value {
        self.parsed.get("config").unwrap_or(&Value::Null)
    }

    pub(super) fn created(&self) -> &str {
        text(&self.parsed, "created")
    }

    fn created_seconds(&self) -> i64 {
        self.created()
            .parse::<jiff::Timestamp>()
            .map_or(0, jiff::Timestamp::as_second)
    }

    pub(super) fn size(&self) -> u64 {
        let held: u64 = self.layers.iter().map(|layer| layer.files.bytes()).sum();
        held + self.claimed
    }

    pub(super) fn files(&self) -> Tree {
        let mut tree = Tree::default();
        for layer in &self.layers {
            tree.overlay(&layer.files);
        }
        tree
    }

    fn is_called(&self, name: &str) -> bool {
        let mut names = self.tags.iter().chain(&self.digests);
        names.any(|other| other == name)
    }

    fn is_nameless(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }

    fn summary(&self) -> Value {
        json!({
            "Containers": -1,
            "Created": self.created_seconds(),
            "Id": self.id,
            "Labels": self.container_config().get("Labels").cloned().unwrap_or(Value::Null),
            "ParentId": self.parent,
            "RepoDigests": match (self.digests.is_empty(), self.tags.is_empty()) {
                (false, _) => json!(self.digests),
                (true, true) => json!(["<none>@<none>"]),
                (true, false) => Value::Null,
            },
            "RepoTags": if self.tags.is_empty() { json!(["<none>:<none>"]) } else { json!(self.tags) },
            "SharedSize": -1,
            "Size": self.size(),
            "VirtualSize": self.size(),
        })
    }

    fn view(&self) -> Value {
        let mut config = default_config();
        if let (Some(config), Some(own)) = (config.as_object_mut(), self.container_config().as_object()) {
            config.extend(own.clone());
        }
        let diffs: Vec<&str> = self.layers.iter().map(|layer| layer.diff.as_str()).collect();
        let layer = format!(
            "/var/lib/docker/fuse-overlayfs/{}",
            self.id.trim_start_matches("sha256:")
        );
        json!({
            "Id": self.id,
            "RepoTags": self.tags,
            "RepoDigests": self.digests,
            "Parent": self.parent,
            "Comment": text(&self.parsed, "comment"),
            "Created": self.created(),
            "Container": "",
            "ContainerConfig": default_config(),
            "DockerVersion": text(&self.parsed, "docker_version"),
            "Author": "",
            "Config": config,
            "Architecture": match text(&self.parsed, "architecture") { "" => "amd64", other => other },
            "Os": "linux",
            "Size": self.size(),
            "VirtualSize": self.size(),
            "GraphDriver": {
                "Data": {
                    "MergedDir": format!("{layer}/merged"),
                    "UpperDir": format!("{layer}/diff"),
                    "WorkDir": format!("{layer}/work"),
                },
                "Name": "fuse-overlayfs",
            },
            "RootFS": {"Type": "layers", "Layers": diffs},
            "Metadata": {"LastTagTime": self.created()},
        })
    }
}

impl Images {
    /// By id, the beginning of an id, or a name with or without tag.
    pub(super) fn find(&self, name: &str) -> Option<&Image> {
        let tagged = with_tag(name);
        let bare = name.strip_prefix("sha256:").unwrap_or(name);
        let is_hex = bare.len() >= 4 && bare.chars().all(|c| c.is_ascii_hexdigit());
        self.all
            .get(name)
            .or_else(|| self.all.values().find(|image| image.is_called(&tagged)))
            .or_else(|| {
                let mut matching = self
                    .all
                    .range(format!("sha256:{bare}")..)
                    .take_while(|(id, _)| is_hex && id.trim_start_matches("sha256:").starts_with(bare));
                matching.next().map(|(_, image)| image)
            })
    }

    pub(super) fn files(&self, id: &str) -> Tree {
        self.all.get(id).map(Image::files).unwrap_or_default()
    }

    /// Adds it, or keeps the one that is there; gives its id.
    pub(super) fn add(&mut self, image: Image) -> String {
        let id = image.id.clone();
        self.all.entry(id.clone()).or_insert(image);
        id
    }

    /// What a registry calls it.
    pub(super) fn pin(&mut self, id: &str, pinned: &str) {
        if let Some(image) = self.all.get_mut(id)
            && !image.digests.iter().any(|other| other == pinned)
        {
            image.digests.push(pinned.to_owned());
        }
    }

    /// A tag belongs to one image: the last one that was given it.
    pub(super) fn tag(&mut self, id: &str, tag: &str) {
        let tag = with_tag(tag);
        for image in self.all.values_mut() {
            image.tags.retain(|other| *other != tag);
        }
        if let Some(image) = self.all.get_mut(id) {
            image.tags.push(tag);
            image.tags.sort();
        }
    }
}

impl World {
    pub(super) fn image(&self, name: &str) -> Result<&Image, Refused> {
        self.images
            .find(name)
            .ok_or_else(|| missing(format!("No such image: {}", with_tag(name))))
    }

    pub(super) fn list_images(&self, filters: &Filters, all: bool) -> Answer {
        let mut images: Vec<&Image> = self
            .images
            .all
            .values()
            .filter(|image| {
                all || !image.tags.is_empty()
                    || !self.images.all.values().any(|child| child.parent == image.id)
            })
            .filter(|image| {
                filters.admits_labels(image.container_config().get("Labels").unwrap_or(&Value::Null))
                    && filters.admits("dangling", |wanted| {
                        (wanted == "true" || wanted == "1") == image.is_nameless()
                    })
                    && filters.admits("reference", |wanted| {
                        let plain = wanted.trim_end_matches('*');
                        image.tags.iter().any(|tag| {
                            tag == wanted
                                || tag.split(':').next() == Some(wanted)
                                || (plain != wanted && tag.starts_with(plain))
                        })
                    })
            })
            .collect();
        images.sort_by_key(|image| std::cmp::Reverse(image.created_seconds()));
        Ok(ok(&Value::Array(
            images.into_iter().map(Image::summary).collect(),
        )))
    }

    pub(super) fn inspect_image(&self, name: &str) -> Answer {
        self.image(name)
            .map(|image| ok(&image.view()))
            .map_err(|refused| missing(format!("no such image: {name}: {}", refused.message)))
    }

    pub(super) fn tag_image(&mut self, name: &str, repository: &str, tag: &str) -> Answer {
        let id = self.image(name)?.id.clone();
        let name = if tag.is_empty() {
            with_tag(repository)
        } else {
            format!("{repository}:{tag}")
        };
        self.images.tag(&id, &name);
        self.emit("image", "tag", &id, json!({"name": name}));
        Ok(empty(StatusCode::CREATED))
    }

    pub(super) fn remove_image(&mut self, name: &str, force: bool) -> Answer {
        let image = self.image(name)?.clone();
        let tagged = with_tag(name);
        let by_tag = image.is_called(&tagged);
        let short = |id: &str| id.trim_start_matches("sha256:").get(..12).map(str::to_owned);
        let holder = self
            .containers
            .values()
            .filter(|container| container.image_id == image.id)
            .max_by_key(|container| container.is_up());
        // The digests of a repository go with the last of its tags.
        let is_last = if image.digests.contains(&tagged) {
            image.tags.len() + image.digests.len() == 1
        } else {
            image.tags.len() == 1
        };
        if !by_tag && image.tags.len() > 1 && !force {
            return Err(conflict(format!(
                "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
                short(&image.id).unwrap_or_default()
            )));
        }
        if let Some(holder) = holder
            && (!by_tag || is_last)
        {
            let container = short(&holder.id).unwrap_or_default();
            let name = if by_tag {
                tagged.clone()
            } else {
                short(&image.id).unwrap_or_default()
            };
            if holder.is_up() && !by_tag {
                return Err(conflict(format!(
                    "conflict: unable to delete {name} (cannot be forced) - image is being used by running container {container}"
                )));
            }
            if !force {
                return Err(conflict(if by_tag {
                    format!(
                        "conflict: unable to remove repository reference \"{name}\" (must force) - container {container} is using its referenced image {}",
                        short(&image.id).unwrap_or_default()
                    )
                } else {
                    format!(
                        "conflict: unable to delete {name} (must be forced) - image is being used by stopped container {container}"
                    )
                }));
            }
        }
        let mut gone: Vec<String> = if by_tag {
            vec![tagged]
        } else {
            image.tags.iter().chain(&image.digests).cloned().collect()
        };
        // The last tag takes the digests with it.
        if image.tags.iter().all(|tag| gone.contains(tag)) && !image.tags.is_empty() {
            gone.extend(image.digests.iter().filter(|_| by_tag).cloned());
        }
        let mut deleted: Vec<Value> = gone.iter().map(|tag| json!({"Untagged": tag})).collect();
        if let Some(image) = self.images.all.get_mut(&image.id) {
            image.tags.retain(|tag| !gone.contains(tag));
            image.digests.retain(|pinned| !gone.contains(pinned));
        }
        self.emit("image", "untag", &image.id, json!({"name": image.id}));
        let unused =
            self.images.all.get(&image.id).is_some_and(Image::is_nameless) && holder_free(self, &image.id);
        if unused {
            self.images.all.remove(&image.id);
            self.images.cache.retain(|_, id| *id != image.id);
            self.emit("image", "delete", &image.id, json!({"name": image.id}));
            deleted.push(json!({"Deleted": image.id}));
        }
        Ok(ok(&Value::Array(deleted)))
    }

    pub(super) fn prune_images(&mut self, filters: &Filters) -> Answer {
        let all = filters
            .get("dangling")
            .iter()
            .any(|wanted| wanted == "false" || wanted == "0");
        let unused: Vec<String> = self
            .images
            .all
            .values()
            .filter(|image| (all || image.is_nameless()) && holder_free(self, &image.id))
            .map(|image| image.id.clone())
            .collect();
        let mut bytes = 0;
        for id in &unused {
            bytes += self.images.all.remove(id).map_or(0, |image| image.size());
            self.images.cache.retain(|_, cached| cached != id);
        }
        let deleted: Vec<Value> = unused.iter().map(|id| json!({"Deleted": id})).collect();
        Ok(ok(&json!({
            "ImagesDeleted": if deleted.is_empty() { Value::Null } else { Value::Array(deleted) },
            "SpaceReclaimed": bytes,
        })))
    }

    pub(super) fn images_usage(&self) -> Vec<Value> {
        self.images.all.values().map(Image::summary).collect()
    }
}

/// Nothing runs from it or is built on it.
fn holder_free(world: &World, id: &str) -> bool {
    !world
        .containers
        .values()
        .any(|container| container.image_id == id)
        && !world.images.all.values().any(|image| image.parent == id)
}

//! Images in and out: saved, loaded, imported. Registries are `registry`'s; where there is none, so is no network.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::clock::rfc3339;
use super::configure::configure;
use super::create::{default_config, with_tag};
use super::http::{Answer, Ask, Refused, Sent, broken, missing, reply};
use super::images::{Image, Layer, digest};
use super::tree::{Kind, Node, Tree};
use super::world::{World, text};

impl World {
    pub(super) fn save_images(&self, names: &[String]) -> Answer {
        let mut tree = Tree::default();
        let mut manifest = Vec::new();
        for name in names {
            let image = self
                .images
                .find(name)
                .ok_or_else(|| missing(format!("No such image: {name}")))?;
            let digits = image.id.trim_start_matches("sha256:");
            tree.put(&format!("{digits}.json"), Node::file(image.config.clone()));
            let mut layers = Vec::new();
            for layer in &image.layers {
                let path = format!("{}/layer.tar", layer.diff.trim_start_matches("sha256:"));
                tree.put(&path, Node::file(layer.tar.clone()));
                layers.push(path);
            }
            let tag = with_tag(name);
            let tags = if image.tags.contains(&tag) {
                json!([tag])
            } else {
                Value::Null
            };
            manifest.push(json!({
                "Config": format!("{digits}.json"), "RepoTags": tags, "Layers": layers,
            }));
        }
        tree.put("manifest.json", Node::file(Value::Array(manifest).to_string()));
        let tar = tree.pack("", "").map_err(|error| broken(error.to_string()))?;
        Ok(reply(
            StatusCode::OK,
            "application/x-tar",
            Sent::Whole(Some(tar.into())),
        ))
    }

    pub(super) fn load_images(&mut self, tar: &[u8]) -> Answer {
        let mut lines = String::new();
        let mut say = |value: Value| {
            lines.push_str(&value.to_string());
            lines.push_str("\r\n");
        };
        match self.load(tar) {
            Ok(loaded) => {
                for words in loaded {
                    say(json!({"stream": format!("{words}\n")}));
                }
            }
            Err(words) => say(json!({"errorDetail": {"message": words}, "error": words})),
        }
        Ok(reply(
            StatusCode::OK,
            "application/json",
            Sent::Whole(Some(lines.into())),
        ))
    }

    fn load(&mut self, tar: &[u8]) -> Result<Vec<String>, String> {
        if self.disk_full {
            return Err(
                "Error processing tar file(exit status 1): write /layer.tar: no space left on device".into(),
            );
        }
        let cut = || "Error processing tar file(exit status 1): unexpected EOF".to_owned();
        let mut files = Tree::default();
        files.unpack("", tar).map_err(|_words| cut())?;
        let file = |path: &str| match files.get(path).map(|node| &node.kind) {
            Some(Kind::File(bytes)) => Ok(bytes.clone()),
            _ => Err(format!(
                "open /var/lib/docker/tmp/docker-import/{path}: no such file or directory"
            )),
        };
        if files == Tree::default() {
            return Err(cut());
        }
        let manifest: Value =
            serde_json::from_slice(&file("manifest.json")?).map_err(|error| error.to_string())?;
        let mut said = Vec::new();
        for entry in manifest.as_array().into_iter().flatten() {
            let config = file(text(entry, "Config"))?;
            let mut layers = Vec::new();
            for path in super::container::words(entry.get("Layers")) {
                let tar = file(&path)?;
                let mut unpacked = Tree::default();
                unpacked.unpack("", &tar).map_err(|_words| cut())?;
                layers.push(Layer {
                    diff: digest(&tar),
                    tar,
                    files: unpacked,
                });
            }
            let id = self.images.add(Image::new(config, layers));
            let tags = super::container::words(entry.get("RepoTags"));
            for tag in &tags {
                self.images.tag(&id, tag);
                said.push(format!("Loaded image: {tag}"));
            }
            if tags.is_empty() {
                said.push(format!("Loaded image ID: {id}"));
            }
            self.emit("image", "load", &id, json!({"name": id}));
        }
        Ok(said)
    }

    /// `docker import`
    pub(super) fn import_image(&mut self, ask: &Ask, body: &Bytes) -> Answer {
        let mut tree = Tree::default();
        tree.unpack("", body)
            .map_err(|words| broken(format!("Error processing tar file(exit status 1): {words}")))?;
        let mut config = default_config();
        for change in ask.all("changes") {
            for instruction in super::dockerfile::parse(&format!("FROM x\n{change}")).map_err(broken)? {
                configure(
                    &mut config,
                    &mut std::collections::BTreeMap::new(),
                    &instruction.word,
                    &instruction.rest,
                );
            }
        }
        let layer = Layer {
            diff: digest(body),
            tar: body.clone(),
            files: tree,
        };
        let created = rfc3339(self.now);
        let id = self
            .images
            .add(Image::of(&config, &created, "Imported from -", vec![layer]));
        if let Some(repository) = ask.query("repo").filter(|name| !name.is_empty()) {
            let tag = ask.query("tag").unwrap_or_default();
            let name = if tag.is_empty() {
                repository.to_owned()
            } else {
                format!("{repository}:{tag}")
            };
            self.images.tag(&id, &name);
        }
        self.emit("image", "import", &id, json!({"name": id}));
        let line = json!({"status": id}).to_string() + "\r\n";
        Ok(reply(
            StatusCode::OK,
            "application/json",
            Sent::Whole(Some(line.into())),
        ))
    }
}

/// What a daemon says that can reach no registry.
pub(super) fn no_network(image: &str) -> Refused {
    let first = image.split('/').next().unwrap_or_default();
    let registry =
        if image.contains('/') && (first.contains('.') || first.contains(':') || first == "localhost") {
            first
        } else {
            "registry-1.docker.io"
        };
    let name = registry.split(':').next().unwrap_or(registry);
    broken(format!(
        "Get \"https://{registry}/v2/\": dial tcp: lookup {name}: no such host"
    ))
}

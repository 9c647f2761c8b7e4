//! A registry that every host of a fleet reaches: pushed to, asked, pulled from, told as Docker's daemon tells it.
//! Lives inside the process; nothing of it is on any network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::engine::Engine;
use super::http::{Answer, Ask, missing, ok, stream};
use super::images::{Image, digest};
use super::transfer::no_network;

/// So often a layer under way says how far it is.
const STEPS: u64 = 6;
const STEP: Duration = Duration::from_millis(120);

#[derive(Debug)]
pub(super) struct Registry {
    /// As its images' names begin.
    address: String,
    /// By the name that images have on hosts: `registry.demo/shop`.
    kept: Mutex<BTreeMap<String, Repository>>,
}

#[derive(Debug, Default)]
struct Repository {
    /// Tag → digest.
    tags: BTreeMap<String, String>,
    manifests: BTreeMap<String, Manifest>,
}

#[derive(Clone, Debug)]
struct Manifest {
    text: Bytes,
    image: Image,
}

/// What a push or a pull says, until nobody listens.
struct Teller(mpsc::Sender<Bytes>);

/// Nobody listens any more.
struct Left;

impl Registry {
    pub(super) fn new(address: String) -> Arc<Self> {
        Arc::new(Self {
            address,
            kept: Mutex::default(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Repository>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serves(&self, name: &str) -> bool {
        name.split('/').next() == Some(&self.address)
    }

    /// By tag or digest: the digest and what it is of.
    fn find(&self, name: &str, which: &str) -> Option<(String, Manifest)> {
        let kept = self.kept();
        let repository = kept.get(name)?;
        let digest = repository.tags.get(which).map_or(which, String::as_str);
        let manifest = repository.manifests.get(digest)?;
        Some((digest.to_owned(), manifest.clone()))
    }

    fn has_layer(&self, name: &str, diff: &str) -> bool {
        let kept = self.kept();
        let manifests = kept.get(name).map(|repository| repository.manifests.values());
        let mut layers = manifests
            .into_iter()
            .flatten()
            .flat_map(|manifest| &manifest.image.layers);
        layers.any(|layer| layer.diff == diff)
    }

    fn take(&self, name: &str, tag: &str, image: &Image) -> (String, usize) {
        let mut image = image.clone();
        image.tags.clear();
        image.digests.clear();
        image.parent.clear();
        let layers: Vec<Value> = image
            .layers
            .iter()
            .map(|layer| {
                json!({
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
                    "size": layer.tar.len(),
                    "digest": layer.diff,
                })
            })
            .collect();
        let text = Bytes::from(
            json!({
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {
                    "mediaType": "application/vnd.docker.container.image.v1+json",
                    "size": image.config.len(),
                    "digest": image.id,
                },
                "layers": layers,
            })
            .to_string(),
        );
        let (digest, size) = (digest(&text), text.len());
        let mut kept = self.kept();
        let repository = kept.entry(name.to_owned()).or_default();
        repository.tags.insert(tag.to_owned(), digest.clone());
        repository
            .manifests
            .insert(digest.clone(), Manifest { text, image });
        (digest, size)
    }
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The registry that the name is of, if the host reaches it.
fn reached(engine: &Engine, name: &str) -> Option<Arc<Registry>> {
    engine
        .world()
        .registry
        .clone()
        .filter(|registry| registry.serves(name))
}

/// `POST /images/{name}/push?tag=`
pub(super) fn push(engine: &Arc<Engine>, name: &str, ask: &Ask) -> Answer {
    let registry = reached(engine, name).ok_or_else(|| no_network(name))?;
    let tag = ask.query("tag").filter(|tag| !tag.is_empty()).unwrap_or("latest");
    let image = engine.world().images.find(&format!("{name}:{tag}")).cloned();
    let image =
        image.ok_or_else(|| missing(format!("An image does not exist locally with the tag: {name}")))?;
    let (pieces, reply) = stream("application/json");
    let (engine, name, tag) = (Arc::clone(engine), name.to_owned(), tag.to_owned());
    Arc::clone(&engine).spawn(async move {
        let pushing = Pushing {
            engine: &engine,
            registry: &registry,
            name: &name,
            tag: &tag,
        };
        // Who left needs no reason.
        pushing.run(&image, &Teller(pieces)).await.unwrap_or(());
    });
    Ok(reply)
}

struct Pushing<'p> {
    engine: &'p Engine,
    registry: &'p Registry,
    name: &'p str,
    tag: &'p str,
}

impl Pushing<'_> {
    async fn run(&self, image: &Image, teller: &Teller) -> Result<(), Left> {
        let (name, tag) = (self.name, self.tag);
        let words = format!("The push refers to repository [{name}]");
        teller.say(json!({ "status": words })).await?;
        for layer in &image.layers {
            teller.layer(&layer.diff, "Preparing", None).await?;
        }
        for (number, layer) in image.layers.iter().enumerate() {
            if self.registry.has_layer(name, &layer.diff) {
                teller.layer(&layer.diff, "Layer already exists", None).await?;
                continue;
            }
            teller.moved(&layer.diff, "Pushing", shown(image, number)).await?;
            teller.layer(&layer.diff, "Pushed", None).await?;
        }
        let (digest, size) = self.registry.take(name, tag, image);
        {
            let mut world = self.engine.world();
            world.images.pin(&image.id, &format!("{name}@{digest}"));
            world.emit("image", "push", &format!("{name}:{tag}"), json!({ "name": name }));
        }
        let words = format!("{tag}: digest: {digest} size: {size}");
        teller.say(json!({ "status": words })).await?;
        let aux = json!({"Tag": tag, "Digest": digest, "Size": size});
        teller.say(json!({"progressDetail": {}, "aux": aux})).await
    }
}

/// `GET /distribution/{name}/json`
pub(super) fn ask(engine: &Engine, name: &str) -> Answer {
    let (repository, which) = taken_apart(name);
    let registry = reached(engine, repository).ok_or_else(|| no_network(name))?;
    let (digest, manifest) = registry
        .find(repository, which)
        .ok_or_else(|| missing("manifest unknown: manifest unknown"))?;
    Ok(ok(&json!({
        "Descriptor": {"mediaType": MANIFEST, "digest": digest, "size": manifest.text.len()},
        "Platforms": [{"architecture": "amd64", "os": "linux"}],
    })))
}

/// `POST /images/create?fromImage=&tag=`, where the tag may be a digest.
pub(super) fn pull(engine: &Arc<Engine>, ask: &Ask) -> Answer {
    let name = ask.query("fromImage").unwrap_or_default();
    let (repository, inner) = taken_apart(name);
    let which = ask.query("tag").filter(|tag| !tag.is_empty()).unwrap_or(inner);
    let registry = reached(engine, repository).ok_or_else(|| no_network(name))?;
    let reference = if which.starts_with("sha256:") {
        format!("{repository}@{which}")
    } else {
        format!("{repository}:{which}")
    };
    let (digest, manifest) = registry.find(repository, which).ok_or_else(|| {
        missing(format!(
            "manifest for {reference} not found: manifest unknown: manifest unknown"
        ))
    })?;
    let (pieces, reply) = stream("application/json");
    let pulling = Pulling {
        engine: Arc::clone(engine),
        reference,
        pinned: format!("{repository}@{digest}"),
        digest,
        image: manifest.image,
    };
    engine.spawn(async move {
        // Who left needs no reason.
        pulling.run(&Teller(pieces)).await.unwrap_or(());
    });
    Ok(reply)
}

struct Pulling {
    engine: Arc<Engine>,
    reference: String,
    pinned: String,
    digest: String,
    image: Image,
}

impl Pulling {
    async fn run(self, teller: &Teller) -> Result<(), Left> {
        let image = &self.image;
        let (repository, which) = taken_apart(&self.reference);
        let short = repository.split_once('/').map_or(repository, |(_, name)| name);
        let words = format!("Pulling from {short}");
        teller.say(json!({"status": words, "id": which})).await?;
        let is_there = self.engine.world().images.all.contains_key(&image.id);
        for (number, layer) in image.layers.iter().enumerate() {
            if is_there {
                teller.layer(&layer.diff, "Already exists", None).await?;
                continue;
            }
            teller.layer(&layer.diff, "Pulling fs layer", None).await?;
            teller
                .moved(&layer.diff, "Downloading", shown(image, number))
                .await?;
            teller.layer(&layer.diff, "Download complete", None).await?;
            teller.layer(&layer.diff, "Pull complete", None).await?;
        }
        {
            let mut world = self.engine.world();
            let id = world.images.add(self.image.clone());
            world.images.pin(&id, &self.pinned);
            if self.pinned != self.reference {
                world.images.tag(&id, &self.reference);
            }
            world.emit("image", "pull", &self.reference, json!({ "name": repository }));
        }
        teller
            .say(json!({ "status": format!("Digest: {}", self.digest) }))
            .await?;
        let what = if is_there {
            "Image is up to date"
        } else {
            "Downloaded newer image"
        };
        let words = format!("Status: {what} for {}", self.reference);
        teller.say(json!({ "status": words })).await
    }
}

impl Teller {
    async fn say(&self, value: Value) -> Result<(), Left> {
        let text = value.to_string() + "\r\n";
        self.0.send(text.into()).await.map_err(|_gone| Left)
    }

    /// `bytes`: done, and of how many.
    async fn layer(&self, diff: &str, status: &str, bytes: Option<(u64, u64)>) -> Result<(), Left> {
        let id = diff.trim_start_matches("sha256:");
        let id = id.get(..12).unwrap_or(id);
        let detail = match bytes {
            Some((current, total)) => json!({"current": current, "total": total}),
            None => json!({}),
        };
        self.say(json!({"status": status, "progressDetail": detail, "id": id}))
            .await
    }

    /// All bytes of a layer, in the time that a good line takes.
    async fn moved(&self, diff: &str, status: &str, total: u64) -> Result<(), Left> {
        for step in 1..=STEPS {
            tokio::time::sleep(STEP).await;
            self.layer(diff, status, Some((total * step / STEPS, total)))
                .await?;
        }
        Ok(())
    }
}

/// Bytes that a layer shows: what an image claims beyond what it holds is in its lowest one.
fn shown(image: &Image, number: usize) -> u64 {
    let held = image.layers.get(number).map_or(0, |layer| layer.tar.len() as u64);
    held + if number == 0 { image.claimed } else { 0 }
}

/// Repository, and the tag or digest.
fn taken_apart(name: &str) -> (&str, &str) {
    if let Some((repository, digest)) = name.split_once('@') {
        return (repository, digest);
    }
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        Some(_) | None => (name, "latest"),
    }
}

//! The classic builder: a context's Dockerfile step by step, each step an image, each said as Docker says it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::behaviour::Stream;
use super::clock::rfc3339;
use super::configure::configure;
use super::container::words;
use super::copy;
use super::create::default_config;
use super::dockerfile::{self, Instruction};
use super::engine::Engine;
use super::http::{Answer, Ask, bad, broken, refused, stream};
use super::images::{Image, Layer, digest};
use super::shell::{self, Stage};
use super::tree::{Kind, Tree, clean};
use crate::config::dockerfile::substitute;

/// A step takes some time, as it does with a daemon that makes a container for it.
const STEP: Duration = Duration::from_millis(40);
const RUN: Duration = Duration::from_millis(160);

pub(super) async fn answer(engine: &Arc<Engine>, ask: &mut Ask) -> Answer {
    let body = ask.bytes().await?;
    let map = |key: &str| -> BTreeMap<String, String> {
        ask.query(key)
            .and_then(|text| serde_json::from_str::<BTreeMap<String, Option<String>>>(text).ok())
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_default()))
            .collect()
    };
    let mut context = Tree::default();
    context
        .unpack("", &body)
        .map_err(|words| broken(format!("Error processing tar file(exit status 1): {words}")))?;
    let name = ask.query("dockerfile").filter(|name| !name.is_empty());
    let name = name.unwrap_or("Dockerfile");
    let text = match context.get(&clean(name)).map(|node| &node.kind) {
        Some(Kind::File(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => return Err(broken(format!("Cannot locate specified Dockerfile: {name}"))),
    };
    let instructions = dockerfile::parse(&text).map_err(bad)?;
    if engine.world().disk_full {
        return Err(refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Error processing tar file(exit status 1): write /: no space left on device",
        ));
    }
    let (pieces, reply) = stream("application/json");
    let builder = Builder {
        engine: Arc::clone(engine),
        pieces,
        context,
        arguments: map("buildargs"),
        labels: map("labels"),
        target: ask.query("target").unwrap_or_default().to_owned(),
        use_cache: !ask.flag("nocache"),
        stages: BTreeMap::new(),
        given: BTreeMap::new(),
    };
    let tags = ask.all("t").to_vec();
    let quiet = ask.flag("q");
    engine.spawn(async move { builder.run(instructions, tags, quiet).await });
    Ok(reply)
}

struct Builder {
    engine: Arc<Engine>,
    pieces: mpsc::Sender<Bytes>,
    context: Tree,
    arguments: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    target: String,
    use_cache: bool,
    /// Finished stages by name and number.
    stages: BTreeMap<String, Image>,
    /// `ARG`s before the first `FROM`.
    given: BTreeMap<String, String>,
}

/// Why a build ended early.
enum Stop {
    /// Nobody reads any more: the build is cancelled.
    Left,
    Failed {
        message: String,
        code: Option<i32>,
    },
}

fn failed(message: impl Into<String>) -> Stop {
    Stop::Failed {
        message: message.into(),
        code: None,
    }
}

/// One stage as it grows.
struct Growing {
    image: Image,
    config: Value,
    variables: BTreeMap<String, String>,
    name: String,
    number: usize,
}

impl Builder {
    async fn run(mut self, instructions: Vec<Instruction>, tags: Vec<String>, quiet: bool) {
        let result = self.steps(&instructions).await;
        let last = match result {
            Ok(image) => self.finish(&image, &tags, quiet).await,
            Err(stop) => Err(stop),
        };
        if let Err(Stop::Failed { message, code }) = last {
            let detail = match code {
                Some(code) => json!({"code": code, "message": message}),
                None => json!({ "message": message }),
            };
            // The client may have left: then nobody needs the reason.
            self.send(&json!({"errorDetail": detail, "error": message}))
                .await
                .unwrap_or(());
        }
    }

    async fn send(&self, value: &Value) -> Result<(), Stop> {
        let text = value.to_string() + "\r\n";
        self.pieces.send(text.into()).await.map_err(|_gone| Stop::Left)
    }

    async fn say(&self, text: &str) -> Result<(), Stop> {
        self.send(&json!({ "stream": text })).await
    }

    async fn steps(&mut self, instructions: &[Instruction]) -> Result<Image, Stop> {
        let mut growing: Option<Growing> = None;
        let mut number = 0;
        for (place, instruction) in instructions.iter().enumerate() {
            let step = format!("Step {}/{} : {}", place + 1, instructions.len(), instruction.said);
            self.say(&step).await?;
            self.say("\n").await?;
            self.pause(STEP).await?;
            match (instruction.word.as_str(), growing.take()) {
                ("FROM", done) => {
                    if let Some(done) = done {
                        let over = done.name == self.target && !self.target.is_empty();
                        self.keep(&done);
                        if over {
                            return Ok(done.image);
                        }
                    }
                    growing = Some(self.begin(instruction, number)?);
                    number += 1;
                }
                ("ARG", None) => {
                    let (name, value) = argument(&instruction.rest);
                    let value = self.arguments.get(&name).cloned().or(value);
                    self.given.insert(name, value.unwrap_or_default());
                }
                (_, None) => return Err(failed("no build stage in current context")),
                (_, Some(mut stage)) => {
                    self.step(&mut stage, instruction).await?;
                    growing = Some(stage);
                }
            }
            if let Some(stage) = &growing {
                let short = short(&stage.image.id).to_owned();
                self.say(&format!(" ---> {short}\n")).await?;
            }
        }
        growing
            .map(|stage| stage.image)
            .ok_or_else(|| failed("no build stage in current context"))
    }

    fn keep(&mut self, done: &Growing) {
        self.stages.insert(done.number.to_string(), done.image.clone());
        if !done.name.is_empty() {
            self.stages.insert(done.name.clone(), done.image.clone());
        }
    }

    fn begin(&self, instruction: &Instruction, number: usize) -> Result<Growing, Stop> {
        let rest = substitute(&instruction.rest, &self.given, "");
        let mut parts = rest.split_whitespace().filter(|part| !part.starts_with("--"));
        let from = parts.next().unwrap_or_default().to_owned();
        let name = match (parts.next(), parts.next()) {
            (Some(word), Some(name)) if word.eq_ignore_ascii_case("as") => name.to_owned(),
            _ => String::new(),
        };
        let image = if let Some(stage) = self.stages.get(&from) {
            stage.clone()
        } else if from == "scratch" {
            Image::of(&default_config(), "0001-01-01T00:00:00Z", "", Vec::new())
        } else {
            self.engine.world().images.find(&from).cloned().ok_or_else(|| {
                failed("Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host")
            })?
        };
        let mut config = default_config();
        if let (Some(config), Some(own)) = (config.as_object_mut(), image.container_config().as_object()) {
            config.extend(own.clone());
        }
        let variables = words(config.get("Env"))
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Growing {
            image,
            config,
            variables,
            name,
            number,
        })
    }

    async fn pause(&self, span: Duration) -> Result<(), Stop> {
        tokio::select! {
            () = tokio::time::sleep(span) => Ok(()),
            () = self.pieces.closed() => Err(Stop::Left),
        }
    }

    async fn step(&self, stage: &mut Growing, instruction: &Instruction) -> Result<(), Stop> {
        let rest = if instruction.word == "RUN" {
            instruction.rest.clone()
        } else {
            substitute(&instruction.rest, &stage.variables, "")
        };
        let mut copied = None;
        match instruction.word.as_str() {
            "COPY" | "ADD" => copied = Some(self.copied(stage, &rest, &instruction.word)?),
            "ARG" => {
                let (name, value) = argument(&rest);
                let value = self
                    .arguments
                    .get(&name)
                    .or_else(|| self.given.get(&name))
                    .cloned()
                    .or(value);
                stage.variables.insert(name, value.unwrap_or_default());
            }
            "RUN" => {}
            word => configure(&mut stage.config, &mut stage.variables, word, &rest),
        }
        let arguments: Vec<String> = match instruction.word.as_str() {
            "RUN" => stage
                .variables
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            _ => Vec::new(),
        };
        let content = copied
            .as_ref()
            .and_then(|tree| tree.pack("", "").ok())
            .map(|tar| digest(&tar))
            .unwrap_or_default();
        let key = digest(
            format!(
                "{}\n{} {rest}\n{content}\n{}",
                stage.image.id,
                instruction.word,
                arguments.join("\n")
            )
            .as_bytes(),
        );
        let cached = {
            let world = self.engine.world();
            let id = world.images.cache.get(&key).filter(|_| self.use_cache);
            id.and_then(|id| world.images.all.get(id)).cloned()
        };
        if let Some(image) = cached {
            self.say(" ---> Using cache\n").await?;
            stage.image = image;
            return Ok(());
        }
        let mut layers = stage.image.layers.clone();
        if instruction.word == "RUN" {
            let written = self.execute(stage, &rest).await?;
            layers.extend(layer(written)?);
        } else if let Some(tree) = copied {
            layers.extend(layer(tree)?);
        }
        self.commit(stage, layers, &key);
        Ok(())
    }

    /// Runs a command in the growing image; gives the files that it wrote.
    async fn execute(&self, stage: &Growing, rest: &str) -> Result<Tree, Stop> {
        let container = self.engine.world().new_id();
        let short = container.get(..12).unwrap_or_default();
        self.say(&format!(" ---> Running in {short}\n")).await?;
        let argv = dockerfile::command(rest);
        let place = Stage {
            environment: stage.variables.clone(),
            hostname: short.to_owned(),
            argv: argv.clone(),
            now: self.engine.clock.now(),
            folder: match super::world::text(&stage.config, "WorkingDir") {
                "" => "/".to_owned(),
                folder => folder.to_owned(),
            },
            ..Stage::default()
        };
        let tree = stage.image.files();
        let played = shell::play(&place, &tree, &argv);
        let mut spent = Duration::ZERO;
        for said in &played.said {
            self.pause(said.after.saturating_sub(spent)).await?;
            spent = said.after.max(spent);
            match said.stream {
                Stream::Out => self.say(&format!("{}\n", said.text)).await?,
                Stream::Err => self.say(&format!("\u{1b}[91m{}\n\u{1b}[0m", said.text)).await?,
            }
        }
        let Some((end, code)) = played.end else {
            self.pieces.closed().await;
            return Err(Stop::Left);
        };
        self.pause(end.max(RUN).saturating_sub(spent)).await?;
        self.say(&format!("Removing intermediate container {short}\n"))
            .await?;
        if code != 0 {
            return Err(Stop::Failed {
                message: format!(
                    "The command '{}' returned a non-zero code: {code}",
                    argv.join(" ")
                ),
                code: Some(code),
            });
        }
        let mut written = Tree::default();
        for path in &played.written {
            if let Some(node) = played.tree.get(path) {
                written.put(path, node.clone());
            }
        }
        Ok(written)
    }

    /// What `COPY` brings, at its places.
    fn copied(&self, stage: &Growing, rest: &str, word: &str) -> Result<Tree, Stop> {
        let all = match serde_json::from_str::<Vec<String>>(rest) {
            Ok(list) => list,
            Err(_) => dockerfile::words(rest),
        };
        let (flags, paths): (Vec<&String>, Vec<&String>) =
            all.iter().partition(|path| path.starts_with("--"));
        let from = flags.iter().find_map(|flag| flag.strip_prefix("--from="));
        let foreign;
        let source = match from {
            None => &self.context,
            Some(name) => {
                let image = self
                    .stages
                    .get(name)
                    .cloned()
                    .or_else(|| self.engine.world().images.find(name).cloned());
                let image = image.ok_or_else(|| {
                    failed(format!(
                        "invalid from flag value {name}: pull access denied for {name}"
                    ))
                })?;
                foreign = image.files();
                &foreign
            }
        };
        let folder = super::world::text(&stage.config, "WorkingDir");
        copy::brought(source, folder, word, &paths).map_err(failed)
    }

    fn commit(&self, stage: &mut Growing, layers: Vec<Layer>, key: &str) {
        let mut world = self.engine.world();
        let created = rfc3339(world.now);
        let mut image = Image::sized(&stage.config, &created, "", layers, stage.image.claimed);
        image.parent.clone_from(&stage.image.id);
        let id = world.images.add(image.clone());
        world.images.cache.insert(key.to_owned(), id);
        stage.image = image;
    }

    async fn finish(&mut self, image: &Image, tags: &[String], quiet: bool) -> Result<(), Stop> {
        let mut image = image.clone();
        if !self.labels.is_empty() {
            let mut config = image.container_config().clone();
            let text: Vec<String> = self
                .labels
                .iter()
                .map(|(name, value)| format!("\"{name}\"=\"{value}\""))
                .collect();
            let key = digest(format!("{}\n{}", image.id, text.join(" ")).as_bytes());
            configure(&mut config, &mut BTreeMap::new(), "LABEL", &text.join(" "));
            let cached = {
                let world = self.engine.world();
                world
                    .images
                    .cache
                    .get(&key)
                    .and_then(|id| world.images.all.get(id))
                    .cloned()
            };
            let mut stage = Growing {
                config,
                variables: BTreeMap::new(),
                name: String::new(),
                number: 0,
                image,
            };
            if let Some(known) = cached {
                stage.image = known;
            } else {
                let layers = stage.image.layers.clone();
                self.commit(&mut stage, layers, &key);
            }
            image = stage.image;
        }
        self.send(&json!({"aux": {"ID": image.id}})).await?;
        if quiet {
            self.say(&format!("{}\n", image.id)).await?;
        } else {
            self.say(&format!("Successfully built {}\n", short(&image.id)))
                .await?;
        }
        for tag in tags {
            let name = super::create::with_tag(tag);
            {
                let mut world = self.engine.world();
                world.images.add(image.clone());
                world.images.tag(&image.id, &name);
                world.emit("image", "tag", &image.id, json!({ "name": name }));
            }
            if !quiet {
                self.say(&format!("Successfully tagged {name}\n")).await?;
            }
        }
        Ok(())
    }
}

fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

fn argument(text: &str) -> (String, Option<String>) {
    match dockerfile::pairs(text).into_iter().next() {
        Some((name, value)) if text.contains('=') => (name, Some(value)),
        Some((name, _)) => (name, None),
        None => (String::new(), None),
    }
}

fn layer(tree: Tree) -> Result<Option<Layer>, Stop> {
    if tree == Tree::default() {
        return Ok(None);
    }
    Layer::new(tree)
        .map(Some)
        .map_err(|error| failed(error.to_string()))
}

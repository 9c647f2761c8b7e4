//! A configured service: how it is built, tested and deployed.
//! Serialisable, because it is part of plans, ledgers and hashes; never contains the value of a secret.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::gate::{Gate, HttpProbe, Probe, ProbeTls};
pub use super::options::Options;
pub use super::rollout::{Batch, OnFailure, Order, Rolling, Strategy};
pub use super::switch::ReleaseTest;
pub use super::test::Test;
use crate::domain::ids::{HostName, ServiceName};

/// A `[[services]]` table, or what an environment makes of it. Made by `config::read`, checked and complete: names resolved,
/// paths absolute, defaults filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    pub name: ServiceName,
    /// Repository without a tag: `registry.internal:5000/shop`.
    pub image: String,
    pub build: Option<Build>,
    /// In order.
    pub tests: Vec<Test>,
    pub stages: Vec<CustomStage>,
    pub deploy: Option<Deploy>,
    /// The stages of a pipeline, in order; the slots of one group run concurrently.
    pub pipeline: Vec<Vec<Slot>>,
    /// Its environments, in the order of the file. Each is complete; a plan contains only its own.
    #[serde(skip)]
    pub environments: Vec<Environment>,
}

/// A service as one environment has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    /// `staging`: a part of every name, label, lock and ledger.
    pub name: String,
    /// The complete settings of the environment; it has no environments of its own.
    pub service: Service,
}

impl Service {
    /// The service itself, then its environments, each with its name.
    pub fn places(&self) -> impl Iterator<Item = (Option<&str>, &Self)> {
        let environments = self.environments.iter();
        std::iter::once((None, self))
            .chain(environments.map(|other| (Some(other.name.as_str()), &other.service)))
    }

    /// The service in that environment, or without one.
    #[must_use]
    pub fn place(&self, environment: Option<&str>) -> Option<&Self> {
        self.places()
            .find(|(name, _)| *name == environment)
            .map(|(_, service)| service)
    }

    /// `it has staging, production`
    #[must_use]
    pub fn environment_words(&self) -> String {
        let names: Vec<&str> = self
            .environments
            .iter()
            .map(|known| known.name.as_str())
            .collect();
        if names.is_empty() {
            return format!("there is no [services.environments] in {}", self.name);
        }
        format!("it has {}", names.join(", "))
    }
}

/// One place in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    Build,
    /// By the test's name.
    Test(String),
    Push,
    /// By the stage's name.
    Custom(String),
    Deploy,
}

/// A custom stage of a service (`[[services.stages]]`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomStage {
    pub name: String,
    /// Runs at the end in any case; its result is reported and does not change the run's.
    pub always: bool,
    pub work: Work,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// A container; `None`: of the run's own image.
    Run { image: Option<String>, test: Box<Test> },
    /// A command on the machine of the run, in the folder of the configuration file, without a shell.
    Command {
        argv: Vec<String>,
        env: BTreeMap<String, String>,
        folder: PathBuf,
        timeout: Duration,
    },
    /// An approval by a person.
    Approve { question: String, timeout: Duration },
}

impl Slot {
    /// The default pipeline: all stages one after the other.
    #[must_use]
    pub fn usual(
        builds: bool,
        tests: &[Test],
        pushes: bool,
        stages: &[CustomStage],
        deploys: bool,
    ) -> Vec<Vec<Self>> {
        let tests = tests.iter().map(|test| Self::Test(test.name.clone()));
        let slots = builds.then_some(Self::Build).into_iter().chain(tests);
        let stages = stages.iter().filter(|stage| !stage.always);
        let stages = stages.map(|stage| Self::Custom(stage.name.clone()));
        let slots = slots.chain(pushes.then_some(Self::Push)).chain(stages);
        slots
            .chain(deploys.then_some(Self::Deploy))
            .map(|slot| vec![slot])
            .collect()
    }
}

/// `[services.build]`: where and how the image is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Build {
    pub host: HostName,
    /// Absolute; resolved against the folder of the configuration file.
    pub context: PathBuf,
    /// Within the context.
    pub dockerfile: PathBuf,
    pub target: Option<String>,
    pub args: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Templates: `{git.short}`, `{git.branch}`, `{run.number}`, `{time}`; the first one names the build for people.
    #[serde(default)]
    pub tags: Vec<String>,
    /// A commit, branch or tag to build instead of the work tree.
    #[serde(default)]
    pub git: Option<String>,
    /// `linux/arm64`; `None`: the build host's platform.
    #[serde(default)]
    pub platform: Option<String>,
    /// Images used as cache.
    #[serde(default)]
    pub cache_from: Vec<String>,
    /// For `RUN --mount=type=secret,id=…`.
    #[serde(default)]
    pub secrets: BTreeMap<String, Secret>,
    #[serde(default)]
    pub builder: Builder,
    pub timeout: Duration,
}

impl Build {
    /// The defaults: the `Dockerfile` of the folder, tagged with the time.
    #[must_use]
    pub fn new(host: HostName, context: PathBuf, timeout: Duration) -> Self {
        Self {
            host,
            context,
            dockerfile: PathBuf::from("Dockerfile"),
            target: None,
            args: BTreeMap::new(),
            labels: BTreeMap::new(),
            tags: vec!["{time}".to_owned()],
            git: None,
            platform: None,
            cache_from: Vec::new(),
            secrets: BTreeMap::new(),
            builder: Builder::default(),
            timeout,
        }
    }
}

/// Which of a daemon's two builders to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Builder {
    /// `BuildKit` if the daemon has it.
    #[default]
    Auto,
    Classic,
    BuildKit,
}

/// `[services.deploy]`: where and how the service runs, and how releases replace each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deploy {
    /// Resolved from names and `tag:…`, in the order of the configuration, each once.
    pub hosts: Vec<HostName>,
    pub strategy: Strategy,
    /// Per host.
    pub replicas: u32,
    /// Committed releases retained, including the current one.
    pub keep: u32,
    pub spec: Spec,
    pub gate: Gate,
    /// How long the new release must stay healthy between the last batch and the commit.
    #[serde(default)]
    pub bake: Duration,
    /// Tests of each new replica once it is ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before_switch: Vec<ReleaseTest>,
    /// Tests of each host once every new replica is ready, before the commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after_switch: Vec<ReleaseTest>,
    /// Its read-write volumes may have several writers at once.
    #[serde(default)]
    pub shared: bool,
}

/// How a replica runs; hashed into the label `pilothouse.spec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub command: Vec<String>,
    pub entrypoint: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub secrets: BTreeMap<String, Secret>,
    /// By the secret's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, SecretFile>,
    /// `8080:80`, `127.0.0.1:8080:80/udp`
    pub ports: Vec<Publish>,
    /// `data:/var/lib/data`, `/etc/shop:/etc/shop:ro`
    pub volumes: Vec<Mount>,
    pub networks: Vec<String>,
    /// By network: additional aliases.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, Vec<String>>,
    pub labels: BTreeMap<String, String>,
    pub user: Option<String>,
    pub memory: Option<u64>,
    /// Cores.
    pub cpus: Option<f64>,
    /// The policy of a committed replica; never `unless-stopped` (it stays down after a daemon crash).
    pub restart: Restart,
    pub stop_signal: Option<String>,
    pub stop_grace: Duration,
    /// A `VOLUME` of the image without a mount may start empty.
    pub ephemeral: bool,
    #[serde(default, skip_serializing_if = "Options::are_default")]
    pub options: Box<Options>,
}

impl Spec {
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty() || !self.files.is_empty()
    }

    /// The sources of all secrets, variables and files, by name.
    pub fn sources(&self) -> impl Iterator<Item = (&String, &Secret)> {
        let files = self.files.iter().map(|(name, file)| (name, &file.source));
        self.secrets.iter().chain(files)
    }
}

/// The source of a secret value; the value itself is never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    Command(Vec<String>),
    Env(String),
    File(PathBuf),
}

/// A secret as a file in a replica, written before it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFile {
    pub source: Secret,
    /// Absolute, without `..`.
    pub path: String,
    pub uid: u32,
    pub gid: u32,
    /// Permission bits only.
    pub mode: u32,
}

impl SecretFile {
    /// Whether its path is `folder` or below it.
    #[must_use]
    pub fn is_below(&self, folder: &str) -> bool {
        let folder = folder.trim_end_matches('/');
        let rest = self.path.strip_prefix(folder);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// `/run/secrets/tls.key (0400, 1000:1000)`
    #[must_use]
    pub fn words(&self) -> String {
        format!("{} ({:04o}, {}:{})", self.path, self.mode, self.uid, self.gid)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    pub address: Option<String>,
    pub outside: u16,
    pub inside: u16,
    pub protocol: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// A volume's name or an absolute path.
    pub source: String,
    pub target: String,
    pub read_only: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    #[default]
    Always,
    OnFailure(u32),
    No,
}

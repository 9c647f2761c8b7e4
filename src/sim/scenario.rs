//! What a simulated fleet consists of when it begins.
//! Plain data: `fleet` makes it live.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::behaviour::Behaviour;
use crate::config::Service;
use crate::domain::ids::HostName;

/// A fleet to begin with.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// The same seed gives the same ids, lines and figures.
    pub seed: u64,
    pub hosts: Vec<HostPlan>,
    /// Build contexts are taken from the fleet's folder where they are relative.
    pub services: Vec<Service>,
    /// By the value of an image's label `sim.behaviour`; asked before the built-in ones.
    pub behaviours: BTreeMap<String, Behaviour>,
    /// The address of a registry that all hosts reach; it is empty at first.
    pub registry: Option<String>,
    /// Written into the fleet's folder: build contexts.
    pub files: Vec<(PathBuf, String)>,
}

/// One simulated daemon and what is on it.
#[derive(Clone, Debug)]
pub struct HostPlan {
    pub name: HostName,
    pub tags: Vec<String>,
    pub protected: bool,
    pub traits: HostTraits,
    pub images: Vec<ImagePlan>,
    /// Besides `bridge`, `host` and `none`.
    pub networks: Vec<String>,
    pub containers: Vec<ContainerPlan>,
    pub outages: Option<Outages>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTraits {
    pub cpus: u32,
    pub memory: u64,
    pub kernel: String,
    /// Used and total bytes under Docker's data root.
    pub disk: (u64, u64),
}

impl Default for HostTraits {
    fn default() -> Self {
        Self {
            cpus: 4,
            memory: 8 << 30,
            kernel: "6.1.0-18-amd64".to_owned(),
            disk: (31 << 30, 80 << 30),
        }
    }
}

/// The host cannot be reached now and then; its containers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outages {
    /// Until the first.
    pub first: Duration,
    /// From the end of one to the beginning of the next.
    pub every: Duration,
    pub length: Duration,
}

/// An image that is there from the beginning.
#[derive(Clone, Debug)]
pub struct ImagePlan {
    pub reference: String,
    /// `Config` as in Docker's image JSON: `Cmd`, `Labels`, `Healthcheck`, …
    pub config: Value,
    /// Path and content.
    pub files: Vec<(String, String)>,
    /// Bytes it is said to have beyond its files.
    pub size: u64,
}

/// A container that is there from the beginning.
#[derive(Clone, Debug)]
pub struct ContainerPlan {
    pub name: String,
    /// The body of its creation, as Docker's API takes it.
    pub asked: Value,
    /// Instead of what its image and command make it do.
    pub behaviour: Option<Behaviour>,
    pub condition: Condition,
    /// How long ago it was created, and, where it ran, started.
    pub age: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    Created,
    #[default]
    Running,
    Paused,
    Exited {
        code: i32,
        ago: Duration,
        oom: bool,
    },
}

impl HostPlan {
    #[must_use]
    pub fn new(name: HostName) -> Self {
        Self {
            name,
            tags: Vec::new(),
            protected: false,
            traits: HostTraits::default(),
            images: Vec::new(),
            networks: Vec::new(),
            containers: Vec::new(),
            outages: None,
        }
    }

    #[must_use]
    pub fn with(mut self, containers: impl IntoIterator<Item = ContainerPlan>) -> Self {
        self.containers.extend(containers);
        self
    }
}

impl ImagePlan {
    /// Runs a command that the simulated shell knows, or a behaviour by its label.
    #[must_use]
    pub fn new(reference: &str, command: &[&str]) -> Self {
        Self {
            reference: reference.to_owned(),
            config: json!({"Cmd": command}),
            files: Vec::new(),
            size: 0,
        }
    }
}

impl ContainerPlan {
    /// Running for an hour, quiet.
    #[must_use]
    pub fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.to_owned(),
            asked: json!({"Image": image, "Labels": {}, "HostConfig": {}}),
            behaviour: Some(Behaviour::quiet()),
            condition: Condition::Running,
            age: Duration::from_hours(1),
        }
    }

    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = Some(behaviour);
        self
    }

    #[must_use]
    pub fn aged(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    #[must_use]
    pub fn being(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    #[must_use]
    pub fn labelled(self, name: &str, value: &str) -> Self {
        self.asking(&format!("/Labels/{name}"), json!(value))
    }

    /// `always`, `unless-stopped`, `on-failure`, `no`
    #[must_use]
    pub fn restarting(self, policy: &str) -> Self {
        self.asking("/HostConfig/RestartPolicy", json!({ "Name": policy }))
    }

    #[must_use]
    pub fn publishing(self, outside: u16, inside: u16) -> Self {
        let port = format!("{inside}/tcp");
        let mut exposed = self.asked.get("ExposedPorts").cloned().unwrap_or(json!({}));
        let mut bound = self
            .asked
            .pointer("/HostConfig/PortBindings")
            .cloned()
            .unwrap_or(json!({}));
        if let (Some(exposed), Some(bound)) = (exposed.as_object_mut(), bound.as_object_mut()) {
            exposed.insert(port.clone(), json!({}));
            bound.insert(port, json!([{"HostPort": outside.to_string()}]));
        }
        self.asking("/ExposedPorts", exposed)
            .asking("/HostConfig/PortBindings", bound)
    }

    /// With a health check, made every so often.
    #[must_use]
    pub fn checked(self, every: Duration) -> Self {
        let nanos = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
        self.asking(
            "/Healthcheck",
            json!({"Test": ["CMD-SHELL", "curl -fsS http://127.0.0.1/healthz"], "Interval": nanos, "Retries": 2}),
        )
    }

    /// Sets a part of the creation's body: `/HostConfig/Memory`.
    #[must_use]
    pub fn asking(mut self, place: &str, value: Value) -> Self {
        let mut at = &mut self.asked;
        let mut parts = place.split('/').skip(1).peekable();
        while let Some(part) = parts.next() {
            let Some(object) = at.as_object_mut() else {
                return self;
            };
            let entry = object.entry(part.to_owned()).or_insert_with(|| json!({}));
            if parts.peek().is_none() {
                *entry = value;
                return self;
            }
            at = entry;
        }
        self
    }
}

/// The image that `Scenario::empty` puts on every host.
pub const BOX_IMAGE: &str = "sim/box:1";

impl Scenario {
    /// So many hosts, `host-1` …, without containers; each has the image [`BOX_IMAGE`].
    #[must_use]
    pub fn empty(hosts: usize) -> Self {
        Self {
            hosts: (1..=hosts)
                .filter_map(|number| HostName::parse(&format!("host-{number}")).ok())
                .map(|name| HostPlan {
                    images: vec![ImagePlan::new(BOX_IMAGE, &["sh", "-c", "sleep infinity"])],
                    ..HostPlan::new(name)
                })
                .collect(),
            ..Self::default()
        }
    }

    /// So many containers spread over so many hosts, in the moods of a real fleet.
    #[must_use]
    pub fn scale(hosts: usize, containers: usize) -> Self {
        let mut scenario = Self::empty(hosts.max(1));
        let count = scenario.hosts.len();
        for number in 0..containers {
            let behaviour = match number % 5 {
                0 => Behaviour::web(),
                1 => Behaviour::api(),
                2 => Behaviour::shop(),
                3 => Behaviour::worker(),
                _ => Behaviour::database(),
            };
            let service = ["web", "api", "shop", "worker", "db"]
                .get(number % 5)
                .copied()
                .unwrap_or("web");
            let plan = ContainerPlan::new(&format!("{service}.r7.{number}"), BOX_IMAGE)
                .behaving(behaviour)
                .aged(Duration::from_secs(600 + 37 * u64::try_from(number).unwrap_or(0)))
                .labelled(crate::domain::container::label::SERVICE, service)
                .labelled(crate::domain::container::label::RELEASE, "r7");
            if let Some(host) = scenario.hosts.get_mut(number % count) {
                host.containers.push(plan);
            }
        }
        scenario
    }
}

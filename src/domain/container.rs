//! A container as a row of the table shows it: what a list and the event stream tell, no more.
//! The rest is `detail`, asked for one container at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{ContainerId, ImageId, ReleaseNumber, ServiceName};
use super::units::Stamp;

/// Labels as the daemon gave them, shared between copies of a row.
pub type Labels = Arc<BTreeMap<String, String>>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub id: ContainerId,
    /// Without the leading slash.
    pub name: Arc<str>,
    /// As it was asked for when created: `registry:5000/shop:v3`.
    pub image: Arc<str>,
    pub image_id: Option<ImageId>,
    pub command: Arc<str>,
    pub created: Stamp,
    pub state: State,
    pub health: Health,
    pub ports: Vec<Port>,
    pub labels: Labels,
}

/// Docker's states, each with what it alone knows. Moments are the daemon's; they may be approximate
/// (a list says "Up 2 hours") until an event or an inspection gives them exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    Created,
    Running {
        since: Option<Stamp>,
    },
    Paused {
        since: Option<Stamp>,
    },
    /// Exited and about to be started again by its restart policy.
    Restarting {
        code: Option<i32>,
        since: Option<Stamp>,
    },
    Removing,
    /// `oom`: the kernel killed something in it for memory.
    Exited {
        code: i32,
        at: Option<Stamp>,
        oom: bool,
    },
    /// Docker could not remove it wholly.
    Dead,
}

impl State {
    /// Has a main process: can have statistics, logs that grow, an exec.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Paused { .. })
    }

    /// Docker's own word for it, as `docker ps` filters by.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Paused { .. } => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Removing => "removing",
            Self::Exited { .. } => "exited",
            Self::Dead => "dead",
        }
    }
}

/// The result of the image's or the service's own health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// No health check is declared.
    #[default]
    Unchecked,
    Starting,
    Healthy,
    Unhealthy,
}

/// A port of the container, and where the host publishes it if it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub inside: u16,
    /// `tcp`, `udp`, `sctp`
    pub protocol: Arc<str>,
    /// Host address and port.
    pub published: Option<(Arc<str>, u16)>,
}

/// Labels that Pilothouse writes at create; nothing mutable is ever in one.
pub mod label {
    pub const SCHEMA: &str = "pilothouse.schema";
    pub const SERVICE: &str = "pilothouse.service";
    pub const ENVIRONMENT: &str = "pilothouse.environment";
    pub const RELEASE: &str = "pilothouse.release";
    pub const DIGEST: &str = "pilothouse.digest";
    pub const SPEC: &str = "pilothouse.spec";
    pub const RUN: &str = "pilothouse.run";
    pub const ACTOR: &str = "pilothouse.actor";
    pub const GIT: &str = "pilothouse.git";
    pub const PREVIOUS: &str = "pilothouse.previous";
    /// The releases before it that are kept, as `release::replica::Kept` writes them.
    pub const KEPT: &str = "pilothouse.kept";
    /// What a container of ours is that is no replica: `lock`, `ledger`, `test`; of a volume, `adopted`.
    pub const ROLE: &str = "pilothouse.role";
    /// The test whose container, network or volume it is.
    pub const STAGE: &str = "pilothouse.stage";
    /// Compose's own labels: the group of containers that are not ours.
    pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
    pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
}

/// What rows are gathered under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Group {
    Service {
        name: ServiceName,
        environment: Option<Arc<str>>,
    },
    Compose {
        project: Arc<str>,
        service: Arc<str>,
    },
    None,
}

/// What something with these labels is gathered under.
#[must_use]
pub fn group_of(labels: &BTreeMap<String, String>) -> Group {
    let label = |key: &str| labels.get(key).map(String::as_str);
    if let Some(name) = label(label::SERVICE).and_then(|text| ServiceName::parse(text).ok()) {
        return Group::Service {
            name,
            environment: label(label::ENVIRONMENT).map(Into::into),
        };
    }
    match (label(label::COMPOSE_PROJECT), label(label::COMPOSE_SERVICE)) {
        (Some(project), service) => Group::Compose {
            project: project.into(),
            service: service.unwrap_or_default().into(),
        },
        (None, _) => Group::None,
    }
}

impl Container {
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    #[must_use]
    pub fn group(&self) -> Group {
        group_of(&self.labels)
    }

    #[must_use]
    pub fn release(&self) -> Option<ReleaseNumber> {
        self.label(label::RELEASE)?
            .trim_start_matches('r')
            .parse()
            .ok()
            .map(ReleaseNumber)
    }

    /// A lock, a ledger or a test of ours: shown only when everything is asked for.
    #[must_use]
    pub fn is_housekeeping(&self) -> bool {
        self.label(label::ROLE).is_some()
    }
}

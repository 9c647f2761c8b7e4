//! A container as a row of the table: what a list and the event stream contain.
//! The rest is in `detail`, requested for one container at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{ContainerId, ImageId, ReleaseNumber, ServiceName};
use super::reference::Reference;
use super::told;
use super::units::Stamp;

/// Labels as the daemon gave them, shared between copies of a row.
pub type Labels = Arc<BTreeMap<String, String>>;

/// A container as `docker ps` shows it. Written by `hosts::listing` and updated from events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Container {
    pub id: ContainerId,
    /// Without the leading slash.
    pub name: Arc<str>,
    /// As given when it was created: `registry:5000/shop:v3`.
    pub image: Arc<str>,
    pub image_id: Option<ImageId>,
    pub command: Arc<str>,
    #[serde(serialize_with = "told::time")]
    pub created: Stamp,
    #[serde(flatten)]
    pub state: State,
    pub health: Health,
    pub ports: Vec<Port>,
    pub labels: Labels,
}

/// Docker's states with their details. Times are the daemon's; they may be approximate (a list says "Up 2 hours") until an
/// event or an inspection gives them exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    Created,
    Running {
        #[serde(serialize_with = "told::time_if")]
        since: Option<Stamp>,
    },
    Paused {
        #[serde(serialize_with = "told::time_if")]
        since: Option<Stamp>,
    },
    /// Exited and about to be started again by its restart policy.
    Restarting {
        code: Option<i32>,
        #[serde(serialize_with = "told::time_if")]
        since: Option<Stamp>,
    },
    Removing,
    /// `oom`: killed by the kernel for memory. Made by [`State::exited`].
    Exited {
        code: i32,
        #[serde(serialize_with = "told::time_if")]
        at: Option<Stamp>,
        oom: bool,
    },
    /// Docker could not remove it completely.
    Dead,
}

impl State {
    /// The kernel's word counts where the code does not say otherwise: it may have killed a child hours before a clean end.
    #[must_use]
    pub fn exited(code: i32, at: Option<Stamp>, oom: bool) -> Self {
        let oom = oom && !is_clean_exit(code);
        Self::Exited { code, at, oom }
    }

    /// Runs, or is about to be started again by its restart policy.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_running() || matches!(self, Self::Restarting { .. })
    }

    /// Has a main process: can have statistics, logs that grow, an exec.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Paused { .. })
    }

    /// Since when it is as it is.
    #[must_use]
    pub fn since(&self) -> Option<Stamp> {
        match self {
            Self::Running { since } | Self::Paused { since } | Self::Restarting { since, .. } => *since,
            Self::Exited { at, .. } => *at,
            Self::Created | Self::Removing | Self::Dead => None,
        }
    }

    /// Docker's word for it, as in `docker ps --filter status=`.
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

/// Ended without an error, or by a signal that asks for the end: SIGINT, SIGTERM.
#[must_use]
pub fn is_clean_exit(code: i32) -> bool {
    matches!(code, 0 | 130 | 143)
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

impl Health {
    /// Empty where nothing is declared.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unchecked => "",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
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
    /// Of the run that holds a lock.
    pub const KIND: &str = "pilothouse.kind";
    pub const GIT: &str = "pilothouse.git";
    pub const PREVIOUS: &str = "pilothouse.previous";
    /// The releases before it that are kept, as `release::replica::Kept` writes them.
    pub const KEPT: &str = "pilothouse.kept";
    /// What a thing of ours is that is no replica: a [`super::Role`].
    pub const ROLE: &str = "pilothouse.role";
    /// The test whose container, network or volume it is.
    pub const STAGE: &str = "pilothouse.stage";
    /// Compose's own labels: the group of containers that are not ours.
    pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
    pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
}

/// What a container, network, volume or image of ours is that is no replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Lock,
    Ledger,
    Test,
    /// A volume that says which containers are a release.
    Adopted,
}

impl Role {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Ledger => "ledger",
            Self::Test => "test",
            Self::Adopted => "adopted",
        }
    }

    /// To make something with.
    #[must_use]
    pub fn label(self) -> (String, String) {
        (label::ROLE.to_owned(), self.word().to_owned())
    }

    /// `pilothouse.role=lock`, to list by.
    #[must_use]
    pub fn filter(self) -> String {
        format!("{}={}", label::ROLE, self.word())
    }

    #[must_use]
    pub fn is_of(self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(label::ROLE).is_some_and(|role| role == self.word())
    }
}

/// What rows are gathered under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
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

impl Group {
    #[must_use]
    pub fn service(name: &ServiceName, environment: Option<&str>) -> Self {
        Self::Service {
            name: name.clone(),
            environment: environment.map(Into::into),
        }
    }
}

/// `shop`, `shop.prod`, `project/web`
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service {
                name,
                environment: None,
            } => write!(f, "{name}"),
            Self::Service {
                name,
                environment: Some(environment),
            } => write!(f, "{name}.{environment}"),
            Self::Compose { project, service } if service.is_empty() => f.write_str(project),
            Self::Compose { project, service } => write!(f, "{project}/{service}"),
            Self::None => f.write_str("(no service)"),
        }
    }
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

    /// Its image for people: a daemon tells of what was created by id nothing but that. Then by what the registry calls
    /// it, as far as the release knew, else by the first digits as every Docker tool shows them.
    #[must_use]
    pub fn image_words(&self) -> Cow<'_, str> {
        let Some(digits) = self.image.strip_prefix("sha256:") else {
            return Cow::Borrowed(&self.image);
        };
        let pinned = self
            .label(label::DIGEST)
            .and_then(|text| Reference::parse(text).ok());
        match pinned.filter(|pinned| pinned.digest().is_some()) {
            Some(pinned) => Cow::Owned(pinned.short()),
            None => Cow::Borrowed(digits.get(..12).unwrap_or(digits)),
        }
    }

    #[must_use]
    pub fn release(&self) -> Option<ReleaseNumber> {
        self.label(label::RELEASE)?
            .trim_start_matches('r')
            .parse()
            .ok()
            .map(ReleaseNumber)
    }

    #[must_use]
    pub fn has_role(&self, role: Role) -> bool {
        role.is_of(&self.labels)
    }

    /// A lock, a ledger or a test of ours: shown only when everything is asked for.
    #[must_use]
    pub fn is_housekeeping(&self) -> bool {
        self.label(label::ROLE).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_known_by_its_id_alone_is_short() {
        let digits: String = "4be19a70c1d2".chars().cycle().take(64).collect();
        let digest = format!("reg:5000/shop@sha256:{digits}");
        let words = |image: &str, labels: &[(&str, &str)]| {
            let labels = labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let container = Container {
                id: ContainerId::parse("a0").unwrap(),
                name: "shop".into(),
                image: image.into(),
                image_id: None,
                command: "".into(),
                created: Stamp(0),
                state: State::Created,
                health: Health::Unchecked,
                ports: Vec::new(),
                labels: Arc::new(labels.collect()),
            };
            container.image_words().into_owned()
        };
        assert_eq!(words("shop:v3", &[]), "shop:v3");
        let id = format!("sha256:{digits}");
        assert_eq!(words(&id, &[]), "4be19a70c1d2");
        assert_eq!(
            words(&id, &[(label::DIGEST, &digest)]),
            "reg:5000/shop@4be19a70c1d2"
        );
    }
}

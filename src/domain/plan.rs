//! A request for a run, and the preview of what the run would do, shown before it is confirmed.
//! Made by `runs::plan`; never contains the value of a secret.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::container::Group;
use super::fault::Fault;
use super::ids::{HostName, ImageId, ReleaseNumber, RunId, ServiceName};
use super::reference::Reference;
use super::run::RunKind;
use super::told;
use super::units::Stamp;

/// A request for one run, by a person or a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    pub kind: RunKind,
    pub service: ServiceName,
    pub environment: Option<String>,
    /// A tag, an image id or `repo@digest`; `None`: the last build of the service.
    pub image: Option<String>,
    /// A commit to build instead of the configured revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The value of `{git.branch}` if git has no branch for what is built: the branch of a push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The release to roll back to; `None`: the last release committed on all hosts before the current one.
    pub to: Option<ReleaseNumber>,
    /// The confirmed plan's release and image; if they have changed, the run is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<Foreseen>,
    /// Tags for a push; empty: the tags it has.
    #[serde(default)]
    pub tags: Vec<String>,
    pub reason: Option<String>,
    /// In a promotion: the environment whose image is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// In an adoption: the containers to adopt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    #[serde(default)]
    pub wait: Wait,
    /// Dependent services to run afterwards with the same kind of run, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependants: Vec<ServiceName>,
    /// Runs that must succeed before this one begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<RunId>,
}

/// What the plan of a release showed, to be compared with the decision under the locks. `None` fields are not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    #[serde(default)]
    pub from: Before,
    /// The target of a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ReleaseNumber>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
}

/// The release that runs before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// Unknown: runs that it waits for may change it.
    #[default]
    Whatever,
    Nothing,
    Release(ReleaseNumber),
}

/// What a run does while another one of its service is in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// Ends at once with exit 4.
    No,
    /// Waits for its turn in this state folder without a limit, and for another machine's lock up to 15 min.
    #[default]
    Turn,
    /// Waits at most this long, for both together.
    UpTo(Duration),
}

/// Where a promotion takes its image from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Another environment of the same service; `None`: the service without one.
    pub environment: Option<String>,
    /// The release the plan found there; `image` of the request is its image. If it has changed, the run is refused.
    pub release: Option<ReleaseNumber>,
}

/// Containers to adopt, as given by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// A container, by name or id: on each host of the service, or on this one.
    Container { host: Option<HostName>, name: String },
    /// The containers of a compose file's service.
    Compose(PathBuf),
}

impl RunRequest {
    /// A request with defaults for everything else.
    #[must_use]
    pub fn new(kind: RunKind, service: ServiceName) -> Self {
        Self {
            kind,
            service,
            environment: None,
            image: None,
            revision: None,
            branch: None,
            to: None,
            foreseen: None,
            tags: Vec::new(),
            reason: None,
            origin: None,
            found: Vec::new(),
            wait: Wait::default(),
            dependants: Vec::new(),
            behind: Vec::new(),
        }
    }

    /// What its service is gathered under.
    #[must_use]
    pub fn group(&self) -> Group {
        Group::service(&self.service, self.environment.as_deref())
    }

    /// `shop`, or `shop.staging`: the word to type if a host is protected.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.environment {
            Some(environment) => format!("{}.{environment}", self.service),
            None => self.service.to_string(),
        }
    }

    /// `shop.staging r42`, of a promotion.
    #[must_use]
    pub fn origin_words(&self) -> Option<String> {
        let origin = self.origin.as_ref()?;
        let mut words = match &origin.environment {
            Some(environment) => format!("{}.{environment}", self.service),
            None => self.service.to_string(),
        };
        if let Some(release) = origin.release {
            words = format!("{words} {release}");
        }
        Some(words)
    }

    /// `deploy`, or `promote`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.origin {
            Some(_) => "promote",
            None => self.kind.word(),
        }
    }
}

/// The plan page, `--dry-run` and its `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanView {
    pub request: RunRequest,
    /// Each host of the service, with the release it runs now.
    #[serde(serialize_with = "now_on")]
    pub hosts: Vec<(HostName, Option<ReleaseNumber>)>,
    pub to: Option<ReleaseNumber>,
    /// Reference and image id that will run.
    pub image: String,
    pub image_id: Option<String>,
    /// `PORT 80 → 8080`, `+ FEATURE_BASKET2`, `API_KEY changed`
    pub changes: Vec<String>,
    /// The steps, in order, one line per wave or stage.
    pub order: Vec<String>,
    pub tests: Vec<String>,
    /// What undo will do, and until when.
    pub undo: Vec<String>,
    #[serde(serialize_with = "told::seconds_if")]
    pub estimate: Option<Duration>,
    /// Warnings; none of them stops the run.
    pub warnings: Vec<String>,
    /// Why it cannot be started, besides `locked`.
    pub refusals: Vec<Fault>,
    /// Why it cannot be started now: another run is in progress.
    pub locked: Vec<Fault>,
    /// Hosts that it needs and that did not answer; each has its refusal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<HostName>,
    /// Protected hosts that it changes; the word must be typed.
    pub protected: Vec<HostName>,
    /// The word to type: `shop`; `base shop` if a dependent run changes protected hosts, too.
    pub word: String,
    /// All dependent services, whether they are run afterwards or not.
    pub dependants: Vec<ServiceName>,
    /// For a rollback: every release the hosts know of, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<KnownRelease>,
}

fn now_on<S: Serializer>(hosts: &[(HostName, Option<ReleaseNumber>)], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Told<'a> {
        host: &'a HostName,
        release: Option<ReleaseNumber>,
    }
    to.collect_seq(hosts.iter().map(|(host, release)| Told {
        host,
        release: *release,
    }))
}

impl PlanView {
    /// All that stops it; nothing if it can be started.
    pub fn stops(&self) -> impl Iterator<Item = &Fault> {
        self.refusals.iter().chain(&self.locked)
    }

    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stops().next().is_some()
    }
}

/// A release, from the ledgers and containers of the hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KnownRelease {
    pub release: ReleaseNumber,
    /// When it was first committed; `None` if only labels are left.
    #[serde(serialize_with = "told::time_if")]
    pub at: Option<Stamp>,
    pub by: Option<String>,
    /// It was deployed, or adopted.
    pub kind: Option<RunKind>,
    pub reason: Option<String>,
    /// As requested: `shop:3f2a91c`.
    pub reference: String,
    pub image: Option<ImageId>,
    /// Its digest in its registry.
    pub digest: Option<Reference>,
    pub git: Option<String>,
    /// The hosts it was last committed on.
    pub hosts: Vec<HostName>,
    /// Hosts that retain its containers, where they are started again; elsewhere they are created again.
    pub kept: Vec<HostName>,
    /// It runs somewhere.
    pub runs: bool,
    /// Whether it is the default of a rollback: the last one committed on all hosts.
    pub default: bool,
    /// Why it cannot be rolled back to.
    pub refused: Option<String>,
}

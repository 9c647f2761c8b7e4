//! What is asked of a run, and what would happen: shown before the key counts.
//! Made by `runs::plan`; the answer never holds a secret's value.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ids::{HostName, ImageId, ReleaseNumber, RunId, ServiceName};
use super::reference::Reference;
use super::run::RunKind;
use super::units::Stamp;

/// One run as a person or a pipeline asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    pub kind: RunKind,
    pub service: ServiceName,
    pub environment: Option<String>,
    /// A tag, an image id or `repo@digest`; absent: what the last build of the service made.
    pub image: Option<String>,
    /// A commit to build, instead of what the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What `{git.branch}` is where git knows no branch of what is built: a push says its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Where a rollback goes; absent: the last release committed on all hosts before the present one.
    pub to: Option<ReleaseNumber>,
    /// What the plan said that was confirmed; something else by now is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<Foreseen>,
    /// Under which tags a push puts it into the registry; none: those that it has.
    #[serde(default)]
    pub tags: Vec<String>,
    pub reason: Option<String>,
    /// A promotion: the image is what runs there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// An adoption: where what runs today is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    #[serde(default)]
    pub wait: Wait,
    /// Services whose images stand on this one's and that have a run of the same kind behind this one, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependants: Vec<ServiceName>,
    /// Runs that must have ended well before this one begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<RunId>,
}

/// What a plan of a release said, to be held against what is decided under the locks. Absent: not said, and not held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    #[serde(default)]
    pub from: Before,
    /// Where a rollback goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ReleaseNumber>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageId>,
}

/// What runs before a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// It was to wait for others, which may change that.
    #[default]
    Whatever,
    Nothing,
    Release(ReleaseNumber),
}

/// What a run does while another one of its service is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wait {
    /// It ends at once, with exit 4.
    No,
    /// It takes its turn in this state folder, however long that is; for another machine's lock it waits 15 min.
    #[default]
    Turn,
    /// No longer than this, for both together.
    UpTo(Duration),
}

/// Where a promotion takes its image from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Another environment of the same service; absent: the service without one.
    pub environment: Option<String>,
    /// What the plan saw there; `image` of the request is then that release's. Something else by now is refused.
    pub release: Option<ReleaseNumber>,
}

/// What is adopted, as a person names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// A container, by name or id: on each host of the service, or on this one.
    Container { host: Option<HostName>, name: String },
    /// Those that a compose file's service runs as.
    Compose(PathBuf),
}

impl RunRequest {
    /// With nothing said but what and whose.
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

    /// `shop`, or `shop.staging`: what has to be typed where a host is protected.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    pub request: RunRequest,
    /// Each host of the service, with the release it runs now.
    pub hosts: Vec<(HostName, Option<ReleaseNumber>)>,
    pub to: Option<ReleaseNumber>,
    /// Reference and image id that will run.
    pub image: String,
    pub image_id: Option<String>,
    /// `PORT 80 → 8080`, `+ FEATURE_BASKET2`, `API_KEY changed`
    pub changes: Vec<String>,
    /// What is done, in order, one line a wave or stage.
    pub order: Vec<String>,
    pub tests: Vec<String>,
    /// What undoing will do, and until when it can.
    pub undo: Vec<String>,
    pub estimate: Option<Duration>,
    /// What a person should know before saying yes; none of it stops the run.
    pub warnings: Vec<String>,
    /// Why it would not be started; empty when it can be.
    pub refusals: Vec<Fault>,
    /// Hosts that it needs and that did not answer; each has its refusal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<HostName>,
    /// Protected hosts among those that it changes something on: the word must be typed.
    pub protected: Vec<HostName>,
    /// `shop`; `base shop` where a run behind it changes protected hosts, too.
    pub word: String,
    /// Services whose images stand on this one's, whether they have a run behind it or not.
    #[serde(default)]
    pub dependants: Vec<ServiceName>,
    /// Of a rollback: every release that the hosts know of, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<KnownRelease>,
}

/// A release as the ledgers and the containers tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownRelease {
    pub release: ReleaseNumber,
    /// When it was committed first; absent where only labels are left.
    pub at: Option<Stamp>,
    pub by: Option<String>,
    /// It was deployed, or adopted.
    pub kind: Option<RunKind>,
    pub reason: Option<String>,
    /// As it was asked for: `shop:3f2a91c`.
    pub reference: String,
    pub image: Option<ImageId>,
    /// What its registry calls it.
    pub digest: Option<Reference>,
    pub git: Option<String>,
    /// Where it was committed last.
    pub hosts: Vec<HostName>,
    /// Where its containers are kept: there they are started again as they are, elsewhere it is made again.
    pub kept: Vec<HostName>,
    /// It runs somewhere.
    pub runs: bool,
    /// Where a rollback goes if nobody says otherwise: the last one committed on all hosts.
    pub default: bool,
    /// Why nobody can go back to it.
    pub refused: Option<String>,
}

//! The facts a run reads from a host: the only input of refusals and decisions.
//! Plain data, gathered in one survey of one host.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::adopt::Sought;
use super::ledger::Ledger;
use super::replica::Replica;
use super::subject::Subject;
use crate::domain::fault::Fault;
use crate::domain::host::Engine;
use crate::domain::ids::{ContainerId, ImageId};
use crate::domain::reference::Reference;
use crate::domain::units::Stamp;

/// The state of one host at one moment, read by `runs::step::survey` under the lock (or for a plan, without it).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    pub engine: Engine,
    /// The service's containers, without locks and ledgers.
    pub replicas: Vec<Replica>,
    /// Names of running containers of the service's repository that carry no label of ours.
    pub strangers: Vec<String>,
    /// In an adoption: the containers requested there, and those found.
    #[serde(default)]
    pub sought: Vec<Sought>,
    /// Published ports of running containers that are not this service's.
    pub taken: Vec<TakenPort>,
    pub networks: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    /// The image the wanted reference refers to there.
    pub image: Option<ImageFacts>,
    /// Why the wanted image did not come from its registry, where it was asked for.
    #[serde(default)]
    pub not_pulled: Option<Fault>,
    /// Ids of images that a rollback may need and that are there.
    pub images: BTreeSet<ImageId>,
    pub ledger: LedgerSeen,
    /// Locks of this service that belong to other runs, including locks already taken over.
    pub locks: Vec<LockSeen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenPort {
    pub address: String,
    pub port: u16,
    pub protocol: String,
    /// The container's name.
    pub by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    pub id: ImageId,
    pub architecture: String,
    pub os: String,
    /// The revision it was built from, from its label.
    #[serde(default)]
    pub git: Option<String>,
    /// Paths that the image declares as `VOLUME`.
    pub volumes: Vec<String>,
    /// `repo@sha256:…`: its digests in the registries it was pushed to or pulled from.
    #[serde(default)]
    pub digests: Vec<Reference>,
}

impl ImageFacts {
    /// Its digest in this repository.
    #[must_use]
    pub fn pinned(&self, repository: &str) -> Option<&Reference> {
        self.digests
            .iter()
            .find(|digest| digest.same_repository(repository))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerSeen {
    /// Neither container nor volume exists: before the first release, or lost.
    Missing,
    Read(Box<Ledger>),
    /// Written by a newer version.
    Newer {
        schema: u32,
    },
    Unreadable {
        why: String,
    },
}

impl LedgerSeen {
    #[must_use]
    pub fn read(&self) -> Option<&Ledger> {
        match self {
            Self::Read(ledger) => Some(ledger),
            Self::Missing | Self::Newer { .. } | Self::Unreadable { .. } => None,
        }
    }
}

/// A lock as its labels and its lease describe it; all times are of that daemon's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSeen {
    pub id: ContainerId,
    pub name: String,
    pub run: String,
    pub actor: String,
    pub machine: String,
    pub reason: Option<String>,
    pub since: Stamp,
    /// The last time its holder renewed it.
    pub renewed: Stamp,
    /// The same moment by the clock of its holder's machine, where the lease says it.
    #[serde(default)]
    pub renewed_there: Option<Stamp>,
    pub now: Stamp,
    /// Now by the clock of the machine that looks.
    #[serde(default)]
    pub now_here: Stamp,
    /// For how long who looks has seen this very lease, by its own clock that never jumps.
    #[serde(default)]
    pub watched: Duration,
    /// What its holder was doing.
    pub stage: Option<String>,
    /// So much longer what its holder sent may be on the way, as the lock's label says.
    #[serde(default)]
    pub grace: Duration,
}

/// Not renewed for so long, a lock may be taken: its time to live (60 s) and a grace (30 s).
pub const STALE: Duration = Duration::from_secs(90);
/// A clock that is read before and behind another may say so much less.
const ROUNDING: Duration = Duration::from_secs(5);
/// So far two clocks may be apart of which both are taken for right. A holder gives up after 30 s: 30 s are left.
const APART: Duration = Duration::from_secs(30);

impl LockSeen {
    /// Nobody renews it, as its daemon's clock tells, or as was seen.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.watched >= self.patience() || self.renewed.until(self.now) >= self.patience()
    }

    /// Not renewed for so long, this lock may be taken.
    #[must_use]
    pub fn patience(&self) -> Duration {
        STALE + self.grace
    }

    /// By how much it was renewed in its daemon's future: the clock was set back since, and how old it is nobody knows.
    #[must_use]
    pub fn ahead(&self) -> Option<Duration> {
        let ahead = self.now.until(self.renewed);
        (ahead > ROUNDING).then_some(ahead)
    }

    /// Whether its run seems dead: it is not renewed, or another run renamed it and got no further. Another lock of the same
    /// run may still be alive, so all of them must be checked.
    #[must_use]
    pub fn is_left(&self, subject: &Subject) -> bool {
        self.is_stale() || self.name != subject.lock_name()
    }

    /// As [`Self::is_left`], or its daemon's clock does not tell.
    #[must_use]
    pub fn may_be_left(&self, subject: &Subject) -> bool {
        self.is_left(subject) || self.ahead().is_some()
    }

    /// It may be left, and only watching it can tell: the daemon's clock was set back, or it was set forward, and the
    /// clocks of the two machines do not say that so much time has passed.
    #[must_use]
    pub fn is_doubtful(&self, subject: &Subject) -> bool {
        let age = self.renewed.until(self.now);
        let is_borne_out = self
            .renewed_there
            .is_some_and(|renewed| renewed.until(self.now_here).abs_diff(age) <= APART);
        self.name == subject.lock_name()
            && self.watched < self.patience()
            && (self.ahead().is_some() || age >= self.patience() && !is_borne_out)
    }

    /// Nobody has renewed it between these two looks.
    #[must_use]
    pub fn is_same_lease(&self, other: &Self) -> bool {
        (self.renewed, self.renewed_there, &self.stage) == (other.renewed, other.renewed_there, &other.stage)
    }

    /// `held by ops-b on bastion-2, run 2026…, "fix basket", at gate, for 14 min`
    #[must_use]
    pub fn described(&self) -> String {
        use crate::domain::units::{long_span, short_span};
        let mut parts = vec![format!(
            "held by {} on {}, run {}",
            self.actor, self.machine, self.run
        )];
        parts.extend(self.reason.as_ref().map(|reason| format!("\"{reason}\"")));
        parts.extend(self.stage.as_ref().map(|stage| format!("at {stage}")));
        parts.push(format!("for {}", short_span(self.since.until(self.now))));
        if let Some(ahead) = self.ahead() {
            parts.push(format!(
                "stamped {} ahead of its daemon's clock",
                short_span(ahead)
            ));
        }
        if self.is_stale() {
            let silent = self.renewed.until(self.now).max(self.watched);
            parts.push(format!("not renewed for {}", short_span(silent)));
        } else if self.renewed.until(self.now) >= STALE {
            parts.push(format!(
                "not renewed for {}, and made over ssh: what it sent may come for {} in all",
                short_span(self.renewed.until(self.now)),
                long_span(self.patience())
            ));
        }
        parts.join(", ")
    }
}

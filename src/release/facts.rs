//! What a host tells when a run looks at it: the only thing that refusals and decisions are made from.
//! Plain data, gathered in one survey of one host.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::adopt::Sought;
use super::ledger::Ledger;
use super::replica::Replica;
use super::subject::Subject;
use crate::domain::host::Engine;
use crate::domain::ids::{ContainerId, ImageId};
use crate::domain::reference::Reference;
use crate::domain::units::Stamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostFacts {
    pub engine: Engine,
    /// The service's own containers, locks and ledgers not counted.
    pub replicas: Vec<Replica>,
    /// Names of running containers of the service's repository that carry no label of ours.
    pub strangers: Vec<String>,
    /// Of a run that adopts: what was asked for there, and what was found.
    #[serde(default)]
    pub sought: Vec<Sought>,
    /// Published ports of running containers that are not this service's.
    pub taken: Vec<TakenPort>,
    pub networks: BTreeSet<String>,
    pub volumes: BTreeSet<String>,
    /// What the wanted reference names there.
    pub image: Option<ImageFacts>,
    /// Ids of images that a rollback may need and that are there.
    pub images: BTreeSet<ImageId>,
    pub ledger: LedgerSeen,
    /// Locks of this service that are not ours, taken ones included.
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
    /// The revision that it was built from, as its label says.
    #[serde(default)]
    pub git: Option<String>,
    /// Paths that the image declares as `VOLUME`.
    pub volumes: Vec<String>,
    /// `repo@sha256:…`: what it is in the registries that it was pushed to or pulled from.
    #[serde(default)]
    pub digests: Vec<Reference>,
}

impl ImageFacts {
    /// What the registry of this repository calls it.
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
    /// Neither container nor volume: a first release, or lost.
    Missing,
    Read(Box<Ledger>),
    /// Written by a program that knows more than this one.
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

/// A lock as its labels and its lease say; all moments are of that daemon's clock.
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
    pub now: Stamp,
    /// What its holder was doing.
    pub stage: Option<String>,
}

/// Not renewed for so long, a lock may be taken: its time to live (60 s) and a grace (30 s).
const STALE: std::time::Duration = std::time::Duration::from_secs(90);

impl LockSeen {
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.renewed.until(self.now) >= STALE
    }

    /// Its run was left: nobody renews it, or a thief renamed it and went no further. Whether another lock of that run
    /// is alive is seen only in all of them.
    #[must_use]
    pub fn is_left(&self, subject: &Subject) -> bool {
        self.is_stale() || self.name != subject.lock_name()
    }

    /// `held by ops-b on bastion-2, run 2026…, "fix basket", at gate, for 14 min`
    #[must_use]
    pub fn described(&self) -> String {
        use crate::domain::units::short_span;
        let mut parts = vec![format!(
            "held by {} on {}, run {}",
            self.actor, self.machine, self.run
        )];
        parts.extend(self.reason.as_ref().map(|reason| format!("\"{reason}\"")));
        parts.extend(self.stage.as_ref().map(|stage| format!("at {stage}")));
        parts.push(format!("for {}", short_span(self.since.until(self.now))));
        if self.is_stale() {
            parts.push(format!(
                "not renewed for {}",
                short_span(self.renewed.until(self.now))
            ));
        }
        parts.join(", ")
    }
}

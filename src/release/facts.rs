//! The facts a run reads from a host: the only input of refusals and decisions.
//! Plain data, gathered in one survey of one host.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::adopt::Sought;
use super::ledger::Ledger;
use super::replica::Replica;
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

/// A lock as its labels and its lease describe it. Whether its holder lives is judged in [`super::lease`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSeen {
    pub id: ContainerId,
    pub name: String,
    pub run: String,
    pub actor: String,
    pub machine: String,
    /// `deploy`; older programs do not say it.
    #[serde(default)]
    pub kind: Option<String>,
    pub reason: Option<String>,
    /// When it was made, by its daemon's clock.
    pub since: Stamp,
    /// The last time its holder renewed it, by its daemon's clock.
    pub renewed: Stamp,
    /// The same moment by the clock of its holder's machine, where the lease says it.
    #[serde(default)]
    pub renewed_there: Option<Stamp>,
    /// When somebody looked, by its daemon's clock.
    pub now: Stamp,
    /// The same moment by the clock of the machine that looks.
    #[serde(default)]
    pub now_here: Stamp,
    /// For how long who looks has seen this very lease, by the clock of its own machine that never jumps.
    #[serde(default)]
    pub watched: Duration,
    /// What its holder was doing.
    pub stage: Option<String>,
    /// So much longer what its holder sent may be on the way, as the lock's label says.
    #[serde(default)]
    pub grace: Duration,
}

//! The records of a run's journal: enough to follow the run, and for another process to recover it.
//! Append-only NDJSON; a record of a newer schema is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::facts::HostFacts;
use super::plan::{Actor, Plan};
use super::replica::Replica;
use super::stage::{Step, Way};
use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, HostName, ImageId};
use crate::domain::reference::Reference;
use crate::domain::run::Outcome;
use crate::domain::tested::Tested;
use crate::domain::units::Stamp;

/// The schema this version writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

/// One line of a journal. Written by the run's own process only; read by everybody who follows or recovers the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    /// From 1, without gaps: a missing number is a damaged journal.
    pub n: u64,
    pub at: Stamp,
    pub entry: Entry,
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The first record of every journal.
    Opened(Box<Plan>),
    /// A later process recovers the run.
    Resumed { by: Actor },
    /// The step is about to be done; on disk before it changes anything.
    Intent(Step),
    Done {
        step: Step,
        took: Duration,
        finding: Finding,
    },
    Failed {
        step: Step,
        took: Duration,
        why: Failure,
    },
    /// The decision; on disk before anything is changed.
    Decided(Box<Decision>),
    /// What a step is doing now, for followers.
    Text { step: Step, text: String },
    /// The details of a test's result, before its `Done` or `Failed`.
    Tested { step: Step, tested: Tested },
    /// What it is waiting for: `for run … by …`. Holds until the next record of another kind.
    Waits { text: String },
    /// The run changes its way, for example from `Out` to `Back`.
    Turned { way: Way, why: String },
    /// No more steps on this host.
    Lost { host: HostName, why: String },
    /// The run was paused: these hosts are kept and committed, the rest is undone.
    Kept { hosts: BTreeSet<HostName>, why: String },
    /// Something left over or unsuccessful that does not make the run a failure.
    Note(String),
    Closed {
        outcome: Outcome,
        exit: Exit,
        /// What may help. Earlier versions wrote it as notes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hints: Vec<String>,
    },
}

impl Entry {
    /// Whether it must be on disk before the run continues. Live text may be lost.
    #[must_use]
    pub fn is_binding(&self) -> bool {
        !matches!(self, Self::Text { .. } | Self::Waits { .. })
    }
}

/// The image each tag refers to on one host; `None`: the tag does not exist.
pub type Tags = BTreeMap<String, Option<ImageId>>;

/// The result of a successful step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    Nothing,
    Daemon {
        id: String,
    },
    Lock {
        id: ContainerId,
    },
    Facts(Box<HostFacts>),
    Image {
        id: ImageId,
        reference: String,
    },
    /// From then on this image id is bound to that digest.
    Pushed {
        id: ImageId,
        pinned: Reference,
        tags: Vec<Reference>,
    },
    /// The image each tag referred to before the run moved it; `None`: none.
    Tags(Tags),
    /// Somebody approved.
    Approved {
        by: String,
        reason: Option<String>,
    },
    /// The service's replicas there, after the step.
    Replicas(Vec<Replica>),
    /// The answer to `Inquire`.
    Committed {
        yes: bool,
        superseded: bool,
        /// The ledger records that it was completely undone.
        #[serde(default)]
        undone: bool,
        /// The hosts it was committed on, if not all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<BTreeSet<HostName>>,
    },
    /// The other answer to `Inquire`: it cannot be determined.
    Unknown {
        why: String,
    },
}

/// Why a step was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub fault: Fault,
    pub kind: FailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// It was attempted, and the host or the container refused.
    Refused,
    /// The host did not answer: the outcome is unknown.
    Unreachable,
    /// Somebody else holds the lock.
    Locked,
    /// Our lock is gone or somebody else's: nothing more may be done.
    Fenced,
    /// It was ended because the run is being undone.
    Interrupted,
    /// It was to be ended, and did not end in time: the outcome is unknown.
    Abandoned,
}

impl FailureKind {
    /// It did not fail by itself: the run is being undone.
    #[must_use]
    pub fn is_interrupted(self) -> bool {
        matches!(self, Self::Interrupted | Self::Abandoned)
    }
}

impl Failure {
    #[must_use]
    pub fn refused(fault: Fault) -> Self {
        Self {
            fault,
            kind: FailureKind::Refused,
        }
    }

    #[must_use]
    pub fn of(kind: FailureKind, fault: Fault) -> Self {
        Self { fault, kind }
    }
}

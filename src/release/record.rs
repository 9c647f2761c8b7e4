//! The lines of a run's journal: enough for anybody to follow it, and for another process to recover it.
//! Append-only NDJSON; a line of a newer schema is refused, never guessed at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::facts::HostFacts;
use super::plan::{Actor, Plan};
use super::replica::Replica;
use super::stage::{Step, Way};
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, HostName, ImageId};
use crate::domain::reference::Reference;
use crate::domain::run::Outcome;
use crate::domain::tested::Tested;
use crate::domain::units::Stamp;

/// What this program writes, and the newest it reads.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    /// From 1, without gaps: a missing number is a damaged journal.
    pub n: u64,
    pub at: Stamp,
    pub entry: Entry,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// The first record of every journal.
    Opened(Box<Plan>),
    /// A later process goes on with what an earlier one left.
    Resumed {
        by: Actor,
    },
    /// About to be done; on disk before anything is.
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
    /// What the hosts' facts made of the plan; on disk before anything is changed.
    Decided(Box<Decision>),
    /// What a step does now, for those who watch.
    Text {
        step: Step,
        text: String,
    },
    /// What a test found out, whether it passed or not; before its `Done` or `Failed`.
    Tested {
        step: Step,
        tested: Tested,
    },
    /// For whom it waits: `for run … by …`. Until the next record of another kind.
    Waits {
        text: String,
    },
    /// The run goes another way than out.
    Turned {
        way: Way,
        why: String,
    },
    /// No more steps on this host.
    Lost {
        host: HostName,
        why: String,
    },
    /// The run was paused: what is done on these hosts is kept and committed, the rest is taken back.
    Kept {
        hosts: BTreeSet<HostName>,
        why: String,
    },
    /// What was left, or did not succeed, without making the run a failed one.
    Note(String),
    Closed {
        outcome: Outcome,
        exit: u8,
    },
}

impl Entry {
    /// Must be on disk before the run goes on. Live text may be lost.
    #[must_use]
    pub fn is_binding(&self) -> bool {
        !matches!(self, Self::Text { .. } | Self::Waits { .. })
    }
}

/// The image that each tag names on one host; `None`: the tag is not there.
pub type Tags = BTreeMap<String, Option<ImageId>>;

/// What a step that was done learned.
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
    /// Bound from then on: this id is that digest.
    Pushed {
        id: ImageId,
        pinned: Reference,
        tags: Vec<Reference>,
    },
    /// What each tag named before the run gave it to another image; `None`: nothing.
    Tags(Tags),
    /// Somebody let the run go on.
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
        /// Somebody undid it wholly, and wrote that down.
        #[serde(default)]
        undone: bool,
        /// Where, if not on all of its hosts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<BTreeSet<HostName>>,
    },
    /// The other answer to `Inquire`: nobody can tell any more.
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
    /// It was tried, and the host or the container said no.
    Refused,
    /// The host did not answer: what became of it is not known.
    Unreachable,
    /// Somebody else holds the lock.
    Locked,
    /// Our lock is gone or somebody else's: nothing more may be done.
    Fenced,
    /// It was ended because the run turned back.
    Interrupted,
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

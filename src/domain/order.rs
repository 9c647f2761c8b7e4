//! What the control room asks of the hosts, as data that can be compared, recorded and sent.
//! An order names its target by key, never by row.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::ids::{ContainerId, ContainerKey, HostName};
use super::logs::{FollowId, LogRange};
use super::run::Part;

/// Whether this program may change anything on hosts. Enforced where requests are sent, not where keys are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    #[default]
    Full,
    /// No request that changes anything, no exec, no attach.
    ReadOnly,
}

impl Access {
    pub const REFUSED: &str = "Pilothouse was started with --read-only";
    pub const REMEDY: &str = "start it without --read-only";

    /// As in "could not {what}".
    pub fn may_change(self, what: impl Into<String>) -> Result<(), Fault> {
        match self {
            Self::Full => Ok(()),
            Self::ReadOnly => Err(Fault::new(what, Self::REFUSED).hint(Self::REMEDY)),
        }
    }
}

/// Matches an answer (`Event::Done`) to its order; given out by the model, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub u64);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Changes something: refused by the host's actor when the program runs read-only.
    Act {
        target: ContainerKey,
        verb: Verb,
    },
    Inspect(ContainerKey),
    /// Send statistics of exactly these containers of the host; replaces the previous set.
    Watch {
        host: HostName,
        ids: Vec<ContainerId>,
    },
    /// Follow the logs of these containers, merged by time, under one id.
    Follow {
        id: FollowId,
        targets: Vec<ContainerKey>,
        range: LogRange,
    },
    /// Resume logs that were left, each container from where it was left.
    Resume {
        id: FollowId,
        targets: Vec<(ContainerKey, LogRange)>,
    },
    /// Follow this program's own log file; involves no host.
    FollowOwnLog(FollowId),
    /// Follow the output of a run, from the oldest stored line; involves no host.
    FollowRun(FollowId, Part),
    Unfollow(FollowId),
    /// Reconnect to a lost host now.
    Retry(HostName),
    /// Measure the host's load and disk (by exec in one of its containers if there is no better way).
    Measure(HostName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Kill,
    Pause,
    Unpause,
    /// Never forced, never with its volumes.
    Remove,
}

impl Verb {
    /// As in "could not {stop} shop.r42.1 on web-1".
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Remove => "remove",
        }
    }
}

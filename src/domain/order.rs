//! What the control room asks of the hosts. Orders are data: they are compared, recorded, sent.
//! An order names its target by key, never by row.

use serde::{Deserialize, Serialize};

use super::ids::{ContainerId, ContainerKey, HostName};
use super::logs::{FollowId, LogRange};
use super::run::Part;

/// What this program may do to the hosts at all. Asked where requests are sent, not where keys are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    #[default]
    Full,
    /// No request that changes anything, no exec, no attach.
    ReadOnly,
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
    /// Statistics are wanted for exactly these containers of the host; replaces what was wanted before.
    Watch {
        host: HostName,
        ids: Vec<ContainerId>,
    },
    /// Follow the logs of these, merged by time, under one id.
    Follow {
        id: FollowId,
        targets: Vec<ContainerKey>,
        range: LogRange,
    },
    /// Goes on with logs that were left, each container from where it was left.
    Resume {
        id: FollowId,
        targets: Vec<(ContainerKey, LogRange)>,
    },
    /// Follow this program's own log file; no host has a part in it.
    FollowOwnLog(FollowId),
    /// Follow what a run says, from the beginning of what was kept; no host has a part in it.
    FollowRun(FollowId, Part),
    Unfollow(FollowId),
    /// Try a lost host now instead of at its next turn.
    Retry(HostName),
    /// Ask for the host's load and disk (by exec in one of its containers where nothing better is there).
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

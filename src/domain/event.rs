//! Facts from outside, as the one owner of the model receives them.
//! Every fact names its host; no fact is a question.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::adoption::Adoption;
use super::container::Container;
use super::detail::Detail;
use super::fault::Fault;
use super::host::{Engine, HostLoad, Link};
use super::ids::{ContainerId, HostName, RunId};
use super::logs::{FollowId, LogBatch};
use super::order::OrderId;
use super::plan::PlanView;
use super::run::{Output, RunView};
use super::sample::Sample;
use super::units::Stamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Host(HostName, HostEvent),
    Logs(FollowId, LogBatch),
    /// What a run said, asked for by `Order::FollowRun`.
    Output(FollowId, Output),
    /// The runs of the state folder as they stand: sent whole for one run whenever its journal grew.
    Run(Box<RunView>),
    /// A run that is there and cannot be shown: its journal is damaged, or another version's.
    Unreadable(RunId, Fault),
    /// So many runs of the state folder are older than those that were told of.
    OlderRuns(usize),
    /// Runs whose locks were asked about and are renewed by nobody, and for how long.
    LeftLocks(Vec<(String, Duration)>),
    /// The answer to a wish to see the plan of a run.
    Planned(OrderId, Result<Box<PlanView>, Fault>),
    /// An order was carried out, or could not be.
    Done(OrderId, Result<(), Fault>),
}

/// What one daemon's actor tells. Its rows are already reconciled there: an older list never overwrites a newer event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum HostEvent {
    Link(Link),
    Engine(Box<Engine>),
    /// All its containers: what is not in it is gone.
    Listed(Vec<Container>),
    /// One row is new or other than before.
    Changed(Box<Container>),
    Removed(ContainerId),
    /// All containers that were adopted there; sent before the list that counts them in.
    Adopted(Vec<Adoption>),
    /// One batch a second.
    Samples(Vec<(ContainerId, Sample)>),
    Load(HostLoad),
    /// The answer to `Order::Inspect`.
    Inspected(Box<Detail>),
    /// An entry of a container's own history.
    Happened(Happening),
}

/// One event of Docker's stream that concerns a container, in words for its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    pub id: ContainerId,
    /// The daemon's clock.
    pub at: Stamp,
    /// `start`, `die 137`, `oom`, `health unhealthy`, …
    pub what: String,
}

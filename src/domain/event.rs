//! Facts from outside, as `update` receives them.
//! Every fact names its host; none of them asks for an answer.

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
use super::run::{Output, RunView, Silence};
use super::sample::Sample;
use super::units::Stamp;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Event {
    Host(HostName, HostEvent),
    Logs(FollowId, LogBatch),
    /// Output of a run, requested by `Order::FollowRun`.
    Output(FollowId, Output),
    /// A run of the state folder, sent completely whenever its journal grew.
    Run(Box<RunView>),
    /// A run that cannot be read: its journal is damaged, or of another version.
    Unreadable(RunId, Fault),
    /// The number of runs of the state folder that are older than those sent.
    OlderRuns(usize),
    /// Runs whose locks were asked about and are not seen to be renewed.
    LeftLocks(Vec<(String, Silence)>),
    /// The answer to a wish to see the plan of a run.
    Planned(OrderId, Result<Box<PlanView>, Fault>),
    /// An order was carried out, or could not be.
    Done(OrderId, Result<(), Fault>),
}

/// What the actor of one daemon reports. Rows are already reconciled: an older list never overwrites a newer event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum HostEvent {
    Link(Link),
    Engine(Box<Engine>),
    /// All its containers; others are gone.
    Listed(Vec<Container>),
    /// One row is new or has changed.
    Changed(Box<Container>),
    Removed(ContainerId),
    /// All containers that were adopted there; sent before the list that includes them.
    Adopted(Vec<Adoption>),
    /// One batch a second.
    Samples(Vec<(ContainerId, Sample)>),
    Load(HostLoad),
    /// The answer to `Order::Inspect`.
    Inspected(Box<Detail>),
    /// An entry of a container's own history.
    Happened(Happening),
}

impl HostEvent {
    /// Figures that change all the time, as against something that happened.
    #[must_use]
    pub fn is_figure(&self) -> bool {
        matches!(self, Self::Samples(_) | Self::Load(_))
    }
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

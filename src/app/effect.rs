//! Everything the screen asks of the outside world, as data that tests can compare.
//! Nothing is carried out here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::domain::ids::{ContainerKey, HostName, RunId};
use crate::domain::order::{Order, OrderId};
use crate::domain::plan::RunRequest;
use crate::domain::run::Said;
use crate::release::subject::Subject;

/// Something `update` asks of the outside; carried out by `term`. Effects with an id are answered by an event with that id.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Order(OrderId, Order),
    /// Answered by `Event::Planned`.
    Plan(OrderId, RunRequest),
    /// Start the run; from then on it is followed through its journal. Answered by `Event::Done`.
    Launch(OrderId, RunRequest),
    Cancel(OrderId, RunId),
    /// Answer the stage that waits for approval.
    Approve(OrderId, RunId, Said),
    Recover(OrderId, RunId),
    /// Check whether the locks of these services on these hosts are renewed. Answered by `Event::LeftLocks`.
    LookAtLocks(BTreeMap<Subject, BTreeSet<HostName>>),
    /// Load more of the older runs.
    OlderRuns,
    /// Copy to the terminal's clipboard (OSC 52).
    Copy(String),
    /// Set the terminal's title.
    Title(String),
    /// Send a notification through the terminal.
    Notify(String),
    /// Write a file; never overwrites one. Answered by `Event::Done`.
    Save(OrderId, Save),
    /// Give the terminal to another program until it ends. Answered by `Event::Done`.
    Lend(OrderId, Lend),
    /// Suspend this process, as `Ctrl-z` does.
    Suspend,
    /// Redraw everything: another program may have written to the terminal.
    Redraw,
    /// Quit.
    Leave,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// Relative to where the program was started.
    pub path: PathBuf,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lend {
    Shell(ContainerKey),
    /// An interactive ssh for a host that needs a person.
    Host(HostName),
}

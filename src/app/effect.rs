//! Everything the screen asks of the world, as data that tests compare.
//! Nothing here is done here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::domain::ids::{ContainerKey, HostName, RunId};
use crate::domain::order::{Order, OrderId};
use crate::domain::plan::RunRequest;
use crate::domain::run::Said;
use crate::release::subject::Subject;

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Order(OrderId, Order),
    /// Answered by `Event::Planned`.
    Plan(OrderId, RunRequest),
    /// Start the run; it is then followed by its journal. Answered by `Event::Done`.
    Launch(OrderId, RunRequest),
    Cancel(OrderId, RunId),
    /// To the stage of that name, which waits for a person.
    Approve(OrderId, RunId, Said),
    Recover(OrderId, RunId),
    /// Whether these locks are renewed, by service the hosts. Answered by `Event::LeftLocks`.
    LookAtLocks(BTreeMap<Subject, BTreeSet<HostName>>),
    /// More of the runs that are older than those that are known.
    OlderRuns,
    /// To the clipboard of the person's terminal (OSC 52).
    Copy(String),
    /// The title of the person's terminal.
    Title(String),
    /// To the person's attention, who may be looking elsewhere.
    Notify(String),
    /// Write a file of the person's, never over another one. Answered by `Event::Done`.
    Save(OrderId, Save),
    /// Give the terminal to another program until it ends. Answered by `Event::Done`.
    Lend(OrderId, Lend),
    /// Stop this process as `Ctrl-z` does in any program.
    Suspend,
    /// Draw everything anew: another program may have written over it.
    Redraw,
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

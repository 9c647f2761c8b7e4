//! What a command acts on: the thing selected in the focused pane, by its key.
//! Holds names, never row numbers.

use crate::domain::container::Group;
use crate::domain::ids::{ContainerKey, HostName, RunId};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    Group(Group),
    Container(ContainerKey),
    Host(HostName),
    Run(RunId),
}

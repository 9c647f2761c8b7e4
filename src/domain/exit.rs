//! How a program of ours ends: what the command line exits with, and a run's process before it.
//! `--help` has the list.

use serde::{Deserialize, Serialize};

/// In journals and messages it is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Exit {
    Done,
    /// Failed, and everything is as before.
    Failed,
    /// Usage or configuration.
    Usage,
    /// A host could not be reached; what the others said was printed.
    Unreachable,
    /// Locked by somebody else.
    Locked,
    NeedsHuman,
    Interrupted,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Locked => 4,
            Exit::NeedsHuman => 5,
            Exit::Interrupted => 130,
        }
    }
}

/// A number that is none of these was not written by us.
impl From<u8> for Exit {
    fn from(code: u8) -> Self {
        match code {
            0 => Self::Done,
            1 => Self::Failed,
            2 => Self::Usage,
            3 => Self::Unreachable,
            4 => Self::Locked,
            130 => Self::Interrupted,
            _ => Self::NeedsHuman,
        }
    }
}

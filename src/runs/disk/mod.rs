//! What of runs is on disk: the state folder, a folder a run, the journal, the output; places in the queue and on
//! hosts.

pub mod state;
pub mod folder;
pub(super) mod reserve;
pub mod retain;
pub mod queue;
pub mod slot;
pub mod chain;
pub mod journal;
pub mod output;

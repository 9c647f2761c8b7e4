//! What runs keep on disk: the state folder, a folder per run with its journal and output, the queue and the slots of hosts.

pub mod state;
pub mod folder;
pub(super) mod reserve;
pub mod retain;
pub mod queue;
pub mod slot;
pub mod chain;
pub mod journal;
pub mod output;

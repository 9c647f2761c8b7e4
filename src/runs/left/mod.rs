//! What dead runs left behind, here or on the hosts: found, recovered, unlocked.

pub mod unfinished;
pub mod recover;
pub mod unlock;

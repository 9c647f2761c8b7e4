//! What dead runs left behind, on this machine or on the hosts: finding, recovering and unlocking it.

pub mod unfinished;
pub mod recover;
pub mod unlock;

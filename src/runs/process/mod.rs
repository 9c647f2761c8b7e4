//! The process of a run, from its first record to its last: carrying out steps and renewing leases.

pub mod runner;
pub mod turn;
pub mod driver;
pub mod hands;
pub mod pen;
pub mod lease;
pub mod approve;
pub(super) mod cancel;
pub mod family;
pub mod finish;

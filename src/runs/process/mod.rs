//! The process of a run: from its first record to its last, every step done by its hands, every lease kept alive.

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

//! The vocabulary of the fleet: plain data used by all other modules.
//! Does no I/O, reads no clock, and depends on no other module.

pub mod natural;
pub mod ids;
pub mod reference;
pub mod units;
pub mod told;
pub mod text;
pub mod fault;
pub mod exit;
pub mod endpoint;
pub mod host;
pub mod container;
pub mod adoption;
pub mod detail;
pub mod sample;
pub mod logs;
pub mod run;
pub mod tested;
pub mod plan;
pub mod event;
pub mod order;
pub mod fleet;

//! The words of the fleet: plain data that every other room speaks.
//! Never does I/O, reads no clock, and names no room but itself.

pub mod natural;
pub mod ids;
pub mod reference;
pub mod units;
pub mod text;
pub mod fault;
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

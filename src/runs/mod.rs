//! Runs: processes of their own that build, test, deploy and roll back, each with a journal that others can follow.
//! `release` decides what is done; here it is carried out, journaled, followed, cancelled and recovered.
//!
//! In the order of a run's life: [`begin`] plans it and starts [`process`], which walks the road that `release` decides,
//! step by step ([`step`]). Its journal is on [`disk`], where it is read by everybody else ([`seen`]); what a dead process
//! left is found by [`left`].

pub mod begin;
pub mod process;
pub mod step;
pub mod disk;
pub mod seen;
pub mod left;

pub use begin::actor::who;
pub use begin::dependants::{launch_behind, plan};
pub use begin::launch::launch;
pub use disk::state::State;
pub use left::recover::{Recovery, recover};
pub use left::unfinished::{Unfinished, left_locks, unfinished};
pub use left::unlock::{Said, Unlocking, unlock};
pub use process::approve::{Word, approve};
pub use process::cancel::cancel;
pub use process::runner::runner;
pub use seen::follow::{SHOWN, follow, list, list_of, view};
pub use seen::history::history;
pub use seen::watch::watch;

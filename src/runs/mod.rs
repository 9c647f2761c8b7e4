//! Runs: processes of their own that build, test, deploy and roll back, each with a journal that anybody can follow.
//! What is done is decided in `release`; here it is carried out, journaled, followed, cancelled and recovered.
//!
//! A run is started by `launch`, lives in `runner` and `driver`, and is seen through `watch`, `list` and `follow`.
//! What it does is a road of stages: see `release`.

pub mod step;
pub mod state;
pub mod folder;
pub mod retain;
pub mod queue;
pub mod turn;
pub mod slot;
pub mod chain;
pub mod journal;
mod reserve;
pub mod output;
pub mod transcript;
pub mod family;
pub mod secrets;
pub mod logins;
pub mod tested;
pub mod view;
pub mod estimate;
mod tail;
pub mod follow;
pub mod history;
pub mod watch;
pub mod actor;
pub mod approve;
mod authorities;
mod cancel;
mod promote;
pub mod draft;
mod compose;
pub mod plan;
mod dependants;
mod readers;
mod needed;
pub mod launch;
pub mod runner;
pub mod driver;
pub mod hands;
pub mod lease;
pub mod pen;
pub mod recover;
pub mod unfinished;
pub mod finish;
pub mod unlock;
pub mod login;

pub use actor::who;
pub use approve::{Word, approve};
pub use cancel::cancel;
pub use dependants::{launch_behind, plan};
pub use follow::{SHOWN, follow, list, list_of, view};
pub use history::history;
pub use launch::launch;
pub use recover::{Recovery, recover};
pub use runner::runner;
pub use state::State;
pub use unfinished::{Unfinished, left_locks, unfinished};
pub use unlock::{Unlocking, unlock};
pub use watch::watch;

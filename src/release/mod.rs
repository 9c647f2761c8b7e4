//! Decides releases, never acts: plans, refusals, the state machine of a run, gates, snapshots, records.
//! No clock, no I/O, no runtime: facts come in, actions go out, [`crate::runs::process`] carries them out.
//!
//! Strategies: `recreate` (all hosts at once, in `road`) and `rolling` (in waves). Another one is a file with its part of
//! the road out and back, and an arm in `road::rollout`; a proxy's switch would be another stage between gate and commit.

pub mod subject;
pub mod road;
pub mod work;
pub mod rolling;
pub mod stage;
pub mod stopping;
pub mod plan;
mod withheld;
pub mod facts;
pub mod lease;
pub mod preflight;
pub mod adopt;
pub mod decision;
pub mod foreseen;
mod destination;
mod again;
pub mod shelf;
pub mod left;
pub mod run;
pub mod deeds;
pub mod gate;
pub mod snapshot;
pub mod standing;
pub mod replica;
pub mod spec;
pub mod ledger;
pub mod copies;
pub mod promote;
pub mod record;

//! Decides releases, never acts: plans, refusals, the state machine of a run, gates, snapshots, records.
//! No clock, no I/O, no runtime: facts come in, actions go out, `runs::driver` carries them out.
//!
//! Strategies: `recreate` (and the way back to a kept release). A rolling or blue-green strategy is another road in
//! `stage` with its deeds in `deeds`; a proxy's switch is another stage between gate and commit, with its undo.

pub mod subject;
pub mod road;
pub mod stage;
pub mod plan;
pub mod facts;
pub mod preflight;
pub mod decision;
pub mod run;
pub mod deeds;
pub mod gate;
pub mod snapshot;
pub mod standing;
pub mod replica;
pub mod spec;
pub mod ledger;
pub mod promote;
pub mod record;

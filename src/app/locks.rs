//! Checks whether the locks of runs elsewhere are still being renewed: first when a lock is older than a lease, then from
//! time to time. A container list shows only who holds a lock and since when, so the lock itself is read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::effect::Effect;
use super::model::Model;
use crate::domain::container::label;
use crate::domain::ids::RunId;
use crate::domain::run::{RunStatus, Silence};
use crate::domain::units::Stamp;
use crate::release::standing::Standing;
use crate::release::standing::left::old_locks;

/// A lock is read from a file in its container: three requests each.
const EVERY: Duration = Duration::from_mins(2);

#[derive(Clone, Debug, Default)]
pub struct Locks {
    /// When they were last checked.
    asked: Option<Duration>,
    /// By run: what was known of its holder, and when that was asked, by our own clock.
    left: BTreeMap<String, (Silence, Stamp)>,
}

impl Locks {
    /// By run: what is known of its holder by now.
    #[must_use]
    pub fn silent(&self, now: Stamp) -> BTreeMap<String, Silence> {
        let by_now = |(run, (silence, at)): (&String, &(Silence, Stamp))| {
            let silence = match silence {
                Silence::For(span) => Silence::For(*span + at.until(now)),
                Silence::Ahead(span) => Silence::Ahead(span.saturating_sub(at.until(now))),
            };
            (run.clone(), silence)
        };
        self.left.iter().map(by_now).collect()
    }
}

/// Requests a check if one is due and a lock may be stale.
#[must_use]
pub fn ask(model: &mut Model) -> Option<Effect> {
    let now = model.now;
    if model.locks.asked.is_some_and(|at| now.uptime < at + EVERY) {
        return None;
    }
    let suspects: BTreeSet<&str> = model
        .services
        .standings()
        .values()
        .filter_map(|judged| match &judged.standing {
            Standing::InProgress { run, .. } => Some(run.as_str()),
            _ => None,
        })
        .filter(|run| !is_known(model, run))
        .collect();
    let is_suspect = |run: Option<&str>| run.is_some_and(|run| suspects.contains(run));
    if suspects.is_empty() {
        return None;
    }
    let all = model.fleet.rows().map(|(host, row)| (host, &row.container));
    let asked = old_locks(
        all.filter(|(_, container)| is_suspect(container.label(label::RUN))),
        now.wall,
    );
    if asked.is_empty() {
        return None;
    }
    model.locks.asked = Some(now.uptime);
    Some(Effect::LookAtLocks(asked))
}

/// Whether the run is one of this machine, and shown as such.
fn is_known(model: &Model, run: &str) -> bool {
    let run = RunId::parse(run).ok().and_then(|id| model.runs.get(&id));
    run.is_some_and(|run| match run.status {
        RunStatus::Running | RunStatus::Dead => true,
        RunStatus::Closed { .. } => false,
    })
}

/// The answer: what is not in it is renewed, or was not reached.
pub fn told(model: &mut Model, left: Vec<(String, Silence)>) {
    let now = model.now.wall;
    let left = left.into_iter().map(|(run, silence)| (run, (silence, now)));
    model.locks.left = left.collect();
    model.stale = true;
    model.changed();
}

//! Locks of runs that nobody here carries out: whether their holders still renew them is asked once they are older than
//! any lease, and then now and then. A list tells who holds a lock and since when, no more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::effect::Effect;
use super::model::Model;
use crate::domain::container::label;
use crate::domain::ids::RunId;
use crate::domain::run::RunStatus;
use crate::domain::units::Stamp;
use crate::release::standing::Standing;
use crate::release::standing::left::old_locks;

/// A lock is read from a file in its container: three requests each.
const EVERY: Duration = Duration::from_mins(2);

#[derive(Clone, Debug, Default)]
pub struct Locks {
    /// When they were asked about last.
    asked: Option<Duration>,
    /// By run: since when nobody renews them, by our own clock.
    left: BTreeMap<String, Stamp>,
}

impl Locks {
    /// By run: for how long nobody renews its locks.
    #[must_use]
    pub fn silent(&self, now: Stamp) -> BTreeMap<String, Duration> {
        let silent = self.left.iter();
        silent
            .map(|(run, since)| (run.clone(), since.until(now)))
            .collect()
    }
}

/// Asks when it is time to, and somebody's lock may be stale.
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

/// It goes on here, or it died here and is told as that.
fn is_known(model: &Model, run: &str) -> bool {
    let run = RunId::parse(run).ok().and_then(|id| model.runs.get(&id));
    run.is_some_and(|run| match run.status {
        RunStatus::Running | RunStatus::Dead => true,
        RunStatus::Closed { .. } => false,
    })
}

/// The answer: what is not in it is renewed, or was not reached.
pub fn told(model: &mut Model, left: Vec<(String, Duration)>) {
    let now = model.now.wall;
    let left = left.into_iter().map(|(run, silent)| (run, now.minus(silent)));
    model.locks.left = left.collect();
    model.stale = true;
    model.changed();
}

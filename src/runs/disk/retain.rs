//! Removes finished runs as configured by `[state] keep_for` and `keep_runs`, whenever a run is started.
//! Keeps runs that are in progress, died or need a human, the last run of each service, and the runs of other users.

use std::collections::BTreeMap;
use std::fs;

use super::state::{State, of_another};
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::domain::units::Stamp;
use crate::runs::seen::follow;

impl State {
    /// Removes finished runs that are old, or have so many newer ones of their service. What needs a human can be
    /// recovered still: it stays until it was.
    pub fn forget_old(&self, now: Stamp) {
        let mut newer: BTreeMap<String, usize> = BTreeMap::new();
        for view in follow::all(self) {
            let count = newer.entry(view.subject()).or_default();
            let before = *count;
            *count += 1;
            if self.is_to_go(&view, before, now) {
                let dir = self.dir(&view.id);
                if let Err(error) = fs::remove_dir_all(&dir) {
                    tracing::warn!(dir = %dir.display(), %error, "could not remove an old run");
                }
            }
        }
    }

    /// `newer`: the number of newer runs of its service.
    fn is_to_go(&self, view: &RunView, newer: usize, now: Stamp) -> bool {
        let (keep_for, keep_runs) = self.keep;
        let RunStatus::Closed {
            at,
            outcome: Outcome::Converged | Outcome::Reverted { .. },
        } = &view.status
        else {
            return false;
        };
        newer > 0
            && (at.until(now) > keep_for || newer >= keep_runs)
            && of_another(&self.dir(&view.id)).is_none()
    }
}

//! One history in several copies, one a host: what was committed since a run looked at them under its locks.
//! By what stands in them, never by when it was written: the clocks of two bastions may be hours apart.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::decision::{Decision, Facts};
use super::ledger::{Ledger, LedgerEntry};
use crate::domain::ids::{HostName, RunId};

/// So many commits of each copy a decision remembers: the last one is compared, and a copy may have been put back.
const REMEMBERED: usize = 10;

/// What the copies held when a run looked at them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The runs of the last commits.
    pub runs: BTreeSet<RunId>,
    /// The first host in lock order had a copy: if there is none later, it was lost.
    pub first: bool,
}

impl Past {
    #[must_use]
    pub fn of(order: &[HostName], facts: &Facts) -> Self {
        let read = |host: &HostName| facts.get(host).and_then(|seen| seen.ledger.read());
        Self {
            runs: order
                .iter()
                .filter_map(read)
                .flat_map(|ledger| ledger.committed().rev().take(REMEMBERED))
                .map(|entry| entry.run.clone())
                .collect(),
            first: order.first().and_then(read).is_some(),
        }
    }
}

impl Decision {
    /// Was another run committed since this one was decided? What it saw under its locks is none, however long it had
    /// waited for them.
    #[must_use]
    pub fn is_superseded(&self, run: &RunId, now: &Ledger) -> bool {
        let is_known = |entry: &LedgerEntry| match &self.past {
            Some(past) => past.runs.contains(&entry.run),
            // An earlier program's: all that it wrote down is which release was the last.
            None => Some(entry.release) == self.from,
        };
        now.committed()
            .next_back()
            .is_some_and(|last| last.run != *run && !is_known(last))
    }
}

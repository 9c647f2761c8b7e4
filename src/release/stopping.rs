//! Where a stop of what ran before was begun and nobody heard its end: its daemon finishes it all the same.
//! Remembers only; the same from a journal and while the run goes on.

use std::collections::BTreeSet;

use super::stage::{Is, Stage, Step};
use crate::domain::ids::HostName;

/// The hosts where one may be under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopping(BTreeSet<HostName>);

impl Stopping {
    /// Of an earlier process of which nothing is known.
    #[must_use]
    pub fn anywhere(hosts: &[HostName]) -> Self {
        Self(hosts.iter().cloned().collect())
    }

    pub fn begun(&mut self, step: &Step) {
        if step.stage.is(Is::StoppingOld) {
            self.0.insert(step.host.clone());
        }
    }

    /// With success: then each stop was heard to end, or what ran before was seen to be up again.
    pub fn done(&mut self, step: &Step) {
        if step.stage.is(Is::StoppingOld) || step.stage == Stage::Restore {
            self.0.remove(&step.host);
        }
    }

    #[must_use]
    pub fn may_be_on(&self, host: &HostName) -> bool {
        self.0.contains(host)
    }

    pub fn hosts(&self) -> impl Iterator<Item = &HostName> {
        self.0.iter()
    }
}

//! Comparisons of a host with what was promised: the snapshot before the commit, the decision after it.
//! A run that ends without undoing anything looks once more, so that a person is told what is different now.

use std::collections::BTreeMap;

use super::{Action, Run, Stage, Step};
use crate::domain::ids::HostName;
use crate::release::deeds::Scene;
use crate::release::replica::Replica;
use crate::release::snapshot;

impl Run {
    /// The last comparison of a host counts.
    pub(super) fn compare(&mut self, step: &Step, now: &[Replica]) {
        let found = match (&self.decision, &step.stage) {
            (Some(decision), stage) => {
                let scene = Scene::new(&self.plan, decision, &step.host);
                match stage {
                    Stage::Prove => scene.unproven(now),
                    Stage::Look if self.is_committed_on(&step.host) => scene.unproven(now),
                    Stage::Check | Stage::Look => scene.differences(now),
                    _ => Vec::new(),
                }
            }
            (None, Stage::Check) => snapshot::differences(&step.host, &[], now),
            (None, _) => Vec::new(),
        };
        if let Some(unseen) = self.unseen.as_mut().filter(|_| step.stage == Stage::Look) {
            unseen.remove(&step.host);
        }
        let before = self.compared.insert(step.host.clone(), found.clone());
        let before = before.unwrap_or_default();
        self.differences.retain(|said| !before.contains(said));
        self.differences.extend(found);
    }

    fn is_committed_on(&self, host: &HostName) -> bool {
        let part = self.part.as_ref();
        self.committed && part.is_none_or(|part| part.hosts.contains(host))
    }

    /// Asks, once, what there is on each host that answers; nothing was changed before the decision, and what a later run
    /// committed is not compared with this one. Returns `false` if there is nothing to ask.
    pub(super) fn look(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some(decision) = &self.decision else {
            return false;
        };
        if self.unseen.is_some() || self.void.is_some() {
            return false;
        }
        let hosts = decision.order.clone();
        let mut unseen = BTreeMap::new();
        for host in hosts {
            let lost = self.lost.get(&host);
            unseen.insert(host.clone(), lost.cloned().unwrap_or_default());
            if lost.is_none() {
                self.ask(Stage::Look, host, actions);
            }
        }
        self.unseen = Some(unseen);
        true
    }

    pub(super) fn saw_nothing(&mut self, host: &HostName, why: &str) {
        if let Some(unseen) = &mut self.unseen {
            unseen.insert(host.clone(), why.to_owned());
        }
    }

    /// Which hosts were not looked at.
    pub(super) fn not_looked_at(&self) -> Vec<String> {
        let words = |(host, why): (&HostName, &String)| {
            let why = self.lost.get(host).unwrap_or(why);
            if why.is_empty() {
                format!("{host} was not looked at")
            } else {
                format!("{host} was not looked at: {why}")
            }
        };
        self.unseen.iter().flatten().map(words).collect()
    }
}

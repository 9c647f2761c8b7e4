//! What a run makes of the facts of its hosts: the order of the locks, and the decision or the refusals.
//! The same daemon under two names, or anything that speaks against it, turns the run back before it changed anything.

use super::{Action, Entry, Run, Trouble};
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::release::decision::Decision;
use crate::release::{foreseen, preflight};

impl Run {
    /// The order of the locks: by daemon id, the same for everybody whatever they call their hosts.
    pub(super) fn sort(&mut self) {
        if let Some(decision) = &self.decision {
            self.order.clone_from(&decision.order);
            return;
        }
        let mut order: Vec<HostName> = self
            .plan
            .targets
            .iter()
            .filter(|host| self.daemons.contains_key(*host))
            .cloned()
            .collect();
        order.sort_by(|one, two| (self.daemons.get(one), one).cmp(&(self.daemons.get(two), two)));
        for (one, two) in order.iter().zip(order.iter().skip(1)) {
            let id = self.daemons.get(one);
            if id == self.daemons.get(two) && id.is_some_and(|id| !id.is_empty()) && self.trouble.is_none() {
                let fault = Fault::new(
                    format!("{} {}", self.plan.kind.word(), self.plan.subject),
                    format!("{one} and {two} are the same daemon"),
                );
                self.trouble = Some(Trouble {
                    why: fault.to_string(),
                    exit: 2,
                    cancelled: false,
                });
            }
        }
        self.order = order;
    }

    pub(super) fn decide(&mut self, actions: &mut Vec<Action>) {
        let refusals = preflight::refusals(&self.plan, &self.order, &self.facts);
        let decided = match refusals.as_slice() {
            [] => self.decided().map_err(|fault| vec![fault]),
            _ => Err(refusals),
        };
        match decided {
            Ok(decision) => {
                actions.push(Action::Write(Entry::Decided(Box::new(decision.clone()))));
                self.decision = Some(decision);
            }
            Err(faults) => {
                let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
                self.trouble = Some(Trouble {
                    why: words.join("; "),
                    exit: 1,
                    cancelled: false,
                });
            }
        }
    }

    /// Nothing but what was confirmed.
    fn decided(&self) -> Result<Decision, Fault> {
        let decision = Decision::make(&self.plan, &self.order, &self.facts)?;
        match foreseen::refusal(&self.plan, &decision) {
            Some(fault) => Err(fault),
            None => Ok(decision),
        }
    }
}

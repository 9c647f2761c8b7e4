//! Turns the facts of the hosts into the order of the locks, and into a decision or refusals.
//! Two names for the same daemon, or any refusal, end the run before it has changed anything.

use std::collections::BTreeSet;

use super::{Action, Entry, Run, Trouble};
use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::release::decision::Decision;
use crate::release::{foreseen, preflight};

impl Run {
    /// Sorts the hosts by daemon id, so that all machines lock in the same order, whatever their names for the hosts.
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
        let id = |host: &HostName| self.daemons.get(host).map(String::as_str);
        let twins = preflight::same_daemon(&self.plan, &order, id);
        self.order = order;
        if !twins.is_empty() && self.trouble.is_none() {
            self.refuse(&twins, Exit::Usage);
        }
    }

    pub(super) fn decide(&mut self, actions: &mut Vec<Action>) {
        let refusals = preflight::refusals(&self.plan, &self.order, &self.facts);
        let decided = if refusals.is_empty() {
            self.decided().map_err(|fault| vec![fault])
        } else {
            Err(refusals.all())
        };
        match decided {
            Ok(decision) => {
                actions.push(Action::Write(Entry::Decided(Box::new(decision.clone()))));
                self.decision = Some(decision);
            }
            Err(faults) => self.refuse(&faults, Exit::Failed),
        }
    }

    /// With what may help, once each.
    fn refuse(&mut self, faults: &[Fault], exit: Exit) {
        let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let hints: BTreeSet<&String> = faults.iter().filter_map(|fault| fault.hint.as_ref()).collect();
        self.trouble = Some(Trouble {
            hints: hints.into_iter().cloned().collect(),
            ..Trouble::new(words.join("; "), exit)
        });
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

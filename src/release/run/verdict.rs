//! How a run ends: one of three results, each only if it was verified.
//! Anything that could not be verified counts as a difference.

use std::collections::BTreeSet;

use super::{Action, Entry, Run, Stage, Way};
use crate::domain::exit::Exit;
use crate::domain::run::Outcome;
use crate::release::ledger::LedgerResult;

impl Run {
    /// The result for the ledgers of a run that was not committed.
    #[must_use]
    pub fn ledger_result(&self) -> LedgerResult {
        let why = self.trouble().to_owned();
        if self.differences.is_empty() && self.lost.keys().all(|host| !self.touched.contains(host)) {
            LedgerResult::Reverted { why }
        } else {
            LedgerResult::NeedsHuman { why }
        }
    }

    /// The value of `PILOTHOUSE_RESULT` for a stage, as far as the result is known when it begins.
    #[must_use]
    pub fn result_so_far(&self, stage: &Stage) -> &'static str {
        let mut ours = self.touched.union(&self.worked);
        let is_for_a_person = self.part.is_some()
            || !self.differences.is_empty()
            || ours.any(|host| self.lost.contains_key(host));
        match self.way {
            Way::Out if !self.plan.is_always(stage) => "passed so far",
            Way::Out | Way::On | Way::Ask | Way::Back if is_for_a_person => "needs-human",
            Way::Out | Way::On => "converged",
            Way::Ask | Way::Back => "reverted",
        }
    }

    pub(super) fn close(&mut self, actions: &mut Vec<Action>) {
        for host in self.touched.union(&self.worked) {
            if let Some(why) = self.lost.get(host) {
                self.differences.push(format!(
                    "{host}: state unknown since the connection was lost ({why})"
                ));
            }
        }
        let succeeded = match self.way {
            Way::On => true,
            Way::Out => !self.plan.is_release(),
            Way::Ask | Way::Back => false,
        };
        let trouble = self.trouble.clone();
        if let (Way::On, Some(part)) = (self.way, self.part.clone()) {
            let mut differences = vec![self.split_words(&part)];
            differences.append(&mut self.differences);
            self.pending_work.push(format!(
                "use deploy for a new release everywhere, or rollback to the last release that was everywhere: {}",
                self.plan.subject
            ));
            let why = format!("paused: {}", part.why);
            self.end(
                Outcome::NeedsHuman { why, differences },
                Exit::NeedsHuman,
                actions,
            );
            return;
        }
        let why = trouble
            .as_ref()
            .map_or_else(|| "it was committed".to_owned(), |trouble| trouble.why.clone());
        let (outcome, exit) = if !self.differences.is_empty() {
            let differences = std::mem::take(&mut self.differences);
            (Outcome::NeedsHuman { why, differences }, Exit::NeedsHuman)
        } else if succeeded {
            (Outcome::Converged, Exit::Done)
        } else {
            if !self.pushed.is_empty() {
                let tags: Vec<String> = self.pushed.iter().map(ToString::to_string).collect();
                self.pending_work
                    .push(format!("{} stay in the registry", tags.join(" and ")));
            }
            self.say_what_may_be_pushed();
            let cancelled = trouble.as_ref().is_some_and(|trouble| trouble.cancelled);
            let exit = trouble.map_or(Exit::Failed, |trouble| trouble.exit);
            (Outcome::Reverted { why, cancelled }, exit)
        };
        self.end(outcome, exit, actions);
    }

    /// Reports tags whose push was interrupted.
    fn say_what_may_be_pushed(&mut self) {
        let pushed: BTreeSet<String> = self.pushed.iter().map(ToString::to_string).collect();
        let begun = self
            .unheard
            .iter()
            .flat_map(|step| self.plan.may_push(&step.stage));
        let tags: BTreeSet<String> = begun.filter(|tag| !pushed.contains(tag)).collect();
        if !tags.is_empty() {
            let tags: Vec<String> = tags.into_iter().collect();
            let words = format!(
                "{} may be in the registry: a push was interrupted",
                tags.join(" and ")
            );
            self.pending_work.push(words);
        }
    }

    /// Closes a run that was stopped without undoing the rest. Its locks stay, so that no other run continues before it is recovered.
    pub(super) fn close_halted(&mut self, why: &str, actions: &mut Vec<Action>) {
        let at = self
            .road
            .get(self.at)
            .and_then(|group| group.first())
            .map_or_else(|| "the end".to_owned(), ToString::to_string);
        let mut differences = std::mem::take(&mut self.differences);
        if self.decision.is_some() {
            differences.push(format!("it was stopped at {at}, and nothing was undone since"));
        }
        differences.extend(self.not_looked_at());
        for host in &self.touched {
            differences.push(format!("{host}: the lock of this run may remain"));
        }
        for host in &self.worked {
            differences.push(format!("{host}: what the run built or started may remain"));
        }
        let why = why.to_owned();
        if differences.is_empty() {
            // Nothing was asked for yet that could be left.
            let cancelled = self.cancels > 0;
            let exit = if cancelled {
                Exit::Interrupted
            } else {
                Exit::Failed
            };
            self.end(Outcome::Reverted { why, cancelled }, exit, actions);
        } else {
            self.end(
                Outcome::NeedsHuman { why, differences },
                Exit::NeedsHuman,
                actions,
            );
        }
    }

    fn end(&mut self, outcome: Outcome, exit: Exit, actions: &mut Vec<Action>) {
        self.closed = true;
        self.pending_work
            .extend(std::mem::take(&mut self.unretired).into_values());
        let notes = std::mem::take(&mut self.pending_work).into_iter();
        let hints = self.trouble.as_ref().map(|trouble| trouble.hints.clone());
        actions.extend(notes.map(|note| Action::Write(Entry::Note(note))));
        actions.push(Action::Write(Entry::Closed {
            outcome: outcome.clone(),
            exit,
            hints: hints.unwrap_or_default(),
        }));
        actions.push(Action::Close { outcome, exit });
    }
}

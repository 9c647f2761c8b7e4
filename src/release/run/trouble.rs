//! How a run reacts to a failed step, a lost host and a cancel.
//! Before the commit it undoes its changes; after it, it continues and reports what is left.

use super::{Action, Entry, Run, Stage, Step, Way};
use crate::domain::exit::Exit;
use crate::domain::ids::HostName;
use crate::release::record::{Failure, FailureKind};
use crate::release::stage::Is;

/// The first failure on the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// What may help.
    pub(super) hints: Vec<String>,
    pub(super) exit: Exit,
    pub(super) cancelled: bool,
}

impl Trouble {
    pub(super) fn new(why: String, exit: Exit) -> Self {
        Self {
            why,
            hints: Vec::new(),
            exit,
            cancelled: false,
        }
    }
}

impl Run {
    pub(super) fn failed(&mut self, step: &Step, failure: &Failure, actions: &mut Vec<Action>) {
        if step.stage == Stage::Look {
            self.saw_nothing(&step.host, &failure.fault.why);
            return;
        }
        if failure.kind == FailureKind::Fenced {
            self.fenced(&step.host, &failure.fault.why, actions);
            return;
        }
        if !failure.kind.is_interrupted() {
            self.unheard.remove(step);
        }
        let said = failure.fault.to_string();
        if self.plan.is_always(&step.stage) {
            self.pending_work.push(said);
            return;
        }
        match self.way {
            Way::Out => self.failed_out(step, failure, said, actions),
            Way::Ask => match (&step.stage, failure.kind) {
                (Stage::Connect, _) if self.can_do_without(&step.host) => {
                    self.lose(&step.host, &said, actions);
                }
                (_, FailureKind::Locked) => self.leave(said, Exit::Locked, actions),
                _ => self.leave(said, Exit::Unreachable, actions),
            },
            Way::Back | Way::On => match &step.stage {
                stage if stage.is(Is::Proven) => {
                    if failure.kind == FailureKind::Unreachable {
                        self.lose(&step.host, &said, actions);
                    }
                }
                Stage::Sweep if failure.kind == FailureKind::Unreachable => {
                    self.lose(&step.host, &said, actions);
                }
                Stage::Retire | Stage::RetireAgain => {
                    self.unretired.insert(step.host.clone(), said);
                }
                stage if stage.is(Is::Optional) => self.pending_work.push(said),
                stage if stage.is(Is::Work) => {
                    self.stopped_by = Some(stage.to_string());
                    if failure.kind.is_interrupted() && self.plan.asks_a_person(stage) {
                        self.pending_work.push(said);
                    } else {
                        self.differences.push(said);
                    }
                }
                _ => self.differences.push(format!("{}: {said}", step.host)),
            },
        }
    }

    pub(super) fn failed_out(
        &mut self,
        step: &Step,
        failure: &Failure,
        said: String,
        actions: &mut Vec<Action>,
    ) {
        if step.stage == Stage::Connect && self.can_do_without(&step.host) {
            self.lost.insert(step.host.clone(), said);
            return;
        }
        let is_unknown = failure.kind == FailureKind::Unreachable || failure.kind.is_interrupted();
        if step.stage == Stage::Commit && is_unknown {
            // Neither revert nor finish may be guessed.
            self.halt(format!("it is unknown whether it was committed: {said}"), actions);
            return;
        }
        let exit = match failure.kind {
            FailureKind::Unreachable => Exit::Unreachable,
            FailureKind::Locked => Exit::Locked,
            FailureKind::Refused
            | FailureKind::Fenced
            | FailureKind::Interrupted
            | FailureKind::Abandoned => Exit::Failed,
        };
        self.turn_back(said, exit, actions);
    }

    /// The first reason counts; whoever is on another way already stays on it.
    pub(super) fn turn_back(&mut self, why: String, exit: Exit, actions: &mut Vec<Action>) {
        if self.way == Way::Out && self.trouble.is_none() {
            actions.push(Action::Interrupt);
            self.trouble = Some(Trouble::new(why, exit));
        }
    }

    /// Whether the host is only the build host: another one may have the image.
    pub(super) fn can_do_without(&self, host: &HostName) -> bool {
        match self.way {
            Way::Out => !self.plan.targets.contains(host) && !self.plan.workplaces().contains(host),
            Way::Ask => match &self.decision {
                Some(decision) => decision.order.first() != Some(host),
                None => true,
            },
            Way::Back | Way::On => false,
        }
    }

    pub(super) fn lose(&mut self, host: &HostName, why: &str, actions: &mut Vec<Action>) {
        if self.lost.contains_key(host) {
            return;
        }
        actions.push(Action::Write(Entry::Lost {
            host: host.clone(),
            why: why.to_owned(),
        }));
        let committing = self
            .pending
            .iter()
            .any(|step| step.host == *host && step.stage == Stage::Commit);
        self.pending
            .retain(|step| step.host != *host || step.stage.needs_no_host());
        self.lost.insert(host.clone(), why.to_owned());
        if committing {
            self.halt(format!("it is unknown whether it was committed: {why}"), actions);
        } else {
            self.turn_back(format!("{host} was lost: {why}"), Exit::Unreachable, actions);
        }
    }

    pub(super) fn cancelled(&mut self, by: &str, actions: &mut Vec<Action>) {
        self.cancels = self.cancels.saturating_add(1);
        if self.cancels > 1 {
            self.halt(format!("stopped by {by} without undoing the rest"), actions);
            return;
        }
        match self.way {
            Way::Out => {
                if self.trouble.is_none() {
                    actions.push(Action::Interrupt);
                    self.trouble = Some(Trouble {
                        cancelled: true,
                        ..Trouble::new(format!("cancelled by {by}"), Exit::Interrupted)
                    });
                }
            }
            // What was committed stays; of what stands behind it nothing more is begun.
            Way::On => {
                let is_behind = |stage: &Stage| stage.is(Is::Work) && !self.plan.is_always(stage);
                if self.pending.iter().any(|step| is_behind(&step.stage)) {
                    actions.push(Action::Interrupt);
                }
                let ahead = self.road.get(self.at..).unwrap_or_default();
                if self.stopped_by.is_none() && ahead.iter().flatten().any(is_behind) {
                    self.stopped_by = Some(by.to_owned());
                    self.pending_work
                        .push(format!("cancelled by {by} after the commit, which stays"));
                }
            }
            // It is on its way back already.
            Way::Ask | Way::Back => {}
        }
    }

    /// Starts no more steps; the new holder of the lock continues from the state it finds.
    pub(super) fn fenced(&mut self, host: &HostName, why: &str, actions: &mut Vec<Action>) {
        self.touched.remove(host);
        self.halt(format!("{host}: {why}"), actions);
    }

    /// The first reason counts; nothing is under way that could be ended.
    pub(super) fn never(&mut self, why: String, exit: Exit) {
        self.trouble.get_or_insert(Trouble::new(why, exit));
    }

    pub(super) fn halt(&mut self, why: String, actions: &mut Vec<Action>) {
        if self.halted.is_none() {
            actions.push(Action::Interrupt);
            self.halted = Some(why);
        }
    }

    /// Skips a stage of a run known from a lock only, and all stages after it.
    pub(super) fn withhold(&mut self, stage: &Stage) {
        let said = format!(
            "{stage} of {} was not run here: this machine's configuration of it differs",
            self.plan.by.machine
        );
        if self.plan.is_always(stage) {
            self.pending_work.push(said);
        } else {
            self.stopped_by = Some(stage.to_string());
            self.differences.push(said);
        }
    }

    pub(super) fn leave(&mut self, why: String, exit: Exit, actions: &mut Vec<Action>) {
        self.closed = true;
        self.pending.clear();
        actions.push(Action::Leave { why, exit });
    }
}

//! What a run makes of a step that failed, a host that was lost, and a person who wants it undone.
//! Before the commit it turns back; after it, it goes on and says what was left.

use super::{Action, Entry, Run, Stage, Step, Trouble, Way};
use crate::domain::ids::HostName;
use crate::release::record::{Failure, FailureKind};
use crate::release::stage::Turn;

impl Run {
    pub(super) fn failed(&mut self, step: &Step, failure: &Failure, actions: &mut Vec<Action>) {
        if failure.kind == FailureKind::Fenced {
            self.fenced(&step.host, &failure.fault.why, actions);
            return;
        }
        if failure.kind != FailureKind::Interrupted {
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
                (_, FailureKind::Locked) => self.leave(said, 4, actions),
                _ => self.leave(said, 3, actions),
            },
            Way::Back => match &step.stage {
                // What counts is the comparison with the snapshot that follows.
                Stage::Halt | Stage::Restore | Stage::Remove | Stage::Wave(_, Turn::Halt | Turn::Restore) => {
                    if failure.kind == FailureKind::Unreachable {
                        self.lose(&step.host, &said, actions);
                    }
                }
                Stage::Sweep if failure.kind == FailureKind::Unreachable => {
                    self.lose(&step.host, &said, actions);
                }
                Stage::Record => self.pending_work.push(said),
                _ => self.differences.push(format!("{}: {said}", step.host)),
            },
            Way::On => match &step.stage {
                // What counts is the proof that follows, or the comparison with the snapshot.
                Stage::Settle
                | Stage::Promote
                | Stage::Halt
                | Stage::Restore
                | Stage::Remove
                | Stage::Wave(_, Turn::Halt | Turn::Restore) => {
                    if failure.kind == FailureKind::Unreachable {
                        self.lose(&step.host, &said, actions);
                    }
                }
                Stage::Retire => {
                    self.unretired.insert(step.host.clone(), said);
                }
                Stage::Copy | Stage::CleanUp => self.pending_work.push(said),
                stage if stage.is_work() => {
                    self.stopped_by = Some(stage.to_string());
                    if failure.kind == FailureKind::Interrupted && self.plan.asks_a_person(stage) {
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
        let is_unknown = matches!(failure.kind, FailureKind::Unreachable | FailureKind::Interrupted);
        if step.stage == Stage::Commit && is_unknown {
            // Neither revert nor finish may be guessed.
            self.halt(
                format!("whether it was committed cannot be known: {said}"),
                actions,
            );
            return;
        }
        let exit = match failure.kind {
            FailureKind::Unreachable => 3,
            FailureKind::Locked => 4,
            FailureKind::Refused | FailureKind::Fenced | FailureKind::Interrupted => 1,
        };
        self.turn_back(said, exit, actions);
    }

    /// The first reason counts; whoever is on another way already stays on it.
    pub(super) fn turn_back(&mut self, why: String, exit: u8, actions: &mut Vec<Action>) {
        if self.way == Way::Out && self.trouble.is_none() {
            actions.push(Action::Interrupt);
            self.trouble = Some(Trouble {
                why,
                exit,
                cancelled: false,
            });
        }
    }

    /// The builder, where nothing runs: another host may have the image.
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
            .retain(|step| step.host != *host || step.stage.is_local());
        self.lost.insert(host.clone(), why.to_owned());
        if committing {
            self.halt(
                format!("whether it was committed cannot be known: {why}"),
                actions,
            );
        } else {
            self.turn_back(format!("{host} was lost: {why}"), 3, actions);
        }
    }

    pub(super) fn cancelled(&mut self, by: &str, actions: &mut Vec<Action>) {
        self.cancels = self.cancels.saturating_add(1);
        if self.cancels > 1 {
            self.halt(format!("stopped where it was by {by}"), actions);
            return;
        }
        match self.way {
            Way::Out => {
                if self.trouble.is_none() {
                    actions.push(Action::Interrupt);
                    self.trouble = Some(Trouble {
                        why: format!("cancelled by {by}"),
                        exit: 130,
                        cancelled: true,
                    });
                }
            }
            // What was committed stays; of what stands behind it nothing more is begun.
            Way::On => {
                let is_behind = |stage: &Stage| stage.is_work() && !self.plan.is_always(stage);
                if self.pending.iter().any(|step| is_behind(&step.stage)) {
                    actions.push(Action::Interrupt);
                }
                let ahead = self.road.get(self.at..).unwrap_or_default();
                if self.stopped_by.is_none() && ahead.iter().flatten().any(is_behind) {
                    self.stopped_by = Some(by.to_owned());
                    self.pending_work
                        .push(format!("cancelled by {by} behind the commit, which stays"));
                }
            }
            // It is on its way back already.
            Way::Ask | Way::Back => {}
        }
    }

    /// Nothing more is done, and what is under way only answers: whoever has the lock now goes by what it finds.
    pub(super) fn fenced(&mut self, host: &HostName, why: &str, actions: &mut Vec<Action>) {
        self.touched.remove(host);
        self.halt(format!("{host}: {why}"), actions);
    }

    /// Before its first step only: nothing was asked of any host.
    pub(super) fn never(&mut self, why: String, exit: u8) {
        self.trouble.get_or_insert(Trouble {
            why,
            exit,
            cancelled: false,
        });
    }

    pub(super) fn halt(&mut self, why: String, actions: &mut Vec<Action>) {
        if self.halted.is_none() {
            actions.push(Action::Interrupt);
            self.halted = Some(why);
        }
    }

    /// Work of a run that is known from a lock alone: nothing that stands behind it is done either.
    pub(super) fn withhold(&mut self, stage: &Stage) {
        let said = format!(
            "{stage} of {} was not done here: this configuration does not say the same",
            self.plan.by.machine
        );
        if self.plan.is_always(stage) {
            self.pending_work.push(said);
        } else {
            self.stopped_by = Some(stage.to_string());
            self.differences.push(said);
        }
    }

    pub(super) fn leave(&mut self, why: String, exit: u8, actions: &mut Vec<Action>) {
        self.closed = true;
        self.pending.clear();
        actions.push(Action::Leave { why, exit });
    }
}

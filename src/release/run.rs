//! One run as a pure state machine: facts in, actions out, until it is converged, reverted or needs a human.
//! Decides only: each step that must be taken is returned, none is taken here.
//!
//! A group of stages is a barrier: its steps run at once on all hosts (locks one after the other), and the next group
//! begins when all have answered. Before the commit any trouble turns the run back, after it the only way is on.

mod decide;
mod look;
mod pause;
mod resume;
mod trouble;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use super::decision::{Decision, Facts};
use super::plan::Plan;
use super::record::{Entry, Failure, Finding};
use super::road::{Group, all_back, early_back, on_in_part, road};
use super::stage::{HostsOf, Is, Stage, Step, Way};
use crate::domain::exit::Exit;
use crate::domain::ids::HostName;
use crate::domain::reference::Reference;
use crate::domain::run::Outcome;

pub use resume::Left;
use trouble::Trouble;

/// What the driver reports to the run.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    Did(Step, Finding),
    Failed(Step, Failure),
    /// Its lease was not renewed for so long that another run may take the lock.
    HostLost(HostName, String),
    /// Its lock there was taken over by another run.
    Taken(HostName, String),
    /// Somebody cancelled it; the second time it stops without undoing the rest.
    Cancelled(String),
    /// The disk is full: only the reserved space is left for its journal.
    Full(String),
    /// Another run of the service is in progress, and this one does not wait for it any longer.
    Late(String),
    /// The run it depends on failed, and why.
    Unfounded(String),
}

/// What the run asks the driver to do, in this order: a write must be on disk before the actions after it.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Write(Entry),
    Do(Step),
    /// Interrupt the steps in progress that can be interrupted; each still reports its outcome.
    Interrupt,
    /// The last one.
    Close {
        outcome: Outcome,
        exit: Exit,
    },
    /// A recovery that cannot determine enough now: the run stays open and can be recovered later.
    Leave {
        why: String,
        exit: Exit,
    },
}

/// The state machine of one run: the driver reports facts and carries out the returned actions until `Close` or `Leave`.
pub struct Run {
    plan: Plan,
    way: Way,
    /// The groups of stages of this way, and which of them is in progress.
    road: Vec<Group>,
    at: usize,
    /// Steps in progress.
    pending: BTreeSet<Step>,
    /// The next host to lock; locks are taken one after the other, so that two runs cannot block each other.
    next_lock: usize,
    daemons: BTreeMap<HostName, String>,
    /// Hosts in lock order, once all daemons are known.
    order: Vec<HostName>,
    facts: Facts,
    decision: Option<Decision>,
    /// Hosts where this run may hold a lock.
    touched: BTreeSet<HostName>,
    /// Hosts where something other than replicas may have been created.
    worked: BTreeSet<HostName>,
    lost: BTreeMap<HostName, String>,
    committed: bool,
    /// Waves begun, as far as is known.
    begun: u32,
    /// Set if it was paused: the part that is committed.
    part: Option<Part>,
    /// Set if a later run was committed since: nothing of this one may be undone or finished. `true`: it was already undone.
    void: Option<bool>,
    /// The earlier process had changed nothing.
    untouched: bool,
    trouble: Option<Trouble>,
    /// Differences from the promised end state.
    differences: Vec<String>,
    /// Those of them that the last comparison of a host found.
    compared: BTreeMap<HostName, Vec<String>>,
    /// Once it looks before it ends without undoing anything: where nothing was seen, and why.
    unseen: Option<BTreeMap<HostName, String>>,
    /// Hosts where the old release could not be retired, and why; retried once before the end.
    unretired: BTreeMap<HostName, String>,
    /// Work left over that does not make the run a failure.
    pending_work: Vec<String>,
    /// Why it stops without undoing the rest.
    halted: Option<String>,
    /// The stage that failed after the commit, or who cancelled: from then on only `always` stages run.
    stopped_by: Option<String>,
    /// Tags already pushed; they stay, whatever the result.
    pushed: Vec<Reference>,
    /// Steps that were begun and whose outcome is unknown: they or their process were interrupted.
    unheard: BTreeSet<Step>,
    /// Work an earlier process did after the commit or at the end.
    done: BTreeSet<Step>,
    cancels: u8,
    closed: bool,
}

/// What was kept of a run that was paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub hosts: BTreeSet<HostName>,
    pub why: String,
}

impl Run {
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let road = road(&plan, Way::Out);
        Self {
            plan,
            way: Way::Out,
            road,
            at: 0,
            pending: BTreeSet::new(),
            next_lock: 0,
            daemons: BTreeMap::new(),
            order: Vec::new(),
            facts: Facts::new(),
            decision: None,
            touched: BTreeSet::new(),
            worked: BTreeSet::new(),
            lost: BTreeMap::new(),
            committed: false,
            begun: 0,
            part: None,
            void: None,
            untouched: false,
            trouble: None,
            differences: Vec::new(),
            compared: BTreeMap::new(),
            unseen: None,
            unretired: BTreeMap::new(),
            pending_work: Vec::new(),
            halted: None,
            stopped_by: None,
            pushed: Vec::new(),
            unheard: BTreeSet::new(),
            done: BTreeSet::new(),
            cancels: 0,
            closed: false,
        }
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// The part that is kept, if it was paused.
    #[must_use]
    pub fn part(&self) -> Option<&Part> {
        self.part.as_ref()
    }

    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Hosts in lock order; empty until every daemon is known.
    #[must_use]
    pub fn order(&self) -> &[HostName] {
        &self.order
    }

    /// Why it was undone, for the ledgers.
    #[must_use]
    pub fn trouble(&self) -> &str {
        self.trouble.as_ref().map_or("", |trouble| trouble.why.as_str())
    }

    /// The first actions.
    #[must_use]
    pub fn start(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        self.enter(&mut actions);
        self.go_on(&mut actions);
        actions
    }

    #[must_use]
    pub fn on(&mut self, fact: Fact) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.closed {
            return actions;
        }
        match fact {
            Fact::Did(step, finding) => {
                if self.pending.remove(&step) {
                    self.unheard.remove(&step);
                    self.learn(&step, finding);
                }
            }
            Fact::Failed(step, failure) => {
                if self.pending.remove(&step) {
                    self.failed(&step, &failure, &mut actions);
                }
            }
            Fact::HostLost(host, why) => self.lose(&host, &why, &mut actions),
            Fact::Taken(host, why) => self.fenced(&host, &why, &mut actions),
            Fact::Cancelled(by) => self.cancelled(&by, &mut actions),
            Fact::Full(why) => self.turn_back(why, Exit::Failed, &mut actions),
            Fact::Late(behind) => {
                let why = super::preflight::locked(&format!("{behind} is in progress"));
                self.never(why, Exit::Locked);
            }
            Fact::Unfounded(why) => self.never(format!("it was not started: {why}"), Exit::Failed),
        }
        self.go_on(&mut actions);
        actions
    }

    fn learn(&mut self, step: &Step, finding: Finding) {
        match finding {
            Finding::Daemon { id } => {
                self.daemons.insert(step.host.clone(), id);
            }
            Finding::Facts(facts) => {
                self.facts.insert(step.host.clone(), *facts);
            }
            Finding::Committed {
                yes,
                superseded,
                undone,
                part,
            } => {
                // What the journal itself saw done counts, whatever became of the ledger since.
                if yes || !self.committed {
                    self.committed = yes;
                    self.part = self.part_of(part);
                }
                self.void = superseded.then_some(undone || self.untouched);
            }
            Finding::Unknown { why } if !self.committed => {
                let why = format!("it is unknown whether it was committed: {why}");
                self.halted.get_or_insert(why);
            }
            Finding::Replicas(now) => self.compare(step, &now),
            Finding::Pushed { tags, .. } => self.pushed.extend(tags),
            Finding::Nothing
            | Finding::Lock { .. }
            | Finding::Image { .. }
            | Finding::Tags(_)
            | Finding::Approved { .. }
            | Finding::Unknown { .. } => {}
        }
        if step.stage == Stage::Commit {
            self.committed = true;
        }
        if step.stage == Stage::Unlock {
            self.touched.remove(&step.host);
        }
        if step.stage == Stage::Sweep {
            self.worked.remove(&step.host);
        }
        if matches!(step.stage, Stage::Retire | Stage::RetireAgain) {
            self.unretired.remove(&step.host);
        }
    }

    /// Continues while no step is in progress.
    fn go_on(&mut self, actions: &mut Vec<Action>) {
        while self.pending.is_empty() && !self.closed {
            if let Some(why) = self.halted.clone() {
                if self.look(actions) {
                    continue;
                }
                self.close_halted(&why, actions);
                return;
            }
            if self.way == Way::Out && self.committed {
                self.turn(Way::On, "committed".to_owned(), actions);
                continue;
            }
            if self.way == Way::Out && self.trouble.is_some() {
                if self.pause(actions) {
                    continue;
                }
                let why = self.trouble().to_owned();
                self.turn(Way::Back, why, actions);
                continue;
            }
            if self.another_lock(actions) {
                continue;
            }
            let done = self.road.get(self.at).cloned();
            if let Some(group) = done {
                for stage in &group {
                    self.stage_ended(stage, actions);
                }
                if self.way == Way::Out && self.trouble.is_some() {
                    continue;
                }
                self.at += 1;
                self.enter(actions);
            } else {
                self.way_ended(actions);
            }
        }
    }

    /// Locks are taken one host after the other.
    fn another_lock(&mut self, actions: &mut Vec<Action>) -> bool {
        if !self
            .road
            .get(self.at)
            .is_some_and(|group| group.contains(&Stage::Lock))
        {
            return false;
        }
        while let Some(host) = self.order.get(self.next_lock).cloned() {
            self.next_lock += 1;
            if !self.lost.contains_key(&host) {
                self.touched.insert(host.clone());
                self.ask(Stage::Lock, host, actions);
                return true;
            }
        }
        false
    }

    fn ask(&mut self, stage: Stage, host: HostName, actions: &mut Vec<Action>) {
        if stage.is(Is::Making) {
            self.worked.insert(host.clone());
        }
        if let (Way::Out, Stage::Wave(n, _)) = (self.way, &stage) {
            self.begun = self.begun.max(*n);
        }
        let step = Step { stage, host };
        self.pending.insert(step.clone());
        self.unheard.insert(step.clone());
        actions.push(Action::Do(step));
    }

    fn enter(&mut self, actions: &mut Vec<Action>) {
        for stage in self.road.get(self.at).cloned().unwrap_or_default() {
            if self.is_left_out(&stage) {
                continue;
            }
            if self.plan.withheld.contains(&stage) {
                self.withhold(&stage);
                continue;
            }
            for host in self.hosts_of(&stage) {
                let step = Step {
                    stage: stage.clone(),
                    host,
                };
                let is_there = stage.needs_no_host() || !self.lost.contains_key(&step.host);
                if is_there && !self.done.contains(&step) {
                    self.ask(step.stage, step.host, actions);
                }
            }
        }
    }

    fn is_left_out(&self, stage: &Stage) -> bool {
        self.way == Way::On && self.stopped_by.is_some() && stage.is(Is::Work) && !self.plan.is_always(stage)
    }

    fn hosts_of(&self, stage: &Stage) -> Vec<HostName> {
        let order = || self.order.iter();
        match stage.hosts() {
            HostsOf::Known => match (self.way, &self.decision) {
                (Way::Ask, Some(decision)) => decision.order.clone(),
                (Way::Ask, None) | (Way::Out | Way::Back | Way::On, _) => self.plan.hosts(),
            },
            // `another_lock` gives them out.
            HostsOf::InTurn => Vec::new(),
            HostsOf::Marked | HostsOf::Builder | HostsOf::Tests | HostsOf::Container | HostsOf::Local => {
                self.plan.hosts_of(stage)
            }
            HostsOf::First => order().take(1).cloned().collect(),
            HostsOf::Others => order().skip(1).cloned().collect(),
            HostsOf::Targets => self.order.clone(),
            HostsOf::Kept => order().filter(|host| self.is_kept(host)).cloned().collect(),
            HostsOf::Rest => order().filter(|host| self.is_rest(host)).cloned().collect(),
            HostsOf::Wave(n) => {
                let wave = self.plan.wave(n);
                let hosts = wave.hosts().filter(|host| self.order.contains(host));
                hosts.filter(|host| self.is_rest(host)).cloned().collect()
            }
            HostsOf::Worked => self.worked.iter().cloned().collect(),
            HostsOf::Touched => self.touched.iter().cloned().collect(),
            HostsOf::Unretired => self.unretired.keys().cloned().collect(),
        }
    }

    /// Handles the end of a stage, once all its steps are done.
    fn stage_ended(&mut self, stage: &Stage, actions: &mut Vec<Action>) {
        match (stage, self.way) {
            (Stage::Connect, Way::Out | Way::Ask) if self.plan.is_release() => self.sort(),
            (Stage::Preflight, Way::Out) => self.decide(actions),
            _ => {}
        }
    }

    fn turn(&mut self, way: Way, why: String, actions: &mut Vec<Action>) {
        let before = std::mem::replace(&mut self.way, way);
        self.at = 0;
        self.road = match (way, &self.decision) {
            // Nothing of the release may be changed any more.
            (Way::On, _) if self.void.is_some() => vec![vec![Stage::Unlock]],
            (_, _) if self.void.is_some() => early_back(&self.plan),
            // Nothing was changed yet but the locks.
            (Way::Back, None) => early_back(&self.plan),
            (Way::Back, Some(_)) => all_back(&self.plan, self.begun),
            (Way::On, Some(_)) if self.part.is_some() => on_in_part(&self.plan, self.begun),
            _ => road(&self.plan, way),
        };
        self.settle_part(before, actions);
        actions.push(Action::Write(Entry::Turned { way, why }));
        self.enter(actions);
    }

    fn way_ended(&mut self, actions: &mut Vec<Action>) {
        match self.way {
            Way::Ask if self.committed && self.void.is_some() => {
                self.turn(
                    Way::On,
                    "it was committed, and a later run after it".to_owned(),
                    actions,
                );
            }
            Way::Ask if self.void.is_some() => {
                let why = "a later run was committed since then, so there is nothing to undo".to_owned();
                if self.void == Some(false) {
                    self.differences.push(why.clone());
                }
                self.never(why.clone(), Exit::Failed);
                self.turn(Way::Back, why, actions);
            }
            Way::Ask if self.committed => self.turn(Way::On, "it was committed".to_owned(), actions),
            Way::Ask => {
                let why = "its process ended before the commit".to_owned();
                self.never(why.clone(), Exit::Failed);
                self.turn(Way::Back, why, actions);
            }
            Way::Out if self.plan.is_release() => {
                // The commit is the last stage on this way: without it there is nothing to call done.
                self.halt("the commit was not reached".to_owned(), actions);
            }
            Way::Out | Way::Back | Way::On => self.close(actions),
        }
    }
}

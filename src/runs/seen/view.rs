//! A journal as people see it: stages, hosts, times, result. A pure fold over its records.
//! The same for every control room and for the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::service::Work;
use crate::domain::exit::Exit;
use crate::domain::ids::HostName;
use crate::domain::run::{Asked, Cell, Outcome, RunKind, RunStatus, RunView, StageView};
use crate::domain::units::Stamp;
use crate::release::decision::Decision;
use crate::release::plan::Plan;
use crate::release::record::{Entry, Failure, FailureKind, Finding, Record};
use crate::release::road::road;
use crate::release::rolling::{Wave, waves};
use crate::release::stage::{HostsOf, Stage, Step, Way};

/// Shorter stages have no estimate.
const SHORTEST: Duration = Duration::from_secs(1);

/// The state after the records read so far.
#[derive(Clone, Debug)]
pub struct Fold {
    plan: Plan,
    stages: Vec<StageView>,
    /// When a cell's first step began; a column may have several.
    begun: BTreeMap<(String, Option<HostName>), Stamp>,
    image: String,
    decision: Option<Box<Decision>>,
    undoing: Option<String>,
    /// Since when it waits, and for what.
    waiting: Option<(Stamp, String)>,
    waited: Duration,
    way: Way,
    /// In a paused run: the hosts that are kept.
    kept: Option<BTreeSet<HostName>>,
    waves: Vec<Wave>,
    steps_done: u32,
    steps_total: u32,
    notes: Vec<String>,
    hints: Vec<String>,
    lost: BTreeSet<HostName>,
    closed: Option<(Stamp, Outcome, Exit)>,
    pub last: Stamp,
}

impl Fold {
    /// `None` unless it is the first record of a journal.
    #[must_use]
    pub fn open(first: &Record) -> Option<Self> {
        let Entry::Opened(plan) = &first.entry else {
            return None;
        };
        Some(Self {
            stages: columns(plan),
            waves: waves(plan),
            steps_total: u32::try_from(plan.steps()).unwrap_or(u32::MAX),
            kept: None,
            image: plan.image.clone(),
            plan: (**plan).clone(),
            begun: BTreeMap::new(),
            decision: None,
            undoing: None,
            waiting: None,
            waited: Duration::ZERO,
            way: Way::Out,
            steps_done: 0,
            notes: Vec::new(),
            hints: Vec::new(),
            lost: BTreeSet::new(),
            closed: None,
            last: first.at,
        })
    }

    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How the process ends whose run this is; absent while it is open.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.closed.as_ref().map(|(_, _, exit)| *exit)
    }

    pub fn apply(&mut self, record: &Record) {
        self.last = record.at;
        if !matches!(record.entry, Entry::Waits { .. } | Entry::Text { .. })
            && let Some((since, _)) = self.waiting.take()
        {
            self.waited += since.until(record.at);
        }
        match &record.entry {
            Entry::Opened(_) => {}
            Entry::Lost { host, .. } => drop(self.lost.insert(host.clone())),
            Entry::Resumed { .. } => {
                self.lost.clear();
                self.closed = None;
                self.way = Way::Ask;
            }
            Entry::Intent(step) => self.began(step, record.at),
            Entry::Done { step, finding, .. } => self.done(step, finding, record.at),
            Entry::Failed { step, why, .. } => self.failed(step, why, record.at),
            Entry::Decided(decision) => {
                self.image = format!("{} {}", decision.image.reference, decision.image.id.short());
                self.decision = Some(decision.clone());
            }
            Entry::Text { step, text } => {
                if let Some(Cell::Running { text: shown, .. }) = self.cell(step) {
                    shown.clone_from(text);
                }
            }
            Entry::Tested { step, tested } => {
                let column = step.stage.column();
                if let Some(stage) = self
                    .stages
                    .iter_mut()
                    .find(|stage| Some(&stage.name) == column.as_ref())
                {
                    stage.tested = Some(tested.clone());
                }
            }
            Entry::Waits { text } => {
                let since = self.waiting.take().map_or(record.at, |(since, _)| since);
                self.waiting = Some((since, text.clone()));
            }
            Entry::Turned { way, why } => {
                self.way = *way;
                if *way == Way::Back {
                    self.kept = None;
                    self.undoing = Some(why.clone());
                }
            }
            Entry::Kept { hosts, why } => {
                self.kept = Some(hosts.clone());
                self.undoing = Some(format!("paused: {why}"));
            }
            Entry::Note(note) => self.notes.push(note.clone()),
            Entry::Closed { outcome, exit, hints } => {
                self.hints.clone_from(hints);
                self.closed = Some((record.at, outcome.clone(), *exit));
                self.settle(outcome, record.at);
            }
        }
    }

    fn began(&mut self, step: &Step, at: Stamp) {
        let key = self.key(step);
        let back = self.is_undone(step);
        let text = self.doing(&step.stage);
        let Some(cell) = self.cell(step) else { return };
        if back && matches!(cell, Cell::Waiting | Cell::Skipped) {
            return;
        }
        let since = match cell {
            Cell::Running { since, .. } => *since,
            Cell::Waiting
            | Cell::Done { .. }
            | Cell::Flaky { .. }
            | Cell::Failed { .. }
            | Cell::Undone
            | Cell::Skipped => at,
        };
        *cell = Cell::Running { since, text };
        if let Some(key) = key {
            self.begun.entry(key).or_insert(at);
        }
    }

    fn done(&mut self, step: &Step, finding: &Finding, at: Stamp) {
        if let Finding::Image { id, reference } = finding {
            self.image = format!("{reference} {}", id.short());
        }
        if let (Finding::Pushed { id, pinned, .. }, Stage::Push) = (finding, &step.stage) {
            self.image = format!("{} {}", pinned.short(), id.short());
        }
        let took = self.took(step, at);
        let back = self.is_undone(step);
        if !back && self.way != Way::Ask {
            self.steps_done += 1;
        }
        let flaky = self.flaky(step);
        let going_on = self.going_on(step);
        let Some(cell) = self.cell(step) else { return };
        match (back, &cell) {
            (true, Cell::Running { .. }) => *cell = Cell::Undone,
            (true, _) => {}
            (false, Cell::Running { since, .. }) if going_on.is_some() => {
                let (since, text) = (*since, going_on.unwrap_or_default());
                *cell = Cell::Running { since, text };
            }
            (false, _) => {
                *cell = match flaky {
                    Some(text) => Cell::Flaky { took, text },
                    None => Cell::Done { took },
                }
            }
        }
    }

    /// `1 of 2`: the host is in later waves, too.
    fn going_on(&self, step: &Step) -> Option<String> {
        let Stage::Wave(n, _) = step.stage else {
            return None;
        };
        let place = usize::try_from(n).ok()?;
        let has = |wave: &&Wave| wave.hosts().any(|host| *host == step.host);
        let done = self.waves.iter().take(place).filter(has).count();
        let all = self.waves.iter().filter(has).count();
        (done < all).then(|| format!("{done} of {all}"))
    }

    fn doing(&self, stage: &Stage) -> String {
        match stage {
            Stage::Wave(n, _) => format!("wave {n}/{}: {}", self.waves.len(), stage.doing()),
            _ => stage.doing().to_owned(),
        }
    }

    /// On the way back what was done is taken back, but for what is always done.
    fn is_undone(&self, step: &Step) -> bool {
        let is_kept = self.kept.as_ref().is_none_or(|kept| kept.contains(&step.host));
        let is_back = match self.way {
            Way::Back => true,
            Way::On => !is_kept,
            Way::Out | Way::Ask => false,
        };
        is_back && !self.plan.is_always(&step.stage) && step.stage != Stage::Unlock
    }

    /// Its row and column tell what and where. What was ended because the run turned back has not failed, unless it stays
    /// as it is.
    fn failed(&mut self, step: &Step, why: &Failure, at: Stamp) {
        let took = self.took(step, at);
        let stays = self.way == Way::On || self.plan.is_always(&step.stage);
        if let Some(cell) = self.cell(step) {
            *cell = match why.kind {
                FailureKind::Interrupted if !stays => Cell::Undone,
                FailureKind::Interrupted
                | FailureKind::Refused
                | FailureKind::Unreachable
                | FailureKind::Locked
                | FailureKind::Fenced
                | FailureKind::Abandoned => Cell::Failed {
                    took,
                    why: why.fault.why.clone(),
                },
            };
        }
    }

    /// The words of a test that needed more than one attempt.
    fn flaky(&self, step: &Step) -> Option<String> {
        let column = step.stage.column()?;
        let stage = self.stages.iter().find(|stage| stage.name == column)?;
        let tested = stage.tested.as_ref().filter(|tested| tested.flaky)?;
        Some(tested.words())
    }

    fn took(&self, step: &Step, at: Stamp) -> Duration {
        self.key(step)
            .and_then(|key| self.begun.get(&key))
            .map_or(Duration::ZERO, |begun| begun.until(at))
    }

    /// What was not reached is skipped; what a dead process left running was not done.
    fn settle(&mut self, outcome: &Outcome, at: Stamp) {
        for (_, cell) in self.stages.iter_mut().flat_map(|stage| &mut stage.cells) {
            match cell {
                Cell::Waiting => *cell = Cell::Skipped,
                Cell::Running { since, .. } => {
                    let took = since.until(at);
                    *cell = match outcome {
                        Outcome::Converged => Cell::Done { took },
                        Outcome::Reverted { .. } => Cell::Undone,
                        Outcome::NeedsHuman { .. } => Cell::Failed {
                            took,
                            why: "it was not finished".to_owned(),
                        },
                    };
                }
                Cell::Done { .. }
                | Cell::Flaky { .. }
                | Cell::Failed { .. }
                | Cell::Undone
                | Cell::Skipped => {}
            }
        }
    }

    /// A pipeline connects long before it locks: that is no part of its lock's time.
    fn column(&self, stage: &Stage) -> Option<String> {
        match (stage, self.plan.kind) {
            (Stage::Connect, RunKind::Pipeline) => None,
            _ => column_of(stage, self.plan.kind),
        }
    }

    fn key(&self, step: &Step) -> Option<(String, Option<HostName>)> {
        Some((self.column(&step.stage)?, Some(step.host.clone())))
    }

    fn cell(&mut self, step: &Step) -> Option<&mut Cell> {
        let column = self.column(&step.stage)?;
        let stage = self.stages.iter_mut().find(|stage| stage.name == column)?;
        stage
            .cells
            .iter_mut()
            .find(|(host, _)| host.as_ref().is_none_or(|host| *host == step.host))
            .map(|(_, cell)| cell)
    }

    /// `alive`: a process holds the run's lock.
    #[must_use]
    pub fn view(&self, alive: bool) -> RunView {
        let status = match (&self.closed, alive) {
            (Some((at, outcome, _)), _) => RunStatus::Closed {
                at: *at,
                outcome: outcome.clone(),
            },
            (None, true) => RunStatus::Running,
            (None, false) => RunStatus::Dead,
        };
        let decision = self.decision.as_deref();
        let mut stages = self.stages.clone();
        if status == RunStatus::Dead {
            stages.iter_mut().for_each(StageView::die);
        }
        RunView {
            id: self.plan.run.clone(),
            kind: self.plan.kind,
            service: self.plan.subject.service.clone(),
            environment: self.plan.subject.environment.clone(),
            actor: self.plan.by.login.clone(),
            machine: self.plan.by.machine.clone(),
            reason: self.plan.reason.clone(),
            started: self.plan.started,
            status,
            waiting: self.waiting.as_ref().map(|(_, text)| text.clone()),
            waited: self.waited,
            undoing: self.undoing.clone(),
            committed: self.way == Way::On && self.kept.is_none(),
            cancels: 0,
            from: decision.and_then(|decision| decision.from),
            to: decision.map(|decision| decision.release).or(self.plan.to),
            image: self.image.clone(),
            hosts: self.plan.targets.clone(),
            lost: self.lost.iter().cloned().collect(),
            stages,
            steps_done: self.steps_done.min(self.steps_total),
            steps_total: self.steps_total,
            estimate: None,
            asks: self.asks(),
            theirs: None,
            notes: self.notes.clone(),
            hints: self.hints.clone(),
            output: Vec::new(),
            output_skipped: 0,
        }
    }

    fn asks(&self) -> Vec<Asked> {
        let open = self.stages.iter().filter(|stage| {
            let mut cells = stage.cells.iter();
            cells.any(|(_, cell)| matches!(cell, Cell::Running { .. }))
        });
        open.filter_map(|stage| match &self.plan.custom(&stage.name)?.work {
            Work::Approve { question, .. } if self.closed.is_none() => Some(Asked {
                stage: stage.name.clone(),
                question: question.clone(),
            }),
            _ => None,
        })
        .collect()
    }

    /// How long each stage took that was done on all its hosts; what cannot be seen to take time is left out.
    pub fn stage_times(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.stages.iter().filter_map(|stage| {
            let mut longest = Duration::ZERO;
            for (_, cell) in &stage.cells {
                let (Cell::Done { took } | Cell::Flaky { took, .. }) = cell else {
                    return None;
                };
                longest = longest.max(*took);
            }
            (longest >= SHORTEST).then_some((stage.name.as_str(), longest))
        })
    }

    /// How long it took, without waiting for others, if it converged.
    #[must_use]
    pub fn took_in_all(&self) -> Option<Duration> {
        match &self.closed {
            Some((at, Outcome::Converged, _)) => {
                Some(self.plan.started.until(*at).saturating_sub(self.waited))
            }
            _ => None,
        }
    }
}

/// An adoption retires nothing: its proof is a part of it.
fn column_of(stage: &Stage, kind: RunKind) -> Option<String> {
    match (stage, kind) {
        (Stage::Prove, RunKind::Adopt) => Stage::Adopt.column(),
        _ => stage.column(),
    }
}

/// Every stage of the way out, and what follows the commit.
fn columns(plan: &Plan) -> Vec<StageView> {
    let mut stages: Vec<StageView> = Vec::new();
    let after = road(plan, Way::On);
    for group in road(plan, Way::Out).into_iter().chain(after) {
        let before = stages.len();
        for stage in group {
            let Some(name) = column_of(&stage, plan.kind) else {
                continue;
            };
            // Building and testing show only what they are for, a pipeline what its stages are for.
            let is_first = plan.is_release() && plan.kind != RunKind::Pipeline;
            if !is_first && matches!(stage, Stage::Connect) {
                continue;
            }
            if stages.iter().any(|known| known.name == name) {
                continue;
            }
            let hosts: Vec<Option<HostName>> = match stage.hosts() {
                HostsOf::First | HostsOf::Local => vec![None],
                HostsOf::Marked | HostsOf::Builder | HostsOf::Tests | HostsOf::Container => {
                    plan.hosts_of(&stage).into_iter().map(Some).collect()
                }
                HostsOf::Known
                | HostsOf::InTurn
                | HostsOf::Others
                | HostsOf::Targets
                | HostsOf::Kept
                | HostsOf::Rest
                | HostsOf::Wave(_)
                | HostsOf::Worked
                | HostsOf::Touched
                | HostsOf::Unretired => plan.targets.iter().cloned().map(Some).collect(),
            };
            stages.push(StageView {
                name,
                beside: stages.len() > before,
                estimate: None,
                cells: hosts.into_iter().map(|host| (host, Cell::Waiting)).collect(),
                tested: None,
            });
        }
    }
    stages
}

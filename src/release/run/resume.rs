//! A run left by an earlier process, continued from its journal or from a lock on a host.
//! The journal has the decision; whether it was committed is read from the first host's ledger.

use super::{Part, Run, Stage, Way, road};
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::{HostName, ImageId};
use crate::domain::reference::Reference;
use crate::release::decision::Decision;
use crate::release::plan::Plan;
use crate::release::record::{Entry, Finding, Record, Tags};
use crate::release::stage::{Is, Step};
use crate::release::stopping::Stopping;

/// What is known about a run left by an earlier process.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    pub plan: Plan,
    /// `None`: only locks were changed.
    pub decision: Option<Decision>,
    /// Whether the journal contains the successful commit.
    pub committed: bool,
    /// Whether it is the first process's own journal, and that had only changed locks.
    pub untouched: bool,
    /// Whether it was closed as `needs a human`.
    pub closed: bool,
    /// The images its tags referred to before it, as far as recorded.
    pub tags: BTreeMap<HostName, Tags>,
    /// The image it built, if it got that far.
    pub built: Option<ImageId>,
    /// Tags it pushed; they are not removed from the registry.
    pub pushed: Vec<Reference>,
    /// Steps that were begun and whose outcome is unknown.
    pub unheard: BTreeSet<Step>,
    /// Work after the commit or at the end that was done and is not repeated.
    pub done: BTreeSet<Step>,
    pub stopping: Stopping,
    /// So many waves may have been begun.
    pub begun: u32,
    /// The part that was to be committed when it was paused.
    pub part: Option<Part>,
}

impl Left {
    /// From a journal; `None` if it does not even contain the plan.
    #[must_use]
    pub fn read(records: &[Record]) -> Option<Self> {
        let mut left: Option<Self> = None;
        let mut resumed = false;
        let mut turned = false;
        for record in records {
            if let Some(left) = &mut left {
                left.hear(&record.entry);
            }
            match (&record.entry, &mut left) {
                (Entry::Opened(plan), None) => {
                    left = Some(Self {
                        plan: (**plan).clone(),
                        decision: None,
                        committed: false,
                        untouched: false,
                        closed: false,
                        tags: BTreeMap::new(),
                        built: None,
                        pushed: Vec::new(),
                        unheard: BTreeSet::new(),
                        stopping: Stopping::anywhere(&plan.targets),
                        done: BTreeSet::new(),
                        begun: u32::MAX,
                        part: None,
                    });
                }
                (Entry::Decided(decision), Some(left)) => left.decision = Some((**decision).clone()),
                (Entry::Done { step, .. }, Some(left)) if step.stage == Stage::Commit => {
                    left.committed = true;
                }
                (
                    Entry::Done {
                        step,
                        finding: Finding::Tags(tags),
                        ..
                    },
                    Some(left),
                ) => {
                    left.tags.insert(step.host.clone(), tags.clone());
                }
                (
                    Entry::Done {
                        step,
                        finding: Finding::Image { id, .. },
                        ..
                    },
                    Some(left),
                ) if step.stage == Stage::Build => left.built = Some(id.clone()),
                (
                    Entry::Done {
                        finding: Finding::Pushed { tags, .. },
                        ..
                    },
                    Some(left),
                ) if !turned => left.pushed.extend(tags.clone()),
                (Entry::Done { step, .. }, Some(left)) if turned && step.stage.is(Is::Work) => {
                    left.done.insert(step.clone());
                }
                (Entry::Closed { .. }, Some(left)) => left.closed = true,
                (Entry::Resumed { .. }, Some(left)) => {
                    left.closed = false;
                    resumed = true;
                }
                (Entry::Kept { hosts, why }, Some(left)) => {
                    left.part = Some(Part {
                        hosts: hosts.clone(),
                        why: why.clone(),
                    });
                }
                (Entry::Turned { way, .. }, Some(left)) => {
                    turned = true;
                    if *way == Way::Back {
                        left.part = None;
                    }
                }
                (Entry::Intent(step), Some(left)) => match step.stage {
                    Stage::Connect if !resumed => {
                        left.untouched = true;
                        left.stopping = Stopping::default();
                        left.begun = 0;
                    }
                    Stage::Wave(n, _) => {
                        left.untouched = false;
                        left.begun = left.begun.max(n);
                    }
                    Stage::Pin | Stage::Unlock => {}
                    _ => left.untouched &= !step.stage.is(Is::Changing),
                },
                _ => {}
            }
        }
        left
    }
}

impl Left {
    fn hear(&mut self, entry: &Entry) {
        match entry {
            Entry::Intent(step) => {
                self.unheard.insert(step.clone());
                self.stopping.begun(step);
            }
            Entry::Done { step, .. } => {
                self.unheard.remove(step);
                self.stopping.done(step);
            }
            Entry::Failed { step, why, .. } if !why.kind.is_interrupted() => {
                self.unheard.remove(step);
            }
            _ => {}
        }
    }
}

impl Run {
    /// Starts by reading whether it was committed, then goes back or on.
    #[must_use]
    pub fn resumed(left: Left) -> Self {
        let mut run = Self::new(left.plan);
        run.way = Way::Ask;
        run.road = match &left.decision {
            None => vec![vec![Stage::Connect]],
            Some(_) => road(&run.plan, Way::Ask),
        };
        if run.plan.is_release() {
            // Where the earlier process got to is not known: a lock of it, or more, may be on every target.
            run.touched = run.plan.targets.iter().cloned().collect();
        }
        run.worked = run.plan.workplaces().into_iter().collect();
        run.worked.extend(left.tags.into_keys());
        if run.plan.has_release_containers() {
            run.worked.extend(run.plan.targets.iter().cloned());
        }
        run.decision = left.decision;
        run.committed = left.committed;
        run.untouched = left.untouched;
        run.done = left.done;
        run.pushed = left.pushed;
        run.unheard = left.unheard;
        run.begun = left.begun;
        run.part = left.part;
        run
    }
}

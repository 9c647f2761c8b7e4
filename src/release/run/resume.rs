//! A run that an earlier process left, taken up by a later one from its journal or from a lock on a host.
//! The journal says what was decided; whether it was committed is asked of the first host's ledger.

use super::{Part, Run, Stage, Way, road};
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::{HostName, ImageId};
use crate::domain::reference::Reference;
use crate::release::decision::Decision;
use crate::release::plan::Plan;
use crate::release::record::{Entry, FailureKind, Finding, Record, Tags};
use crate::release::stage::Step;

/// What is known of a run that was left.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    pub plan: Plan,
    /// Absent: nothing was changed but locks.
    pub decision: Option<Decision>,
    /// The journal itself saw the commit done.
    pub committed: bool,
    /// The journal of the first process itself, and it had not begun to change anything but locks.
    pub untouched: bool,
    /// It was closed, as needing a human at most.
    pub closed: bool,
    /// What its tags named before it, as far as it looked.
    pub tags: BTreeMap<HostName, Tags>,
    /// The image that it built, if it came so far.
    pub built: Option<ImageId>,
    /// Tags that it pushed: a registry is not put back.
    pub pushed: Vec<Reference>,
    /// Begun, and not known how it ended.
    pub unheard: BTreeSet<Step>,
    /// Work behind the commit or at the end that was done: once is enough.
    pub done: BTreeSet<Step>,
    /// So many waves may have been begun.
    pub begun: u32,
    /// What was to be committed of it when it was paused.
    pub part: Option<Part>,
}

impl Left {
    /// From a journal; `None` where not even the plan was written.
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
                (Entry::Done { step, .. }, Some(left)) if turned && step.stage.is_work() => {
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
                        left.begun = 0;
                    }
                    Stage::Wave(n, _) => {
                        left.untouched = false;
                        left.begun = left.begun.max(n);
                    }
                    Stage::Pin | Stage::Unlock => {}
                    _ => left.untouched &= !step.stage.changes(),
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
            }
            Entry::Done { step, .. } => {
                self.unheard.remove(step);
            }
            Entry::Failed { step, why, .. } if why.kind != FailureKind::Interrupted => {
                self.unheard.remove(step);
            }
            _ => {}
        }
    }
}

impl Run {
    /// Asks first, then goes back or on.
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

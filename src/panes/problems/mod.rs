//! Current problems, worst first, each with its start, the evidence and a possible action.
//! Contains only known problems, no advice.

mod find;
pub mod said;
pub mod view;

use std::collections::BTreeSet;

use crate::app::cursor::{Cursor, Motion};
use crate::app::filter::RowFilter;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::container::State;
use crate::domain::ids::ContainerKey;
use crate::domain::logs::{FollowId, LogBatch};
use crate::domain::order::Order;
use crate::panes::containers::{self, Scope};
use crate::panes::logs::shape::readable;

use said::Said;

pub use find::{Gravity, LOOP_STARTS, LOOP_WINDOW, Problem, Since};

pub const HINTS: &[Command] = &[
    Command::Open,
    Command::Logs,
    Command::Shell,
    Command::Restart,
    Command::Rollback,
    Command::Approve,
    Command::Recover,
    Command::Remove,
    Command::Filter,
    Command::GoServices,
    Command::Palette,
    Command::Back,
];

/// The exit code of what SIGKILL ended.
const SIGKILLED: i32 = 137;

/// Rows that each problem takes: what, and the evidence. The selected one takes as many more as its evidence needs.
pub const ROWS_EACH: usize = 2;

#[derive(Debug, Default)]
pub struct Problems {
    pub filter: RowFilter,
    list: Vec<Problem>,
    cursor: Cursor<Subject>,
    /// Those that were inspected for what killed them: each once, as long as it is a problem.
    inspected: BTreeSet<Subject>,
    said: Said,
}

impl Problems {
    /// All, whatever the filter.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    #[must_use]
    pub fn cursor(&self) -> &Cursor<Subject> {
        &self.cursor
    }

    fn subjects(&self) -> Vec<Subject> {
        self.seen().map(|problem| problem.subject.clone()).collect()
    }

    #[must_use]
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// Is there room for a third row of each, its last words, if the selected one takes so many rows more?
    #[must_use]
    pub fn is_roomy(&self, height: usize, more: usize) -> bool {
        let whole = |problem: &Problem| ROWS_EACH + usize::from(self.said.last(&problem.subject).is_some());
        self.seen().map(whole).sum::<usize>() + more <= height
    }

    /// Those that the filter lets through.
    pub(super) fn seen(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter().filter(|problem| {
            let Problem {
                name,
                place,
                what,
                evidence,
                subject,
                ..
            } = problem;
            let words = self.said.last(subject).map(|line| readable(&line.text, true));
            let words = words.unwrap_or_default();
            self.filter.admits(&[name, place, what, evidence, &words])
        })
    }
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    if let Some(motion) = Motion::of(command) {
        let (subjects, height) = (model.problems.subjects(), height(model));
        model.problems.cursor.step(&subjects, height, motion);
        return inspect(model);
    }
    if command != Command::Open {
        return Vec::new();
    }
    match model.problems.cursor.key().cloned() {
        Some(Subject::Container(_)) => crate::panes::detail::open(model),
        Some(Subject::Host(host)) => {
            model.hosts.select(host);
            model.go(PaneId::Hosts);
            Vec::new()
        }
        Some(Subject::Run(run)) => {
            crate::panes::pipeline::open(model, run);
            Vec::new()
        }
        Some(Subject::Group(group)) => {
            model.go(PaneId::Containers);
            containers::show(model, Scope::Group(group));
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Lines of a log, if they are last words.
pub fn receive(model: &mut Model, id: FollowId, batch: &LogBatch) -> bool {
    let is_its = model.problems.said.receive(id, batch, model.now.uptime);
    if is_its && !model.problems.filter.is_empty() {
        refresh(model);
    }
    is_its
}

/// The evidence of the selected container is better with its inspection: asked for once.
fn inspect(model: &mut Model) -> Vec<Effect> {
    match model.problems.cursor.key().cloned() {
        Some(Subject::Container(key)) if model.fleet.row(&key).is_some_and(|row| row.detail.is_none()) => {
            vec![ask(model, key)]
        }
        _ => Vec::new(),
    }
}

fn ask(model: &mut Model, key: ContainerKey) -> Effect {
    model.problems.inspected.insert(Subject::Container(key.clone()));
    let id = model.next_order();
    model.orders.expect(id, None);
    Effect::Order(id, Order::Inspect(key))
}

/// Whether a killed one was killed for memory only its inspection says for certain: each that is seen is asked for, once.
/// What they said last is asked for, too.
#[must_use]
pub fn settle(model: &mut Model) -> Vec<Effect> {
    let (top, height) = (model.problems.cursor.top(), height(model));
    let shown = model.problems.seen().skip(top).take(height);
    let containers = shown.filter_map(|problem| match &problem.subject {
        Subject::Container(key) => Some(key.clone()),
        Subject::Host(_) | Subject::Run(_) | Subject::Group(_) => None,
    });
    let containers: Vec<ContainerKey> = containers.collect();
    let mut effects = said::settle(model, &containers);
    if model.focus != PaneId::Problems {
        return effects;
    }
    for key in containers {
        let subject = Subject::Container(key.clone());
        if !model.problems.inspected.contains(&subject) && is_unexplained(model, &key) {
            effects.push(ask(model, key));
        }
    }
    effects
}

fn is_unexplained(model: &Model, key: &ContainerKey) -> bool {
    let is_live = model
        .fleet
        .host(&key.host)
        .is_some_and(|host| host.link.is_live());
    let row = model.fleet.row(key);
    is_live
        && row.is_some_and(|row| {
            matches!(
                row.state(),
                State::Exited {
                    code: SIGKILLED,
                    oom: false,
                    ..
                }
            )
        })
}

#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    model.problems.cursor.key().cloned()
}

#[must_use]
pub fn note(model: &Model) -> String {
    model.problems.filter.words().unwrap_or_default()
}

pub fn set_filter(model: &mut Model, text: &str) {
    model.problems.filter = RowFilter::new(text);
    refresh(model);
}

/// Problems that fit.
fn height(model: &Model) -> usize {
    model.height_of(PaneId::Problems) / ROWS_EACH
}

pub fn refresh(model: &mut Model) {
    let list = find::find(model);
    let height = height(model);
    model.problems.list = list;
    let Problems { list, inspected, .. } = &mut model.problems;
    inspected.retain(|subject| list.iter().any(|problem| problem.subject == *subject));
    let subjects = model.problems.subjects();
    model.problems.cursor.arriving(model.fleet.is_arriving());
    model.problems.cursor.settle(&subjects, height);
}

/// The page was entered: the first problem is looked at.
#[must_use]
pub fn entered(model: &mut Model) -> Vec<Effect> {
    inspect(model)
}

//! What is wrong now, worst first, each with since when, the evidence, and a thing to act on.
//! Only what is known to be wrong is here; advice is the doctor's.

mod find;
pub mod view;

use crate::app::cursor::{Cursor, Motion};
use crate::app::filter::RowFilter;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::order::Order;

pub use find::{Gravity, LOOP_STARTS, LOOP_WINDOW, Problem};

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

/// Rows that each problem takes: what, and the evidence.
pub const ROWS_EACH: usize = 2;

#[derive(Debug, Default)]
pub struct Problems {
    pub filter: RowFilter,
    list: Vec<Problem>,
    cursor: Cursor<Subject>,
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

    /// Those that the filter lets through.
    pub(super) fn seen(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter().filter(|problem| {
            let Problem {
                name,
                place,
                what,
                evidence,
                ..
            } = problem;
            self.filter.admits(&[name, place, what, evidence])
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
        Some(Subject::Group(_)) | None => Vec::new(),
    }
}

/// The evidence of the selected container is better with its inspection: asked for once.
fn inspect(model: &mut Model) -> Vec<Effect> {
    match model.problems.cursor.key().cloned() {
        Some(Subject::Container(key)) if model.fleet.row(&key).is_some_and(|row| row.detail.is_none()) => {
            let id = model.next_order();
            model.orders.expect(id, None);
            vec![Effect::Order(id, Order::Inspect(key))]
        }
        _ => Vec::new(),
    }
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
    let subjects = model.problems.subjects();
    model.problems.cursor.arriving(model.fleet.is_arriving());
    model.problems.cursor.settle(&subjects, height);
}

/// The page was entered: the first problem is looked at.
#[must_use]
pub fn entered(model: &mut Model) -> Vec<Effect> {
    inspect(model)
}

//! The table of containers over all hosts: live, filtered, sorted, marked.
//! Keeps the selection by key; actions on rows are in `app::act`.

mod order;
mod shown;
pub mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::app::act::key_of;
use crate::app::cursor::{Cursor, Motion};
use crate::app::filter::RowFilter;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::container::Group;
use crate::domain::ids::{ContainerKey, HostName};

pub use order::SortBy;
pub use shown::Expected;

pub const HINTS: &[Command] = &[
    Command::Logs,
    Command::Shell,
    Command::Inspect,
    Command::Restart,
    Command::Toggle,
    Command::Filter,
    Command::All,
    Command::Mark,
    Command::Sort,
    Command::Columns,
    Command::Deploy,
    Command::GoProblems,
];

/// Rows sorted by a figure are put in order anew no more often than this: nothing jumps while it is read.
const RESORT: Duration = Duration::from_secs(5);

/// Of whom the table tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Group(Group),
    Host(HostName),
}

/// Which columns follow the name and the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColumnSet {
    #[default]
    State,
    Image,
    Traffic,
}

#[derive(Debug, Default)]
pub struct Containers {
    pub filter: RowFilter,
    pub scope: Option<Scope>,
    /// Those that were stopped on purpose are shown too.
    pub all: bool,
    pub sort: SortBy,
    pub reverse: bool,
    pub columns: ColumnSet,
    /// In the order shown.
    rows: Vec<ContainerKey>,
    /// Left out because they were stopped on purpose.
    hidden: usize,
    marks: BTreeSet<ContainerKey>,
    cursor: Cursor<ContainerKey>,
    sorted: Option<Duration>,
}

impl Containers {
    #[must_use]
    pub fn marked(&self) -> Vec<ContainerKey> {
        self.marks.iter().cloned().collect()
    }

    pub fn unmark_all(&mut self) {
        self.marks.clear();
    }

    #[must_use]
    pub fn is_marked(&self, key: &ContainerKey) -> bool {
        self.marks.contains(key)
    }

    #[must_use]
    pub fn rows(&self) -> &[ContainerKey] {
        &self.rows
    }

    #[must_use]
    pub fn cursor(&self) -> &Cursor<ContainerKey> {
        &self.cursor
    }

    /// The next refresh puts everything in order.
    fn resort(&mut self) {
        self.sorted = None;
    }
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    let height = height(model);
    if let Some(motion) = Motion::of(command) {
        let pane = &mut model.containers;
        pane.cursor.step(&pane.rows, height, motion);
        return Vec::new();
    }
    let pane = &mut model.containers;
    match command {
        Command::Open => return crate::panes::detail::open(model),
        Command::Mark => {
            if let Some(key) = pane.cursor.key().cloned() {
                if !pane.marks.remove(&key) {
                    pane.marks.insert(key);
                }
                pane.cursor.step(&pane.rows, height, Motion::Down);
            }
        }
        Command::All => pane.all = !pane.all,
        Command::Columns => {
            pane.columns = match pane.columns {
                ColumnSet::State => ColumnSet::Image,
                ColumnSet::Image => ColumnSet::Traffic,
                ColumnSet::Traffic => ColumnSet::State,
            }
        }
        Command::Sort => {
            pane.sort = pane.sort.next();
            pane.reverse = false;
            pane.resort();
        }
        Command::SortReverse => {
            pane.reverse = !pane.reverse;
            pane.resort();
        }
        _ => {}
    }
    refresh(model);
    Vec::new()
}

/// Shows only these, from the first one on.
pub fn show(model: &mut Model, scope: Scope) {
    if model.containers.scope.as_ref() != Some(&scope) {
        model.containers.scope = Some(scope);
        model.containers.cursor = Cursor::default();
        model.containers.resort();
    }
    refresh(model);
}

#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    model.containers.cursor.key().cloned().map(Subject::Container)
}

#[must_use]
pub fn note(model: &Model) -> String {
    let pane = &model.containers;
    let mut words = Vec::new();
    match &pane.scope {
        Some(Scope::Group(group)) => words.push(group.to_string()),
        Some(Scope::Host(host)) => words.push(format!("on {host}")),
        None => {}
    }
    if !pane.marks.is_empty() {
        words.push(format!("{} marked", pane.marks.len()));
    }
    words.extend(pane.filter.words());
    if pane.sort != SortBy::Name || pane.reverse {
        let direction = if pane.reverse { "↑" } else { "↓" };
        words.push(format!("sort: {} {direction}", pane.sort.word()));
    }
    if pane.hidden > 0 {
        words.push(format!("{} stopped hidden", pane.hidden));
    }
    words.join("  ")
}

pub fn set_filter(model: &mut Model, text: &str) {
    model.containers.filter = RowFilter::new(text);
    model.containers.resort();
    refresh(model);
}

pub fn clear(model: &mut Model) -> bool {
    let pane = &mut model.containers;
    let cleared = if !pane.marks.is_empty() {
        pane.marks.clear();
        true
    } else if !pane.filter.text().is_empty() {
        pane.filter = RowFilter::default();
        true
    } else if pane.scope.is_some() && model.trail.last() != Some(&PaneId::Services) {
        model.containers.scope = None;
        true
    } else {
        false
    };
    model.containers.resort();
    refresh(model);
    cleared
}

/// By its number the table tells of the whole fleet; side by side with the services it stays with the selected one.
#[must_use]
pub fn entered(model: &mut Model) -> Vec<Effect> {
    if !model.in_room() {
        model.containers.scope = None;
    }
    model.containers.resort();
    refresh(model);
    Vec::new()
}

/// Rows wanted in the room, header included.
#[must_use]
pub fn wanted_height(model: &Model) -> u16 {
    u16::try_from(model.containers.rows.len() + 1).unwrap_or(u16::MAX)
}

/// Rows below the header.
fn height(model: &Model) -> usize {
    model.height_of(PaneId::Containers).saturating_sub(1)
}

pub fn refresh(model: &mut Model) {
    let (keys, hidden) = shown::shown(model);
    let now = model.now.uptime;
    let due = model
        .containers
        .sorted
        .is_none_or(|sorted| now >= sorted + RESORT);
    let before: BTreeSet<&ContainerKey> = model.containers.rows.iter().collect();
    let same = before.len() == keys.len() && keys.iter().all(|key| before.contains(key));
    if !same || (due && model.containers.sort.is_figure()) || model.containers.sorted.is_none() {
        let rows = order::sorted(model, keys);
        model.containers.rows = rows;
        model.containers.sorted = Some(now);
    }
    model.containers.hidden = hidden;
    let fleet = &model.fleet;
    model.containers.marks.retain(|key| fleet.row(key).is_some());
    let is_arriving = fleet.is_arriving();
    let height = height(model);
    let pane = &mut model.containers;
    pane.cursor.arriving(is_arriving);
    pane.cursor.settle(&pane.rows, height);
}

/// The rows in the window, where their figures are drawn or put them in order.
#[must_use]
pub fn on_screen(model: &Model) -> Vec<ContainerKey> {
    let pane = &model.containers;
    if !pane.sort.is_figure() && !view::has_figures(model, model.width_of(PaneId::Containers)) {
        return Vec::new();
    }
    let running = |key: &&ContainerKey| {
        model
            .fleet
            .row(key)
            .is_some_and(|row| row.container.state.is_running())
    };
    let window = pane.rows.iter().skip(pane.cursor.top()).take(height(model));
    window.filter(running).cloned().collect()
}

/// Every container of a group, in the fleet's order; housekeeping left out.
#[must_use]
pub fn of_group(model: &Model, group: &Group) -> Vec<ContainerKey> {
    model
        .fleet
        .rows()
        .filter(|(_, row)| !row.container.is_housekeeping() && row.container.group() == *group)
        .map(|(host, row)| key_of(host, row))
        .collect()
}

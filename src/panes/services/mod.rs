//! The services: those of the configuration and those found by labels, problems first.
//! The first page; with several panes, its selection determines the others.

mod gather;
pub mod view;

use std::collections::BTreeMap;

use crate::app::cursor::{Cursor, Motion};
use crate::app::filter::RowFilter;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::container::{Container, Group};
use crate::domain::ids::ContainerKey;
use crate::panes::containers::{self, Scope};
use crate::release::standing::{Judged, Part};

pub use gather::{Elsewhere, Figure, Going, ServiceRow};

pub const HINTS: &[Command] = &[
    Command::Build,
    Command::Test,
    Command::Deploy,
    Command::Rollback,
    Command::Promote,
    Command::Cancel,
    Command::Logs,
    Command::Open,
    Command::Filter,
    Command::GoContainers,
    Command::GoProblems,
    Command::Palette,
    Command::Push,
    Command::Pipeline,
];

#[derive(Debug, Default)]
pub struct Services {
    pub filter: RowFilter,
    rows: Vec<ServiceRow>,
    /// Columns of the longest name, whatever the filter: a pane must not change its width with it.
    widest: usize,
    /// Of every service, whatever the filter.
    standings: BTreeMap<Group, Judged>,
    cursor: Cursor<Group>,
}

impl Services {
    #[must_use]
    pub fn rows(&self) -> &[ServiceRow] {
        &self.rows
    }

    /// What the hosts tell of each service.
    #[must_use]
    pub fn standings(&self) -> &BTreeMap<Group, Judged> {
        &self.standings
    }

    /// What a container is to its service; nothing on hosts that are not reached.
    #[must_use]
    pub fn part(&self, container: &Container) -> Option<Part> {
        let judged = self.standings.get(&container.group())?;
        judged.parts.get(&container.id).copied()
    }

    #[must_use]
    pub fn cursor(&self) -> &Cursor<Group> {
        &self.cursor
    }

    /// The selected service.
    #[must_use]
    pub fn selected(&self) -> Option<&ServiceRow> {
        let group = self.cursor.key()?;
        self.rows.iter().find(|row| row.group == *group)
    }

    /// Columns of the longest name of all.
    #[must_use]
    pub fn widest(&self) -> usize {
        self.widest
    }

    fn groups(&self) -> Vec<Group> {
        self.rows.iter().map(|row| row.group.clone()).collect()
    }
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    if let Some(motion) = Motion::of(command) {
        let height = height(model);
        let groups = model.services.groups();
        model.services.cursor.step(&groups, height, motion);
        follow(model);
    } else if command == Command::Open
        && let Some(group) = model.services.cursor.key().cloned()
    {
        model.go(PaneId::Containers);
        containers::show(model, Scope::Group(group));
    } else if command == Command::All {
        model.containers.all = !model.containers.all;
        refresh(model);
        containers::refresh(model);
    }
    Vec::new()
}

/// Is there a service, or an environment of one, of that name in the configuration?
#[must_use]
pub fn is_configured(model: &Model, group: &Group) -> bool {
    let Group::Service { name, environment } = group else {
        return false;
    };
    let mut services = model.setup.config.services.iter();
    services.any(|service| service.name == *name && service.place(environment.as_deref()).is_some())
}

/// A run of it is looked at: what else is shown beside it is of the same service.
pub fn select(model: &mut Model, group: &Group) {
    if model.services.groups().contains(group) {
        model.services.cursor.select(group.clone());
        refresh(model);
        if model.in_room() {
            containers::show(model, Scope::Group(group.clone()));
        }
    }
}

/// In the room the containers shown are the selected service's.
fn follow(model: &mut Model) {
    if model.focus == PaneId::Services
        && model.in_room()
        && let Some(group) = model.services.cursor.key().cloned()
    {
        containers::show(model, Scope::Group(group));
    }
}

#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    model.services.cursor.key().cloned().map(Subject::Group)
}

#[must_use]
pub fn note(model: &Model) -> String {
    model.services.filter.words().unwrap_or_default()
}

pub fn set_filter(model: &mut Model, text: &str) {
    model.services.filter = RowFilter::new(text);
    refresh(model);
    // What is called so is meant before what has it elsewhere in its row.
    let pane = &model.services;
    let is_called = |row: &&ServiceRow| pane.filter.admits(&[&row.group.to_string()]);
    let is_meant = pane.filter.is_empty() || pane.selected().as_ref().is_none_or(is_called);
    if let (false, Some(row)) = (is_meant, pane.rows.iter().find(is_called)) {
        let group = row.group.clone();
        model.services.cursor.select(group);
        refresh(model);
    }
}

/// Rows below the header.
fn height(model: &Model) -> usize {
    model.height_of(PaneId::Services).saturating_sub(1)
}

pub fn refresh(model: &mut Model) {
    model.services.standings = gather::standings(model);
    let (rows, widest) = gather::gather(model);
    model.services.rows = rows;
    model.services.widest = widest;
    let height = height(model);
    let groups = model.services.groups();
    model.services.cursor.arriving(model.fleet.is_arriving());
    // Where it can be built, deployed, rolled back.
    let rows = &model.services.rows;
    let configured = rows.iter().find(|row| is_configured(model, &row.group));
    if let Some(group) = configured.map(|row| row.group.clone()) {
        model.services.cursor.land(group);
    }
    model.services.cursor.settle(&groups, height);
    follow(model);
}

/// Statistics for the services seen are asked for as far as a screen's worth of containers goes, the selected one first;
/// beside other panes there is no room for figures, and none are asked for.
#[must_use]
pub fn on_screen(model: &Model) -> Vec<ContainerKey> {
    if !view::has_figures(model, model.width_of(PaneId::Services)) {
        return Vec::new();
    }
    let pane = &model.services;
    let height = height(model);
    let budget = height.max(8);
    let seen = pane.rows.iter().skip(pane.cursor.top()).take(height);
    let selected = pane.selected();
    let others = seen.filter(|row| selected.is_none_or(|selected| selected.group != row.group));
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    for row in selected.into_iter().chain(others) {
        if whole.len() + row.running.len() <= budget {
            whole.extend(row.running.iter().cloned());
        } else {
            parts.push(&row.running);
        }
    }
    // What is left goes to those that do not fit whole, one container of each in turn: a part says more than nothing.
    let most = parts.iter().map(|running| running.len()).max().unwrap_or(0);
    let in_turn = (0..most).flat_map(|turn| parts.iter().filter_map(move |running| running.get(turn)));
    let left = budget.saturating_sub(whole.len());
    whole.extend(in_turn.take(left).cloned());
    whole
}

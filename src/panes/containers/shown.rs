//! Which containers are rows of the table; containers stopped on purpose are hidden.
//! Decides from the fleet alone.

use std::collections::BTreeMap;

use super::Scope;
use crate::app::Model;
use crate::app::act::key_of;
use crate::domain::container::{Container, Group, State, is_clean_exit};
use crate::domain::fleet::Row;
use crate::domain::host::Link;
use crate::domain::ids::{ContainerKey, HostName, ReleaseNumber};
use crate::release::standing::{Judged, Part};

/// The rows, in the fleet's order, and how many were left out because they were stopped on purpose.
pub(super) fn shown(model: &Model) -> (Vec<ContainerKey>, usize) {
    let pane = &model.containers;
    let expected = Expected::of(model);
    let mut keys = Vec::new();
    let mut hidden = 0;
    for (host, row) in model.fleet.rows() {
        let container = &row.container;
        let ours = pane.all || !container.is_housekeeping();
        if !ours
            || !in_scope(pane.scope.as_ref(), host, container)
            || !pane.filter.admits_container(host, container)
        {
            continue;
        }
        let marked = pane.marks.contains(&key_of(host, row));
        if !pane.all && !marked && expected.has_stopped(host, row) {
            hidden += 1;
            continue;
        }
        keys.push(key_of(host, row));
    }
    (keys, hidden)
}

/// What the hosts tell of releases, as far as it says whose end is no news.
pub struct Expected<'a> {
    standings: &'a BTreeMap<Group, Judged>,
    /// On hosts that are not reached nothing is judged: the release that was last seen to run there, or the newest.
    stale: BTreeMap<(&'a HostName, Group), (bool, ReleaseNumber)>,
}

impl<'a> Expected<'a> {
    #[must_use]
    pub fn of(model: &'a Model) -> Self {
        let mut stale = BTreeMap::new();
        for (host, entry) in model.fleet.hosts() {
            if matches!(entry.link, Link::Live { .. }) {
                continue;
            }
            for container in entry.rows().map(|row| &row.container) {
                if let Some(release) = container.release() {
                    let seen = (container.state.is_running(), release);
                    let last = stale.entry((host, container.group())).or_insert(seen);
                    *last = seen.max(*last);
                }
            }
        }
        Self {
            standings: model.services.standings(),
            stale,
        }
    }

    /// Stopped without an error, by somebody, or an earlier release of its service: no news.
    #[must_use]
    pub fn has_stopped(&self, host: &HostName, row: &Row) -> bool {
        match row.container.state {
            State::Created => true,
            State::Exited { code, oom, .. } => is_clean_exit(code) || (!oom && self.is_put_away(host, row)),
            State::Running { .. }
            | State::Paused { .. }
            | State::Restarting { .. }
            | State::Removing
            | State::Dead => false,
        }
    }

    /// A replica that a release has replaced, or is about to; or one of the present release that somebody stopped.
    fn is_put_away(&self, host: &HostName, row: &Row) -> bool {
        let container = &row.container;
        let Some(release) = container.release() else {
            return false;
        };
        let group = container.group();
        let judged = self.standings.get(&group);
        match judged.and_then(|judged| judged.parts.get(&container.id)) {
            Some(Part::Retained | Part::Candidate | Part::Orphan | Part::Revived) => true,
            Some(Part::Active | Part::Failed) => row.was_stopped(),
            None => self
                .stale
                .get(&(host, group))
                .is_some_and(|(_, current)| *current != release),
        }
    }
}

fn in_scope(scope: Option<&Scope>, host: &HostName, container: &Container) -> bool {
    match scope {
        None => true,
        Some(Scope::Host(wanted)) => wanted == host,
        Some(Scope::Group(group)) => container.group() == *group,
    }
}

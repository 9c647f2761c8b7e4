//! Which containers are rows of the table, and which were stopped on purpose and stay out of the way.
//! Decides from the fleet alone.

use std::collections::BTreeSet;

use super::Scope;
use crate::app::Model;
use crate::app::act::key_of;
use crate::domain::container::{Container, Group, State};
use crate::domain::ids::{ContainerKey, HostName};
use crate::panes::services::name_of;

/// The rows, in the fleet's order, and how many were left out because they were stopped on purpose.
pub(super) fn shown(model: &Model) -> (Vec<ContainerKey>, usize) {
    let pane = &model.containers;
    let running = running_groups(model);
    let mut keys = Vec::new();
    let mut hidden = 0;
    for (host, row) in model.fleet.rows() {
        let container = &row.container;
        let ours = pane.all || !container.is_housekeeping();
        if !ours || !in_scope(pane.scope.as_ref(), host, container) || !admitted(model, host, container) {
            continue;
        }
        let marked = pane.marks.contains(&key_of(host, row));
        if !pane.all && !marked && is_expected_stop(container, &running) {
            hidden += 1;
            continue;
        }
        keys.push(key_of(host, row));
    }
    (keys, hidden)
}

/// Groups that have a running container.
#[must_use]
pub fn running_groups(model: &Model) -> BTreeSet<Group> {
    model
        .fleet
        .rows()
        .filter(|(_, row)| row.container.state.is_running())
        .map(|(_, row)| row.container.group())
        .collect()
}

/// Stopped without an error, by somebody, or an earlier release of a service that runs: no news.
#[must_use]
pub fn is_expected_stop(container: &Container, running: &BTreeSet<Group>) -> bool {
    match container.state {
        State::Created => true,
        State::Exited { code, oom, .. } => {
            let asked = matches!(code, 0 | 130 | 143);
            !oom && (asked || (container.release().is_some() && running.contains(&container.group())))
        }
        State::Running { .. }
        | State::Paused { .. }
        | State::Restarting { .. }
        | State::Removing
        | State::Dead => false,
    }
}

fn in_scope(scope: Option<&Scope>, host: &HostName, container: &Container) -> bool {
    match scope {
        None => true,
        Some(Scope::Host(wanted)) => wanted == host,
        Some(Scope::Group(group)) => container.group() == *group,
    }
}

fn admitted(model: &Model, host: &HostName, container: &Container) -> bool {
    let filter = &model.containers.filter;
    if filter.is_empty() {
        return true;
    }
    let group = match container.group() {
        Group::None => String::new(),
        group => name_of(&group),
    };
    filter.admits(&[
        &container.name,
        host.as_str(),
        container.state.word(),
        &container.image,
        &group,
        container.id.short(),
        match container.health {
            crate::domain::container::Health::Unchecked => "",
            crate::domain::container::Health::Starting => "starting",
            crate::domain::container::Health::Healthy => "healthy",
            crate::domain::container::Health::Unhealthy => "unhealthy",
        },
    ])
}

//! The panes, one folder each: state and keys in `mod.rs`, drawing in `view.rs`.
//! This file only dispatches: every function is one `match` over `PaneId`.

pub mod page;
pub mod services;
pub mod containers;
pub mod problems;
pub mod logs;
pub mod hosts;
pub mod pipeline;
pub mod runs;
pub mod detail;
pub mod plan;

use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::event::HostEvent;
use crate::domain::ids::{ContainerKey, HostName};
use crate::domain::run::RunView;

/// A command that is the focused pane's own: motions, opening, its switches.
#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    if matches!(command, Command::Left | Command::Right)
        && let Some(words) = no_sides(model.focus)
    {
        model.say(words);
        return Vec::new();
    }
    match model.focus {
        PaneId::Services => services::command(model, command),
        PaneId::Containers => containers::command(model, command),
        PaneId::Problems => problems::command(model, command),
        PaneId::Logs => logs::command(model, command),
        PaneId::Hosts => hosts::command(model, command),
        PaneId::Pipeline => pipeline::command(model, command),
        PaneId::Runs => runs::command(model, command),
        PaneId::Detail => detail::command(model, command),
        PaneId::Plan => plan::command(model, command),
    }
}

/// Why one can't go to the left or the right there.
fn no_sides(pane: PaneId) -> Option<&'static str> {
    match pane {
        PaneId::Logs | PaneId::Pipeline => None,
        PaneId::Containers => Some("c shows other columns"),
        PaneId::Runs => Some("Enter shows all of a run"),
        PaneId::Services | PaneId::Problems | PaneId::Hosts | PaneId::Detail | PaneId::Plan => {
            Some("nothing more on this side")
        }
    }
}

/// What is selected there.
#[must_use]
pub fn subject(model: &Model, pane: PaneId) -> Option<Subject> {
    match pane {
        PaneId::Services => services::subject(model),
        PaneId::Containers => containers::subject(model),
        PaneId::Problems => problems::subject(model),
        PaneId::Logs => logs::subject(model),
        PaneId::Hosts => hosts::subject(model),
        PaneId::Pipeline => pipeline::subject(model),
        PaneId::Runs => runs::subject(model),
        PaneId::Detail => detail::subject(model),
        PaneId::Plan => plan::subject(model),
    }
}

/// What to name in the key line, most wanted first; those that cannot be done now are left out there.
#[must_use]
pub fn hints(pane: PaneId) -> &'static [Command] {
    match pane {
        PaneId::Services => services::HINTS,
        PaneId::Containers => containers::HINTS,
        PaneId::Problems => problems::HINTS,
        PaneId::Logs => logs::HINTS,
        PaneId::Hosts => hosts::HINTS,
        PaneId::Pipeline => pipeline::HINTS,
        PaneId::Runs => runs::HINTS,
        PaneId::Detail => detail::HINTS,
        PaneId::Plan => plan::HINTS,
    }
}

/// Words for the right of the pane's title (or of the status line when it is alone): `filter: shop`, `sort: cpu ↓`.
#[must_use]
pub fn note(model: &Model, pane: PaneId) -> String {
    match pane {
        PaneId::Services => services::note(model),
        PaneId::Containers => containers::note(model),
        PaneId::Problems => problems::note(model),
        PaneId::Logs => logs::note(model),
        PaneId::Hosts => hosts::note(model),
        PaneId::Pipeline => pipeline::note(model),
        PaneId::Runs => runs::note(model),
        PaneId::Detail => detail::note(model),
        PaneId::Plan => plan::note(model),
    }
}

/// The present filter or search.
#[must_use]
pub fn filter(model: &Model, pane: PaneId) -> String {
    match pane {
        PaneId::Services => model.services.filter.text().to_owned(),
        PaneId::Containers => model.containers.filter.text().to_owned(),
        PaneId::Logs => logs::search(model),
        PaneId::Detail => detail::search(model),
        PaneId::Runs => model.run_list.filter.text().to_owned(),
        PaneId::Problems => model.problems.filter.text().to_owned(),
        PaneId::Hosts => model.hosts.filter.text().to_owned(),
        PaneId::Pipeline | PaneId::Plan => String::new(),
    }
}

/// Can its rows be filtered, or its text be searched?
#[must_use]
pub fn has_filter(pane: PaneId) -> bool {
    match pane {
        PaneId::Services
        | PaneId::Containers
        | PaneId::Problems
        | PaneId::Logs
        | PaneId::Hosts
        | PaneId::Detail
        | PaneId::Runs => true,
        PaneId::Pipeline | PaneId::Plan => false,
    }
}

/// Are there matches to go to?
#[must_use]
pub fn is_searching(model: &Model) -> bool {
    match model.focus {
        PaneId::Logs => model.logs.patterns().highlight().is_some(),
        PaneId::Detail => model.detail.reader().pattern().is_some(),
        PaneId::Services
        | PaneId::Containers
        | PaneId::Runs
        | PaneId::Problems
        | PaneId::Hosts
        | PaneId::Pipeline
        | PaneId::Plan => false,
    }
}

/// Why what is typed there is no pattern, if it is none.
#[must_use]
pub fn bad_pattern(model: &Model, pane: PaneId) -> Option<&str> {
    match pane {
        PaneId::Logs => model.logs.patterns().bad(),
        PaneId::Detail => model.detail.reader().bad(),
        PaneId::Services
        | PaneId::Containers
        | PaneId::Runs
        | PaneId::Problems
        | PaneId::Hosts
        | PaneId::Pipeline
        | PaneId::Plan => None,
    }
}

/// Called with every key typed into it.
pub fn set_filter(model: &mut Model, pane: PaneId, text: &str) {
    match pane {
        PaneId::Services => services::set_filter(model, text),
        PaneId::Containers => containers::set_filter(model, text),
        PaneId::Logs => logs::set_search(model, text),
        PaneId::Detail => detail::set_search(model, text),
        PaneId::Runs => runs::set_filter(model, text),
        PaneId::Problems => problems::set_filter(model, text),
        PaneId::Hosts => hosts::set_filter(model, text),
        PaneId::Pipeline | PaneId::Plan => {}
    }
}

/// `Enter` in the filter or search.
pub fn filter_entered(model: &mut Model, pane: PaneId) {
    match pane {
        PaneId::Logs => logs::search_entered(model),
        PaneId::Detail => detail::search_entered(model),
        PaneId::Services
        | PaneId::Containers
        | PaneId::Runs
        | PaneId::Problems
        | PaneId::Hosts
        | PaneId::Pipeline
        | PaneId::Plan => {}
    }
}

/// `Esc`: clears what is nearest (marks, a filter, a scope). False when there is nothing to clear.
pub fn clear(model: &mut Model) -> bool {
    match model.focus {
        PaneId::Containers => containers::clear(model),
        PaneId::Logs => logs::clear(model),
        PaneId::Detail => detail::clear(model),
        PaneId::Pipeline => pipeline::clear(model),
        PaneId::Services | PaneId::Problems | PaneId::Hosts | PaneId::Runs => {
            let filtered = !filter(model, model.focus).is_empty();
            if filtered {
                set_filter(model, model.focus, "");
            }
            filtered
        }
        PaneId::Plan => false,
    }
}

/// The focus has come here by a number key or `Tab`.
#[must_use]
pub fn entered(model: &mut Model, pane: PaneId) -> Vec<Effect> {
    match pane {
        PaneId::Logs => logs::entered(model),
        PaneId::Containers => containers::entered(model),
        PaneId::Problems => problems::entered(model),
        PaneId::Services => {
            services::refresh(model);
            Vec::new()
        }
        PaneId::Hosts | PaneId::Pipeline | PaneId::Runs | PaneId::Detail | PaneId::Plan => Vec::new(),
    }
}

/// `Esc` has left this pane.
#[must_use]
pub fn left(model: &mut Model, pane: PaneId) -> Vec<Effect> {
    match pane {
        PaneId::Detail => detail::left(model),
        PaneId::Plan => plan::left(model),
        PaneId::Services
        | PaneId::Containers
        | PaneId::Problems
        | PaneId::Logs
        | PaneId::Hosts
        | PaneId::Pipeline
        | PaneId::Runs => Vec::new(),
    }
}

/// Text that `y` copies.
#[must_use]
pub fn copied(model: &Model) -> String {
    if model.focus == PaneId::Logs {
        return logs::copied(model);
    }
    match model.subject() {
        Some(Subject::Container(key)) => model
            .fleet
            .row(&key)
            .map_or_else(|| key.id.to_string(), |row| row.container.name.to_string()),
        Some(Subject::Group(group)) => group.to_string(),
        Some(Subject::Host(host)) => host.to_string(),
        Some(Subject::Run(run)) => run.to_string(),
        None => String::new(),
    }
}

/// Fleet or runs have changed: rows and selections follow.
pub fn refresh(model: &mut Model) {
    services::refresh(model);
    problems::refresh(model);
    hosts::refresh(model);
    containers::refresh(model);
    runs::refresh(model);
    pipeline::refresh(model);
}

/// Once a second.
#[must_use]
pub fn tick(model: &mut Model) -> Vec<Effect> {
    let mut effects = logs::tick(model);
    effects.extend(detail::tick(model));
    effects
}

/// A fact about a host is about to be applied.
#[must_use]
pub fn before_host_event(model: &mut Model, host: &HostName, event: &HostEvent) -> Vec<Effect> {
    let mut effects = logs::host_event(model, host, event);
    effects.extend(detail::host_event(model, host, event));
    effects.extend(hosts::host_event(model, host, event));
    effects
}

/// A run is about to be as `run` says.
#[must_use]
pub fn run_changed(model: &mut Model, run: &RunView) -> Vec<Effect> {
    pipeline::run_changed(model, run)
}

/// Streams of what is looked at begin and go on, those of what nobody sees end.
#[must_use]
pub fn settle(model: &mut Model) -> Vec<Effect> {
    let mut effects = logs::attention::settle(model);
    effects.extend(detail::settle(model));
    effects.extend(problems::settle(model));
    effects
}

/// Containers whose figures are looked at now.
#[must_use]
pub fn on_screen(model: &Model) -> Vec<ContainerKey> {
    let mut keys = Vec::new();
    for slot in model.layout().slots {
        match slot.pane {
            PaneId::Containers => keys.extend(containers::on_screen(model)),
            PaneId::Services => keys.extend(services::on_screen(model)),
            PaneId::Detail => keys.extend(detail::on_screen(model)),
            PaneId::Problems
            | PaneId::Logs
            | PaneId::Hosts
            | PaneId::Pipeline
            | PaneId::Runs
            | PaneId::Plan => {}
        }
    }
    keys
}

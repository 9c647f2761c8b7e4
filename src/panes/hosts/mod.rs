//! The hosts: connection, engine, load.
//! Unknown figures are shown with the reason.

pub mod view;

use crate::app::cursor::{Cursor, Motion};
use crate::app::effect::Lend;
use crate::app::filter::RowFilter;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::endpoint::Endpoint;
use crate::domain::event::HostEvent;
use crate::domain::host::Link;
use crate::domain::ids::HostName;
use crate::domain::order::{Access, Order};
use crate::panes::containers::{self, Scope};

pub use view::next_try;

pub const HINTS: &[Command] = &[
    Command::Open,
    Command::Retry,
    Command::Measure,
    Command::Filter,
    Command::GoServices,
    Command::GoContainers,
    Command::GoProblems,
    Command::Palette,
    Command::Back,
];

#[derive(Debug, Default)]
pub struct Hosts {
    pub filter: RowFilter,
    cursor: Cursor<HostName>,
}

impl Hosts {
    #[must_use]
    pub fn cursor(&self) -> &Cursor<HostName> {
        &self.cursor
    }

    pub fn select(&mut self, host: HostName) {
        self.cursor.select(host);
    }
}

/// In the order of the configuration, as far as the filter lets them through.
#[must_use]
pub fn names(model: &Model) -> Vec<HostName> {
    let hosts = model.setup.config.hosts.iter();
    let filter = &model.hosts.filter;
    hosts
        .filter(|host| {
            let is_meant = || {
                filter.admits(&[
                    host.name.as_str(),
                    &host.endpoint.to_string(),
                    &host.tags.join(" "),
                ])
            };
            filter.is_empty() || is_meant()
        })
        .map(|host| host.name.clone())
        .collect()
}

pub fn set_filter(model: &mut Model, text: &str) {
    model.hosts.filter = RowFilter::new(text);
    refresh(model);
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    if let Some(motion) = Motion::of(command) {
        let (names, height) = (names(model), height(model));
        model.hosts.cursor.step(&names, height, motion);
        return Vec::new();
    }
    if command != Command::Open {
        return Vec::new();
    }
    let Some(name) = model.hosts.cursor.key().cloned() else {
        return Vec::new();
    };
    match model.fleet.host(&name).map(|host| host.link.clone()) {
        Some(Link::NeedsPerson { .. }) => {
            let id = model.next_order();
            model.orders.expect(id, None);
            vec![Effect::Lend(id, Lend::Host(name))]
        }
        Some(Link::Lost { .. }) => {
            let id = model.next_order();
            model.say(format!("trying {name} now"));
            vec![Effect::Order(id, Order::Retry(name))]
        }
        Some(Link::Live { .. } | Link::Connecting { .. }) | None => {
            model.go(PaneId::Containers);
            containers::show(model, Scope::Host(name));
            Vec::new()
        }
    }
}

#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    model.hosts.cursor.key().cloned().map(Subject::Host)
}

/// The filter; in the room, where there is no page below the table, else what a dash means.
#[must_use]
pub fn note(model: &Model) -> String {
    if let Some(filter) = model.hosts.filter.words() {
        return filter;
    }
    let in_room = model.slot(PaneId::Hosts).is_some_and(|slot| slot.title.is_some());
    let name = model
        .hosts
        .cursor
        .key()
        .filter(|_| in_room && model.focus == PaneId::Hosts);
    let unknown = name.and_then(|name| unknown(model, name));
    unknown.map_or_else(String::new, |unknown| unknown.short.to_owned())
}

/// Why figures of a host are not there, and what brings them.
pub struct Unknown {
    pub short: &'static str,
    pub why: &'static str,
}

/// Of a live host of which nothing was measured yet.
#[must_use]
pub fn unknown(model: &Model, name: &HostName) -> Option<Unknown> {
    let host = model.fleet.host(name).filter(|host| host.link.is_live())?;
    if host.load.is_some() {
        return None;
    }
    let endpoint = &model.setup.config.host(name)?.endpoint;
    Some(match (endpoint, model.setup.access) {
        (Endpoint::Ssh(_), _) => Unknown {
            short: "being read",
            why: "cpu, memory, disk: reading over ssh",
        },
        (Endpoint::Unix(_) | Endpoint::Tcp { .. }, Access::Full) => Unknown {
            short: "M measures",
            why: "cpu, memory, disk: not in Docker's API; M reads them once in a container",
        },
        (Endpoint::Unix(_) | Endpoint::Tcp { .. }, Access::ReadOnly) => Unknown {
            short: "read-only",
            why: "cpu, memory, disk: not in Docker's API, and --read-only runs no command",
        },
    })
}

/// `M`
#[must_use]
pub fn measure(model: &mut Model) -> Vec<Effect> {
    let Some(Subject::Host(host)) = model.subject() else {
        return Vec::new();
    };
    let id = model.next_order();
    model.say(format!("measuring {host}"));
    vec![Effect::Order(id, Order::Measure(host))]
}

/// In the demo every second host tells its figures by itself, as one reached over ssh does.
#[must_use]
pub fn host_event(model: &mut Model, host: &HostName, event: &HostEvent) -> Vec<Effect> {
    let HostEvent::Engine(_) = event else {
        return Vec::new();
    };
    let mut hosts = model.setup.config.hosts.iter();
    let place = hosts.position(|configured| configured.name == *host);
    let was_asked = model.fleet.host(host).is_some_and(|entry| entry.engine.is_some());
    if !model.setup.demo || was_asked || place.is_none_or(|place| place % 2 == 0) {
        return Vec::new();
    }
    let id = model.next_order();
    vec![Effect::Order(id, Order::Measure(host.clone()))]
}

/// Rows of hosts: beside other panes there are no details below them.
fn height(model: &Model) -> usize {
    let height = model.height_of(PaneId::Hosts).saturating_sub(1);
    if model.slot(PaneId::Hosts).is_some_and(|slot| slot.title.is_some()) {
        height
    } else {
        let body = u16::try_from(height + 1).unwrap_or(u16::MAX);
        height.saturating_sub(usize::from(view::detail_rows(body)))
    }
}

pub fn refresh(model: &mut Model) {
    let (names, height) = (names(model), height(model));
    model.hosts.cursor.settle(&names, height);
}

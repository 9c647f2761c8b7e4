//! The rows of one daemon, reconciled from lists and events by the daemon's own clock.
//! Decides only. State comes from events; an older list never overwrites a newer event.

mod recent;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use recent::{Recent, Seen};

use super::happening::{EngineEvent, Kind};
use super::listing::Listing;
use crate::domain::adoption::{self, Adoption};
use crate::domain::container::{Container, Health, State};
use crate::domain::event::{Happening, HostEvent};
use crate::domain::ids::ContainerId;
use crate::domain::units::Stamp;

/// A list may tell of a state this much older than its own `Date:`: daemons were seen to answer with the state
/// from before an event for 45 ms, and the header is cut to the second.
pub(super) const SLACK: Duration = Duration::from_secs(2);
/// How long a destroyed container is remembered, so that an older list does not restore it.
const GRAVE: Duration = Duration::from_secs(30);

/// Events remembered per container between its first event and the answer about it.
const REMEMBERED: usize = 32;

/// The result of applying a list or an event.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Step {
    /// Facts to report, in this order.
    pub(super) facts: Vec<HostEvent>,
    /// Containers to read again soon: unknown ones, or ones with more changes than the event contained.
    pub(super) refresh: Vec<ContainerId>,
    /// Containers to read again after `SLACK`: list and events disagreed.
    pub(super) settle: Vec<ContainerId>,
}

#[derive(Debug, Default)]
pub(super) struct Inventory {
    rows: HashMap<ContainerId, Row>,
    /// Which of them were adopted.
    adopted: Vec<Adoption>,
    /// Recently destroyed containers, and when.
    gone: HashMap<ContainerId, Stamp>,
    /// When the first list was taken; events cannot be applied before.
    listed: Option<Stamp>,
    /// Events received before the first list of this connection.
    early: Vec<EngineEvent>,
    /// Events of containers that are not known yet; the requested answer may be older than these events.
    strangers: HashMap<ContainerId, Vec<EngineEvent>>,
    /// Recent events, because a stream with `since` repeats some of them.
    recent: Recent,
    part: Part,
}

/// The part of a connection's event stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// Events from before the list may still arrive; recognised by their time.
    #[default]
    Backlog,
    /// All events are new, whatever the daemon's clock says.
    News,
}

#[derive(Debug)]
struct Row {
    container: Container,
    /// The times of the last events about state, health and name.
    state_at: Stamp,
    health_at: Stamp,
    name_at: Stamp,
    /// Whether the kernel killed a process in it since it was started.
    oom: bool,
}

impl Row {
    fn new(container: Container) -> Self {
        Self {
            container,
            state_at: Stamp(0),
            health_at: Stamp(0),
            name_at: Stamp(0),
            oom: false,
        }
    }

    fn last_told(&self) -> Stamp {
        self.state_at.max(self.health_at).max(self.name_at)
    }
}

impl Inventory {
    /// The start time for requesting events without missing any.
    pub(super) fn since(&self) -> Option<Stamp> {
        self.recent.last()
    }

    /// To be called on a new connection: events are held until its first list.
    pub(super) fn reconnecting(&mut self) {
        self.listed = None;
        self.part = Part::Backlog;
    }

    /// To be called when the repeated events are read: later events are new.
    pub(super) fn caught_up(&mut self) {
        self.part = Part::News;
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &ContainerId> {
        self.rows
            .iter()
            .filter(|(_, row)| row.container.state.is_running())
            .map(|(id, _)| id)
    }

    pub(super) fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.rows.get(id).map(|row| &row.container)
    }

    /// Applies a full list. Rows known from events only are kept while the list may be older.
    pub(super) fn list(&mut self, listing: Listing) -> Step {
        let mut step = Step::default();
        let taken = listing.taken;
        if let Some(adopted) = listing.adopted.filter(|adopted| *adopted != self.adopted) {
            step.facts.push(HostEvent::Adopted(adopted.clone()));
            self.adopted = adopted;
        }
        let mut before = std::mem::take(&mut self.rows);
        for mut container in listing.containers {
            adoption::adopt(&self.adopted, &mut container);
            if self
                .gone
                .get(&container.id)
                .is_some_and(|&at| is_newer(at, taken))
            {
                continue;
            }
            let id = container.id.clone();
            let row = before.remove(&id);
            self.rows
                .insert(id, reconcile(row, container, taken, &mut step.settle));
        }
        for (id, row) in before {
            if is_newer(row.last_told(), taken) {
                step.settle.push(id.clone());
                self.rows.insert(id, row);
            }
        }
        self.gone.retain(|_, at| at.until(taken) < GRAVE);
        self.listed = Some(taken);
        let mut met = Vec::new();
        for (id, events) in std::mem::take(&mut self.strangers) {
            if let Some(row) = self.rows.get_mut(&id) {
                met.extend(meet(row, events, taken, &mut step));
            } else if events.iter().any(|event| is_newer(event.at, taken)) {
                self.strangers.insert(id, events);
            }
        }
        step.facts.push(HostEvent::Listed(
            self.rows.values().map(|row| row.container.clone()).collect(),
        ));
        step.facts.extend(met);
        let mut changed = Vec::new();
        for event in std::mem::take(&mut self.early) {
            self.apply(event, &mut step, &mut changed);
        }
        self.tell_changes(&mut step, &changed);
        step
    }

    /// Applies the answer about some containers; missing ones are gone.
    pub(super) fn refreshed(&mut self, asked: &[ContainerId], listing: Listing) -> Step {
        let mut step = Step::default();
        let taken = listing.taken;
        let mut missing: Vec<&ContainerId> = asked.iter().collect();
        for mut container in listing.containers {
            adoption::adopt(&self.adopted, &mut container);
            missing.retain(|id| **id != container.id);
            if self
                .gone
                .get(&container.id)
                .is_some_and(|&at| is_newer(at, taken))
            {
                continue;
            }
            let id = container.id.clone();
            let old = self.rows.remove(&id);
            let was = old.as_ref().map(|row| row.container.clone());
            let mut row = reconcile(old, container, taken, &mut step.settle);
            let met = match self.strangers.remove(&id) {
                Some(events) => meet(&mut row, events, taken, &mut step),
                None => Vec::new(),
            };
            if was.as_ref() != Some(&row.container) {
                step.facts
                    .push(HostEvent::Changed(Box::new(row.container.clone())));
            }
            step.facts.extend(met);
            self.rows.insert(id, row);
        }
        for id in missing {
            self.strangers.remove(id);
            match self.rows.get(id) {
                Some(row) if is_newer(row.last_told(), taken) => step.settle.push(id.clone()),
                Some(_) => {
                    self.rows.remove(id);
                    step.facts.push(HostEvent::Removed(id.clone()));
                }
                None => {}
            }
        }
        step
    }

    /// Applies events in stream order; before the first list they are held.
    pub(super) fn events(&mut self, events: Vec<EngineEvent>) -> Step {
        let mut step = Step::default();
        let mut changed = Vec::new();
        for event in events {
            match self.recent.see(&event) {
                Seen::Again => continue,
                Seen::New => {}
                Seen::SetBack => self.forget_moments(),
            }
            if self.listed.is_none() {
                self.early.push(event);
            } else {
                self.apply(event, &mut step, &mut changed);
            }
        }
        self.tell_changes(&mut step, &changed);
        step
    }

    /// To be called when the daemon's clock was set back: earlier times can no longer be compared.
    fn forget_moments(&mut self) {
        for row in self.rows.values_mut() {
            (row.state_at, row.health_at, row.name_at) = (Stamp(0), Stamp(0), Stamp(0));
        }
    }

    fn apply(&mut self, event: EngineEvent, step: &mut Step, changed: &mut Vec<ContainerId>) {
        if self.rows.contains_key(&event.id) {
            step.facts.push(happened(&event));
        }
        if event.kind == Kind::Destroy {
            self.gone.insert(event.id.clone(), event.at);
            self.strangers.remove(&event.id);
            if self.rows.remove(&event.id).is_some() {
                changed.retain(|id| *id != event.id);
                step.facts.push(HostEvent::Removed(event.id));
            }
            return;
        }
        // However long ago the list was: what comes after it is news.
        if self.listed.is_some_and(|taken| event.at > taken.minus(SLACK)) {
            self.part = Part::News;
        }
        let is_history = self.part == Part::Backlog;
        let Some(row) = self.rows.get_mut(&event.id) else {
            if !is_history && !self.gone.contains_key(&event.id) {
                if !step.refresh.contains(&event.id) {
                    step.refresh.push(event.id.clone());
                }
                let known = self.strangers.entry(event.id.clone()).or_default();
                if known.len() < REMEMBERED {
                    known.push(event);
                }
            }
            return;
        };
        let id = event.id.clone();
        let touched = if is_history {
            recall(row, &event)
        } else {
            advance(row, event, &mut step.refresh)
        };
        if touched && !changed.contains(&id) {
            changed.push(id);
        }
    }

    fn tell_changes(&self, step: &mut Step, changed: &[ContainerId]) {
        let rows = changed.iter().filter_map(|id| self.rows.get(id));
        step.facts
            .extend(rows.map(|row| HostEvent::Changed(Box::new(row.container.clone()))));
    }
}

fn happened(event: &EngineEvent) -> HostEvent {
    HostEvent::Happened(Happening {
        id: event.id.clone(),
        at: event.at,
        what: event.kind.words(),
    })
}

/// Whether an event of this time may be missing in a list taken at `taken`. A time far ahead means the clock was set back.
fn is_newer(event: Stamp, taken: Stamp) -> bool {
    event > taken.minus(SLACK) && event < taken.plus(GRAVE)
}

/// The list's state of a container, unless a newer event contradicts it.
fn reconcile(row: Option<Row>, listed: Container, taken: Stamp, settle: &mut Vec<ContainerId>) -> Row {
    let Some(mut row) = row else {
        return Row::new(listed);
    };
    let known = row.container;
    let mut next = listed;
    if is_newer(row.name_at, taken) {
        next.name = Arc::clone(&known.name);
    }
    if is_newer(row.state_at, taken) {
        if is_refined(&known.state, &next.state) {
            next.state = exact(known.state, next.state, row.oom, taken);
        } else {
            settle.push(next.id.clone());
            next.state = known.state;
            next.ports = known.ports;
        }
    } else {
        next.state = exact(known.state, next.state, row.oom, taken);
    }
    if is_newer(row.health_at, taken) && known.health != next.health {
        settle.push(next.id.clone());
        next.health = known.health;
    }
    row.container = next;
    row
}

/// The first answer about a container that events were seen of: what is newer in them holds, until it is settled.
/// Its own history, to tell once the row is known.
fn meet(row: &mut Row, events: Vec<EngineEvent>, taken: Stamp, step: &mut Step) -> Vec<HostEvent> {
    let said = row.container.state.clone();
    let history = events.iter().map(happened).collect();
    for event in events {
        if is_newer(event.at, taken) {
            advance(row, event, &mut Vec::new());
        }
    }
    if is_refined(&row.container.state, &said) {
        row.container.state = exact(row.container.state.clone(), said, row.oom, taken);
    } else {
        step.settle.push(row.container.id.clone());
    }
    history
}

/// Whether the list agrees with the event, or has a more exact result of it.
fn is_refined(event: &State, listed: &State) -> bool {
    match (event, listed) {
        (State::Running { .. }, State::Running { .. })
        | (State::Paused { .. }, State::Paused { .. })
        | (State::Created, State::Created)
        | (State::Exited { .. }, State::Restarting { .. } | State::Removing | State::Dead)
        | (State::Removing | State::Restarting { .. } | State::Dead, _) => true,
        (State::Exited { code: told, .. }, State::Exited { code, .. }) => told == code,
        (State::Running { .. } | State::Paused { .. } | State::Created | State::Exited { .. }, _) => false,
    }
}

/// The list's state with the exact times already known from events.
fn exact(known: State, listed: State, oom: bool, taken: Stamp) -> State {
    let keep = |told: Option<Stamp>, said: Option<Stamp>| match (told, said) {
        (Some(told), Some(said)) if !is_same_span(told.until(taken), said.until(taken)) => Some(said),
        (told, said) => told.or(said),
    };
    match (known, listed) {
        (State::Running { since: told }, State::Running { since }) => State::Running {
            since: keep(told, since),
        },
        (State::Paused { since: told }, State::Paused { since }) => State::Paused {
            since: keep(told, since),
        },
        (
            State::Exited {
                at: told, code: then, ..
            },
            State::Exited { code, at, .. },
        ) if then == code => State::exited(code, keep(told, at), oom),
        (_, State::Exited { code, at, .. }) => State::exited(code, at, oom),
        (_, listed) => listed,
    }
}

/// Docker rounds durations down: "2 hours" is anything up to three, "About a minute" up to two.
fn is_same_span(told: Duration, said: Duration) -> bool {
    let slack = Duration::from_secs(3);
    said <= told + slack && told <= said * 2 + slack
}

/// An event from before the list only adds exact times and out-of-memory kills.
fn recall(row: &mut Row, event: &EngineEvent) -> bool {
    let oom_before = row.oom;
    match (&event.kind, &mut row.container.state) {
        (Kind::Oom, _) => row.oom = true,
        (Kind::Start, State::Running { since }) => {
            row.oom = false;
            *since = Some(event.at);
            return true;
        }
        (Kind::Start, _) => row.oom = false,
        (Kind::Die { code: Some(told) }, State::Exited { code, .. }) if told == code => {
            row.container.state = State::exited(*told, Some(event.at), row.oom);
            return true;
        }
        _ => {}
    }
    oom_before != row.oom && matches!(row.container.state, State::Exited { .. })
}

/// Applies a new event; returns whether the row changed.
fn advance(row: &mut Row, event: EngineEvent, refresh: &mut Vec<ContainerId>) -> bool {
    let before = row.container.clone();
    let now = event.at;
    let mut ask = || {
        if !refresh.contains(&event.id) {
            refresh.push(event.id.clone());
        }
    };
    match event.kind {
        Kind::Create | Kind::Update => ask(),
        Kind::Start => {
            row.oom = false;
            row.state_at = now;
            row.container.state = State::Running { since: Some(now) };
            if row.container.health != Health::Unchecked {
                row.container.health = Health::Starting;
            }
            // Its ports, and whether it is checked.
            ask();
        }
        Kind::Die { code } => {
            row.state_at = now;
            row.container.state = State::exited(code.unwrap_or(0), Some(now), row.oom);
            row.container.ports.retain(|port| port.published.is_none());
            row.container.health = Health::Unchecked;
            // Its restart policy may be about to start it again.
            ask();
        }
        Kind::Oom => row.oom = true,
        Kind::Pause => {
            row.state_at = now;
            let since = match row.container.state {
                State::Running { since } | State::Paused { since } => since,
                _ => None,
            };
            row.container.state = State::Paused { since };
        }
        Kind::Unpause => {
            row.state_at = now;
            let since = match row.container.state {
                State::Running { since } | State::Paused { since } => since,
                _ => None,
            };
            row.container.state = State::Running { since };
        }
        Kind::Rename { to } => {
            row.name_at = now;
            row.container.name = to.into();
        }
        Kind::Health(health) => {
            row.health_at = now;
            row.container.health = health;
        }
        Kind::Restart | Kind::Stop | Kind::Kill { .. } | Kind::Destroy => {}
    }
    before != row.container
}

#[cfg(test)]
mod tests;

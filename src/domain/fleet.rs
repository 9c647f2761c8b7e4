//! The whole fleet as it is known now: every host with its rows, kept by applying facts.
//! Rows of a lost host stay; nothing here decides what that means.

use std::collections::BTreeMap;

use super::adoption::Adoption;
use super::container::{Container, Health, State};
use super::detail::Detail;
use super::event::{Happening, HostEvent};
use super::host::{Engine, HostLoad, Link};
use super::ids::{ContainerId, ContainerKey, HostName};
use super::sample::{History, Sample};
use super::units::Stamp;

/// What a container's own page shows as "what led to it".
const HAPPENINGS_KEPT: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct Fleet {
    hosts: BTreeMap<HostName, HostEntry>,
}

#[derive(Clone, Debug)]
pub struct HostEntry {
    pub link: Link,
    /// Absent until it was reached once.
    pub engine: Option<Engine>,
    /// The last that is known; stale while the link is not live.
    pub load: Option<HostLoad>,
    /// Has it been listed at least once? Before that "no containers" would be a guess.
    pub listed: bool,
    /// Containers that were adopted there, gone ones among them.
    pub adopted: Vec<Adoption>,
    rows: BTreeMap<ContainerId, Row>,
}

/// A container with what came in about it besides the list.
#[derive(Clone, Debug)]
pub struct Row {
    pub container: Container,
    pub history: History,
    /// From the last inspection, if anybody looked.
    pub detail: Option<Box<Detail>>,
    /// Oldest first, at most 64.
    pub happenings: Vec<Happening>,
}

impl Fleet {
    #[must_use]
    pub fn new(hosts: impl IntoIterator<Item = HostName>, now: Stamp) -> Self {
        let entry = |name| (name, HostEntry::new(Link::Connecting { since: now }));
        Self {
            hosts: hosts.into_iter().map(entry).collect(),
        }
    }

    /// The only way in. Facts about hosts or rows that are not here are of no consequence: they were removed meanwhile.
    pub fn apply(&mut self, host: &HostName, event: HostEvent) {
        if let Some(entry) = self.hosts.get_mut(host) {
            entry.apply(event);
        }
    }

    #[must_use]
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = (&HostName, &HostEntry)> {
        self.hosts.iter()
    }

    #[must_use]
    pub fn host(&self, name: &HostName) -> Option<&HostEntry> {
        self.hosts.get(name)
    }

    #[must_use]
    pub fn row(&self, key: &ContainerKey) -> Option<&Row> {
        self.hosts.get(&key.host)?.rows.get(&key.id)
    }

    /// Has a host yet to answer for the first time, for better or worse?
    #[must_use]
    pub fn is_arriving(&self) -> bool {
        let is_awaited = |host: &HostEntry| match host.link {
            Link::Connecting { .. } | Link::Live { .. } => !host.listed,
            Link::Lost { .. } | Link::NeedsPerson { .. } => false,
        };
        self.hosts.values().any(is_awaited)
    }

    /// All rows of all hosts, hosts by name, rows by id.
    pub fn rows(&self) -> impl Iterator<Item = (&HostName, &Row)> {
        self.hosts
            .iter()
            .flat_map(|(name, entry)| entry.rows.values().map(move |row| (name, row)))
    }
}

impl HostEntry {
    fn new(link: Link) -> Self {
        Self {
            link,
            engine: None,
            load: None,
            listed: false,
            adopted: Vec::new(),
            rows: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Row> {
        self.rows.values()
    }

    fn apply(&mut self, event: HostEvent) {
        match event {
            HostEvent::Link(link) => self.link = link,
            HostEvent::Engine(engine) => self.engine = Some(*engine),
            HostEvent::Load(load) => self.load = Some(load),
            HostEvent::Listed(containers) => self.replace(containers),
            HostEvent::Changed(container) => self.upsert(*container),
            HostEvent::Removed(id) => drop(self.rows.remove(&id)),
            HostEvent::Adopted(adopted) => self.adopted = adopted,
            HostEvent::Samples(samples) => samples
                .into_iter()
                .for_each(|(id, sample)| self.sample(&id, sample)),
            HostEvent::Inspected(detail) => self.inspected(detail),
            HostEvent::Happened(happening) => self.happened(happening),
        }
    }

    fn replace(&mut self, containers: Vec<Container>) {
        let mut before = std::mem::take(&mut self.rows);
        for container in containers {
            let row = match before.remove(&container.id) {
                Some(row) => Row { container, ..row },
                None => Row::new(container),
            };
            self.rows.insert(row.container.id.clone(), row);
        }
        self.listed = true;
    }

    fn upsert(&mut self, container: Container) {
        match self.rows.get_mut(&container.id) {
            Some(row) => row.container = container,
            None => drop(self.rows.insert(container.id.clone(), Row::new(container))),
        }
    }

    fn sample(&mut self, id: &ContainerId, sample: Sample) {
        if let Some(row) = self.rows.get_mut(id) {
            row.history.push(sample);
        }
    }

    fn inspected(&mut self, detail: Box<Detail>) {
        if let Some(row) = self.rows.get_mut(&detail.id) {
            row.detail = Some(detail);
        }
    }

    fn happened(&mut self, happening: Happening) {
        if let Some(row) = self.rows.get_mut(&happening.id) {
            if row.happenings.len() == HAPPENINGS_KEPT {
                row.happenings.remove(0);
            }
            row.happenings.push(happening);
        }
    }
}

impl Row {
    fn new(container: Container) -> Self {
        Self {
            container,
            history: History::default(),
            detail: None,
            happenings: Vec::new(),
        }
    }

    /// How often it was started again within `window` before `now`, by its own history.
    #[must_use]
    pub fn restarts_since(&self, since: Stamp) -> usize {
        self.happenings
            .iter()
            .filter(|happening| happening.at >= since && happening.what == "start")
            .count()
            .saturating_sub(1)
    }

    #[must_use]
    pub fn is_unwell(&self) -> bool {
        match self.container.state {
            State::Restarting { .. } | State::Dead => true,
            State::Exited { code, oom, .. } => code != 0 || oom,
            State::Created | State::Running { .. } | State::Paused { .. } | State::Removing => {
                self.container.health == Health::Unhealthy
            }
        }
    }
}

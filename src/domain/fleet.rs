//! The current state of the whole fleet: every host with its rows, updated by applying facts.
//! Rows of a lost host stay; what that means is decided elsewhere.

use std::collections::BTreeMap;
use std::time::Duration;

use super::adoption::Adoption;
use super::container::{Container, Health, State, is_clean_exit};
use super::detail::Detail;
use super::event::{Happening, HostEvent};
use super::host::{Engine, HostLoad, Link};
use super::ids::{ContainerId, ContainerKey, HostName};
use super::sample::{History, Sample};
use super::units::Stamp;

/// What a container's own page shows as "recent events".
const HAPPENINGS_KEPT: usize = 64;

/// An exit later than this after a signal had another cause; a `stop` event is always reported.
const ENDS_WITHIN: Duration = Duration::from_mins(1);

/// Signal numbers, for engines that report names.
const SIGNALS: [(&str, u32); 8] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("KILL", 9),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("WINCH", 28),
];

/// All hosts with their containers. Changed by `apply` only.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    hosts: BTreeMap<HostName, HostEntry>,
}

#[derive(Clone, Debug)]
pub struct HostEntry {
    pub link: Link,
    /// `None` until it was reached once.
    pub engine: Option<Engine>,
    /// The last known value; stale while the link is not live.
    pub load: Option<HostLoad>,
    /// Whether its containers were listed at least once; before that it is unknown whether it has any.
    pub listed: bool,
    /// Containers that were adopted there, including removed ones.
    pub adopted: Vec<Adoption>,
    rows: BTreeMap<ContainerId, Row>,
}

/// A container with everything received about it.
#[derive(Clone, Debug)]
pub struct Row {
    pub container: Container,
    pub history: History,
    /// From the last inspection, if there was one.
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

    /// The only way to change the fleet. Facts about unknown hosts or rows are ignored: they were removed meanwhile.
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

    /// How often it fell by itself and was started again since then, by its own history.
    #[must_use]
    pub fn restarts_since(&self, since: Stamp) -> usize {
        restarts(&self.happenings, since)
    }

    /// Somebody stopped or killed it, as far as its own history goes back.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        was_stopped(&self.happenings)
    }

    /// Its state with what only its inspection knows of its end: that the kernel killed it for memory. The event that
    /// says so is forgotten by the daemon after a while.
    #[must_use]
    pub fn state(&self) -> State {
        let state = self.container.state.clone();
        let inspected = self
            .detail
            .as_ref()
            .map(|detail| (&detail.state, detail.finished));
        match (state, inspected) {
            (
                State::Exited { code, at, oom: false },
                Some((
                    State::Exited {
                        code: then,
                        oom: true,
                        ..
                    },
                    end,
                )),
            ) if code == *then && !has_started_since(&self.happenings, end) => {
                State::Exited { code, at, oom: true }
            }
            (state, _) => state,
        }
    }

    /// When it ended, to the second: by its own history or its inspection. A list only says `2 weeks ago`.
    #[must_use]
    pub fn ended_at(&self) -> Option<Stamp> {
        let State::Exited { code, .. } = self.container.state else {
            return None;
        };
        let inspected = self.detail.as_ref().and_then(|detail| match detail.state {
            State::Exited { code: then, .. } if then == code => detail.finished,
            _ => None,
        });
        ended_at(&self.happenings, code, inspected)
    }

    /// How it last ended by its own history, though it may run again: `die 137`, and whether the kernel killed something in
    /// it for memory in that life.
    #[must_use]
    pub fn last_end(&self) -> Option<(&str, bool)> {
        last_end(&self.happenings)
    }

    #[must_use]
    pub fn is_unwell(&self) -> bool {
        match self.container.state {
            State::Restarting { .. } | State::Dead => true,
            State::Exited { code, .. } => !is_clean_exit(code),
            State::Created | State::Running { .. } | State::Paused { .. } | State::Removing => {
                self.container.health == Health::Unhealthy
            }
        }
    }
}

/// `kill 15` → `kill`, `15`
fn words(happening: &Happening) -> (&str, &str) {
    happening.what.split_once(' ').unwrap_or((&happening.what, ""))
}

/// What was asked of a container since its last start, what befell it, and whether what was asked ended it.
#[derive(Default)]
struct Life<'a> {
    kill: Option<&'a Happening>,
    end: Option<&'a Happening>,
    asked: bool,
    oom: bool,
}

impl<'a> Life<'a> {
    fn live(&mut self, happening: &'a Happening) {
        match words(happening) {
            ("kill", _) => self.kill = Some(happening),
            ("die", code) => {
                self.end = Some(happening);
                self.asked |= self.kill.is_some_and(|kill| is_ended_by(kill, happening, code));
            }
            // Told when somebody waited for the end, whatever signal the image stops by.
            ("stop", _) => self.asked = true,
            ("oom", _) => self.oom = true,
            _ => {}
        }
    }
}

/// Many reload at a signal, and fall days later by themselves: it counts if it is one that ends and the end came soon,
/// or if the exit code says that it was this one.
fn is_ended_by(kill: &Happening, die: &Happening, code: &str) -> bool {
    let (_, signal) = words(kill);
    let number = SIGNALS
        .iter()
        .find(|(name, _)| signal.trim_start_matches("SIG") == *name)
        .map_or_else(|| signal.parse().ok(), |(_, number)| Some(*number));
    // Podman does not tell which.
    let ends = number.is_none_or(|number| matches!(number, 2 | 3 | 9 | 15));
    let said = code.parse::<u32>().ok() == number.map(|number| 128 + number);
    kill.at.until(die.at) <= ENDS_WITHIN && (ends || said)
}

fn is_clean(die: &Happening) -> bool {
    words(die).1.parse().is_ok_and(is_clean_exit)
}

fn has_started_since(happenings: &[Happening], end: Option<Stamp>) -> bool {
    let mut starts = happenings.iter().filter(|one| words(one).0 == "start");
    starts.any(|start| end.is_none_or(|end| start.at > end))
}

/// What was heard may be of an earlier end, as nobody hears what happens while its host is lost: it counts if it ended
/// with the code that it has now.
fn ended_at(happenings: &[Happening], code: i32, inspected: Option<Stamp>) -> Option<Stamp> {
    let mut latest = happenings.iter().rev();
    let heard = latest.find(|one| words(one).0 == "die");
    let heard = heard.filter(|die| words(die).1.parse() == Ok(code));
    let ends = heard.map(|die| die.at).into_iter().chain(inspected);
    ends.filter(|end| !has_started_since(happenings, Some(*end)))
        .max()
}

fn restarts(happenings: &[Happening], since: Stamp) -> usize {
    let (mut life, mut restarts) = (Life::default(), 0);
    for happening in happenings {
        if words(happening).0 == "start" {
            restarts += usize::from(life.end.is_some() && !life.asked && happening.at >= since);
            life = Life::default();
        } else {
            life.live(happening);
        }
    }
    restarts
}

fn was_stopped(happenings: &[Happening]) -> bool {
    let mut life = Life::default();
    for happening in happenings {
        if words(happening).0 == "start" {
            life = Life::default();
        } else {
            life.live(happening);
        }
    }
    life.asked
}

fn last_end(happenings: &[Happening]) -> Option<(&str, bool)> {
    let (mut life, mut last) = (Life::default(), None);
    for happening in happenings {
        if words(happening).0 == "start" {
            life = Life::default();
        } else {
            // The word of the kernel may come behind the end.
            life.live(happening);
            let told = life
                .end
                .map(|end| (end.what.as_str(), life.oom && !is_clean(end)));
            last = told.or(last);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(moments: &[(i64, &str)]) -> Vec<Happening> {
        let id = ContainerId::parse("c").unwrap();
        let happening = |(at, what): &(i64, &str)| Happening {
            id: id.clone(),
            at: Stamp::from_seconds(*at),
            what: (*what).to_owned(),
        };
        moments.iter().map(happening).collect()
    }

    fn happenings(words: &[&str]) -> Vec<Happening> {
        let moments: Vec<(i64, &str)> = (1..).zip(words.iter().copied()).collect();
        at(&moments)
    }

    #[test]
    fn only_what_fell_by_itself_and_was_started_again_is_a_restart() {
        let fell = happenings(&["start", "die 1", "start", "die 1", "start"]);
        assert_eq!(restarts(&fell, Stamp(0)), 2);
        assert_eq!(restarts(&fell, Stamp::from_seconds(4)), 1);
        let asked = [
            "start", "kill 15", "die 143", "stop", "start", "kill 15", "die 143", "start",
        ];
        assert_eq!(restarts(&happenings(&asked), Stamp(0)), 0);
    }

    #[test]
    fn it_was_stopped_if_somebody_did_so_after_its_last_start() {
        let killed = ["start", "kill 15", "kill 9", "die 137", "stop"];
        assert!(was_stopped(&happenings(&killed)));
        let fell_later = ["kill 15", "die 143", "stop", "start", "die 137"];
        assert!(!was_stopped(&happenings(&fell_later)));
    }

    #[test]
    fn its_last_end_is_that_of_its_last_life() {
        let end = |told: &[&str]| last_end(&happenings(told)).map(|(what, oom)| (what.to_owned(), oom));
        let fell = |what: &str, oom| Some((what.to_owned(), oom));
        assert_eq!(end(&["start"]), None);
        assert_eq!(end(&["start", "oom", "die 137", "start"]), fell("die 137", true));
        assert_eq!(end(&["start", "die 137", "oom", "start"]), fell("die 137", true));
        assert_eq!(
            end(&["start", "oom", "die 137", "start", "die 1", "start"]),
            fell("die 1", false)
        );
        assert_eq!(end(&["start", "die 1", "start", "oom"]), fell("die 1", false));
        assert_eq!(end(&["start", "oom", "die 0", "start"]), fell("die 0", false));
    }

    #[test]
    fn one_that_was_told_to_reload_and_fell_later_was_not_stopped() {
        let days = 86_400;
        let reloaded = [(1, "start"), (5, "kill 1"), (3 * days, "die 1")];
        assert!(!was_stopped(&at(&reloaded)));
        let ignored = [(1, "start"), (5, "kill 15"), (3 * days, "die 1")];
        assert!(!was_stopped(&at(&ignored)));
        let fell_of_it = [(1, "start"), (5, "kill SIGUSR1"), (6, "die 1")];
        assert!(!was_stopped(&at(&fell_of_it)));
        let looped = [(1, "start"), (2, "kill 1"), (300, "die 1"), (301, "start")];
        assert_eq!(restarts(&at(&looped), Stamp(0)), 1);
    }

    #[test]
    fn an_end_is_told_to_the_second_only_if_it_is_the_one_that_the_list_says() {
        let end = |heard: &[(i64, &str)], code, inspected: Option<i64>| {
            ended_at(&at(heard), code, inspected.map(Stamp::from_seconds)).map(Stamp::seconds)
        };
        let heard = [(1, "start"), (5, "die 1")];
        assert_eq!(end(&heard, 1, None), Some(5));
        // It was started, and ended otherwise, while its host was lost.
        assert_eq!(end(&heard, 0, None), None);
        assert_eq!(end(&heard, 1, Some(70)), Some(70));
        assert_eq!(end(&[(60, "start"), (70, "die 1")], 1, Some(5)), Some(70));
        assert_eq!(end(&[(6, "start")], 1, Some(5)), None);
    }

    #[test]
    fn one_that_a_signal_ended_was_stopped_whichever_it_was() {
        assert!(was_stopped(&happenings(&["start", "kill 15", "die 1"])));
        assert!(was_stopped(&happenings(&["start", "kill 1", "die 129"])));
        assert!(was_stopped(&happenings(&["start", "kill", "die 137"])));
        // The image's own signal to stop, httpd's for one.
        let slowly = [(1, "start"), (5, "kill 28"), (400, "die 0"), (400, "stop")];
        assert!(was_stopped(&at(&slowly)));
    }
}

//! The rows of the services page, from the fleet, the configuration and the runs.
//! Decides only their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::Model;
use crate::app::act::key_of;
use crate::config::Service;
use crate::domain::container::{Container, Group, Role, State, label};
use crate::domain::fleet::Row;
use crate::domain::host::Link;
use crate::domain::ids::{ContainerKey, HostName, ReleaseNumber, RunId};
use crate::domain::natural;
use crate::domain::run::{RunKind, RunStatus, RunView};
use crate::domain::units::Bytes;
use crate::panes::containers::Expected;
use crate::release::standing::{self, HostSeen, Judged, Standing};
use crate::ui::ansi::{clean, width};

#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRow {
    pub group: Group,
    pub running: Vec<ContainerKey>,
    /// How many should run, where the configuration says so.
    pub wanted: Option<u32>,
    pub hosts: BTreeSet<HostName>,
    /// Of the running ones.
    pub releases: BTreeSet<ReleaseNumber>,
    /// What the hosts themselves tell of it.
    pub standing: Standing,
    /// Containers that are not as they should be.
    pub unwell: usize,
    /// Its latest run.
    pub run: Option<RunId>,
    /// That run is in progress.
    pub busy: bool,
    /// A run of it died, and nobody has recovered it yet.
    pub died: bool,
    /// What a run that is under way brings out, until it is committed.
    pub going: Option<Going>,
    /// Whose run holds its lock, where it is none of this machine's.
    pub elsewhere: Option<Elsewhere>,
    /// Of the running ones of which it is known, together.
    pub cpu: Figure<f32>,
    pub memory: Figure<Bytes>,
}

/// A release on its way to the hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Going {
    pub from: Option<ReleaseNumber>,
    pub to: ReleaseNumber,
    /// It is being taken back.
    pub undone: bool,
}

impl Going {
    /// What was committed is told by the hosts; what died goes nowhere.
    fn of(run: &RunView) -> Option<Self> {
        let is_going = run.status == RunStatus::Running && !run.committed;
        is_going.then_some(Self {
            from: run.from,
            to: run.to?,
            undone: run.undoing.is_some(),
        })
    }
}

/// Who is at it from another machine, as the lock tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub actor: String,
    /// What the run is for, where the lock says so.
    pub kind: Option<RunKind>,
    /// Its lock is not seen to be renewed.
    pub left: bool,
}

impl Elsewhere {
    fn of(model: &Model, standing: &Standing) -> Option<Self> {
        let Standing::InProgress { actor, run, silent } = standing else {
            return None;
        };
        if RunId::parse(run).is_ok_and(|run| model.runs.contains_key(&run)) {
            return None;
        }
        let is_its_lock = |container: &&Container| {
            container.has_role(Role::Lock) && container.label(label::RUN) == Some(run)
        };
        let mut locks = model
            .fleet
            .rows()
            .map(|(_, row)| &row.container)
            .filter(is_its_lock);
        let word = locks.find_map(|lock| lock.label(label::KIND));
        Some(Self {
            actor: actor.clone(),
            kind: word.and_then(|word| {
                RunKind::of_replicas()
                    .into_iter()
                    .find(|kind| kind.word() == word)
            }),
            left: silent.is_some(),
        })
    }
}

/// A sum over containers of which not all may be watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure<T> {
    Unknown,
    /// Some are not known: it is at least this.
    AtLeast(T),
    Whole(T),
}

impl<T> Figure<T> {
    fn new(sum: T, known: usize, all: usize) -> Self {
        match known {
            0 => Self::Unknown,
            known if known < all => Self::AtLeast(sum),
            _ => Self::Whole(sum),
        }
    }
}

impl ServiceRow {
    fn new(group: Group) -> Self {
        Self {
            group,
            running: Vec::new(),
            wanted: None,
            hosts: BTreeSet::new(),
            releases: BTreeSet::new(),
            standing: Standing::Absent,
            unwell: 0,
            run: None,
            busy: false,
            died: false,
            going: None,
            elsewhere: None,
            cpu: Figure::Unknown,
            memory: Figure::Unknown,
        }
    }

    /// Fewer run than should, one is unwell, a run of it died, or the hosts are not of one mind.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        if matches!(
            self.standing,
            Standing::Split { .. } | Standing::Drift { .. } | Standing::InProgress { silent: Some(_), .. }
        ) {
            return true;
        }
        self.died || self.unwell > 0 || self.is_short()
    }

    /// Fewer run than should; where none does, it may not be released yet.
    #[must_use]
    pub fn is_short(&self) -> bool {
        let short = |wanted: u32| self.running.len() < usize::try_from(wanted).unwrap_or(usize::MAX);
        self.wanted.is_some_and(short) && !self.running.is_empty()
    }
}

/// What the hosts tell of each service. A lost host keeps its rows, and they tell nothing of now.
pub(super) fn standings(model: &Model) -> BTreeMap<Group, Judged> {
    let hosts: Vec<HostSeen<'_>> = model
        .fleet
        .hosts()
        .map(|(host, entry)| HostSeen {
            host,
            reached: entry.listed && matches!(entry.link, Link::Live { .. }),
            containers: entry.rows().map(|row| &row.container).collect(),
            adopted: &entry.adopted,
        })
        .collect();
    let mut judged = standing::judge_all(&model.setup.config.services, &hosts);
    standing::left::mark_left(&mut judged, &model.locks.silent(model.now.wall));
    judged
}

/// Problems first, then what is under way, then by name; what belongs to no service last of its kind. With the columns that
/// the longest name takes, whatever the filter.
pub(super) fn gather(model: &Model) -> (Vec<ServiceRow>, usize) {
    let mut rows: BTreeMap<Group, ServiceRow> = BTreeMap::new();
    let row_of = |group: Group| (group.clone(), ServiceRow::new(group));
    let places = model.setup.config.services.iter().flat_map(Service::places);
    // A service that runs in its environments only is no row beside them, unless something was done with it.
    let (places, only_shared): (Vec<_>, Vec<_>) =
        places.partition(|(_, service)| service.deploy.is_some() || service.environments.is_empty());
    let only_shared: BTreeSet<Group> = only_shared
        .into_iter()
        .map(|(_, service)| Group::service(&service.name, None))
        .collect();
    for (environment, service) in places {
        let (group, mut row) = row_of(Group::service(&service.name, environment));
        row.wanted = service
            .deploy
            .as_ref()
            .map(|deploy| deploy.replicas * u32::try_from(deploy.hosts.len()).unwrap_or(u32::MAX));
        rows.insert(group, row);
    }
    let expected = Expected::of(model);
    for (host, row) in model.fleet.rows() {
        let container = &row.container;
        if container.is_housekeeping() {
            continue;
        }
        let group = container.group();
        let entry = rows
            .entry(group.clone())
            .or_insert_with(|| ServiceRow::new(group));
        if container.state.is_running() {
            entry.running.push(key_of(host, row));
            entry.hosts.insert(host.clone());
            entry.releases.extend(container.release());
        }
        // A restart loop is one between two falls too: rows must not change places with each of them.
        let restarting = matches!(container.state, State::Restarting { .. });
        if restarting || loops(model, row) || (row.is_unwell() && !expected.has_stopped(host, row)) {
            entry.unwell += 1;
        }
    }
    for (group, judged) in &model.services.standings {
        if let Some(row) = rows.get_mut(group) {
            row.standing = judged.standing.clone();
            row.elsewhere = Elsewhere::of(model, &row.standing);
        }
    }
    for run in model.runs.values() {
        let group = run.group();
        if only_shared.contains(&group) {
            rows.entry(group.clone())
                .or_insert_with(|| ServiceRow::new(group.clone()));
        }
        if let Some(row) = rows.get_mut(&group) {
            row.run = Some(run.id.clone());
            row.busy = run.status == RunStatus::Running;
            row.died |= run.status == RunStatus::Dead;
            // One that waits behind another has not decided yet.
            row.going = Going::of(run).or(row.going.take());
        }
    }
    let widths = rows.keys().map(|group| width(&clean(&group.to_string())));
    let widest = widths.max().unwrap_or(0);
    let mut rows: Vec<ServiceRow> = rows
        .into_values()
        .filter(|row| admitted(model, row))
        .map(|row| with_figures(model, row))
        .collect();
    let rank = |row: &ServiceRow| match (row.is_problem(), row.busy) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    };
    rows.sort_by(|one, other| {
        let place = |row: &ServiceRow| (rank(row), row.group == Group::None);
        let names = || natural::compare(&one.group.to_string(), &other.group.to_string());
        place(one).cmp(&place(other)).then_with(names)
    });
    (rows, widest)
}

fn loops(model: &Model, row: &Row) -> bool {
    use crate::panes::problems::{LOOP_STARTS, LOOP_WINDOW};
    row.restarts_since(model.now.wall.minus(LOOP_WINDOW)) >= LOOP_STARTS
}

fn admitted(model: &Model, row: &ServiceRow) -> bool {
    let filter = &model.services.filter;
    if filter.is_empty() {
        return true;
    }
    let name = row.group.to_string();
    let hosts: Vec<&str> = row.hosts.iter().map(HostName::as_str).collect();
    let state = if row.is_problem() { "problem" } else { "" };
    let standing = row.standing.word().to_lowercase();
    filter.admits(&[&name, &hosts.join(" "), state, &standing])
}

fn with_figures(model: &Model, mut row: ServiceRow) -> ServiceRow {
    let (mut cpu, mut cpus) = (0.0_f32, 0);
    let (mut memory, mut memories) = (0_u64, 0);
    for key in row.running.iter().filter(|key| model.watch.is_asked(key)) {
        let Some(sample) = model.fleet.row(key).and_then(|row| row.history.last()) else {
            continue;
        };
        memory = memory.saturating_add(sample.memory.0);
        memories += 1;
        if let Some(share) = sample.cpu {
            cpu += share;
            cpus += 1;
        }
    }
    row.cpu = Figure::new(cpu, cpus, row.running.len());
    row.memory = Figure::new(Bytes(memory), memories, row.running.len());
    row
}

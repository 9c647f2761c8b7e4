//! Finds problems in the fleet and among the runs.
//! A pure function; sends no requests and keeps no state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::app::Model;
use crate::app::act::key_of;
use crate::app::recovery::{is_back, needs_person};
use crate::app::subject::Subject;
use crate::domain::container::{Group, Health, State};
use crate::domain::fleet::{HostEntry, Row};
use crate::domain::host::{Engine, Link, Reading};
use crate::domain::ids::HostName;
use crate::domain::natural;
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::domain::units::{Stamp, short_span};
use crate::panes::containers::Expected;
use crate::panes::detail::words::exit_code;
use crate::panes::services::is_configured;
use crate::release::standing::Standing;

/// Started again and again within this is a loop.
pub const LOOP_WINDOW: Duration = Duration::from_mins(10);
pub const LOOP_STARTS: usize = 3;
/// Of a file system; above it builds and databases begin to fail.
const DISK_FULL: u64 = 90;
/// Over ssh it is read anew every 15 s; an older figure is one that a person asked for.
const RENEWED: Duration = Duration::from_mins(1);
/// By then somebody may have made room: what nobody measures again is a problem no longer.
const DISK_KNOWN: Duration = Duration::from_mins(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    Bad,
    Warn,
}

/// When it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Since {
    At(Stamp),
    /// A list said `2 weeks ago`: the moment is no better known than that.
    About(Stamp),
}

impl Since {
    #[must_use]
    pub fn moment(self) -> Stamp {
        match self {
            Self::At(at) | Self::About(at) => at,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    pub gravity: Gravity,
    pub subject: Subject,
    /// `api.r17.4`
    pub name: String,
    /// Where, if the name does not say.
    pub place: String,
    /// `restart loop, 6 in 10 min`
    pub what: String,
    pub since: Option<Since>,
    pub evidence: String,
}

/// Worst first, then the newest.
pub(super) fn find(model: &Model) -> Vec<Problem> {
    let mut found: Vec<Problem> = model.runs.values().filter_map(|one| run(model, one)).collect();
    for (name, host) in model.fleet.hosts() {
        found.extend(link(model, name, host));
        found.extend(disk(name, host, model.now.wall));
    }
    found.extend(twins(model));
    let expected = Expected::of(model);
    let mut unwell: Vec<Problem> = Vec::new();
    for (host, row) in model.fleet.rows() {
        if !expected.has_stopped(host, row) {
            unwell.extend(container(model, host, row));
        }
    }
    let standings = model.services.standings().iter();
    let standings = standings.filter(|(_, judged)| !is_told(&judged.standing, &unwell));
    found.extend(standings.filter_map(|(group, judged)| standing(model, group, &judged.standing)));
    found.extend(unwell);
    found.sort_by(|a, b| {
        let moment = |one: &Problem| one.since.map(Since::moment);
        let newest = moment(b).cmp(&moment(a));
        a.gravity
            .cmp(&b.gravity)
            .then(newest)
            .then_with(|| natural::compare(&a.name, &b.name))
            .then_with(|| a.subject.cmp(&b.subject))
    });
    found
}

fn run(model: &Model, run: &RunView) -> Option<Problem> {
    let mut gravity = Gravity::Bad;
    let (what, evidence) = match &run.status {
        RunStatus::Running => {
            gravity = Gravity::Warn;
            let asked = run.asks.first()?;
            ("waits for approval", format!("{} A answers", asked.question))
        }
        RunStatus::Dead => (
            "its process died",
            "X finishes it if that is safe, otherwise undoes its changes".to_owned(),
        ),
        RunStatus::Closed { .. } if !needs_person(model, run) => return None,
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { why, differences },
            ..
        } => {
            let lost: Vec<&str> = run.lost.iter().map(HostName::as_str).collect();
            let back = if lost.is_empty() {
                "X recovers it; ".to_owned()
            } else if is_back(model, run) {
                format!("X recovers {}; ", lost.join(", "))
            } else {
                String::new()
            };
            (
                "needs a human",
                format!("{back}{why}: {}", differences.join(", ")),
            )
        }
        RunStatus::Closed { .. } => return None,
    };
    Some(Problem {
        gravity,
        subject: Subject::Run(run.id.clone()),
        name: run.name(),
        place: run.actor.clone(),
        what: what.to_owned(),
        since: Some(Since::At(run.started)),
        evidence,
    })
}

fn link(model: &Model, name: &HostName, host: &HostEntry) -> Option<Problem> {
    let now = model.now.wall;
    let (gravity, what, since, evidence) = match &host.link {
        Link::Live { .. } | Link::Connecting { .. } => return None,
        Link::Lost { since, why, retry_at } => {
            let next = retry_at.map(|at| format!("; {}", crate::panes::hosts::next_try(now, at)));
            let evidence = format!("{}{}", why.why, next.unwrap_or_default());
            let what = format!("lost {} ago", short_span(since.until(now)));
            (Gravity::Bad, what, *since, evidence)
        }
        Link::NeedsPerson { since, why } => {
            let what = "needs login: press Enter in hosts".to_owned();
            (Gravity::Warn, what, *since, why.why.clone())
        }
    };
    Some(Problem {
        gravity,
        subject: Subject::Host(name.clone()),
        name: name.to_string(),
        place: String::new(),
        what,
        since: Some(Since::At(since)),
        evidence,
    })
}

fn disk(name: &HostName, host: &HostEntry, now: Stamp) -> Option<Problem> {
    let load = host.load.as_ref()?;
    let Reading::Known((used, total)) = &load.disk else {
        return None;
    };
    let percent = used.0.saturating_mul(100) / total.0.max(1);
    let age = load.at.until(now);
    let measured = if age > RENEWED {
        format!(", measured {} ago; M asks again", short_span(age))
    } else {
        String::new()
    };
    (percent >= DISK_FULL && age <= DISK_KNOWN).then(|| Problem {
        gravity: Gravity::Warn,
        subject: Subject::Host(name.clone()),
        name: name.to_string(),
        place: String::new(),
        what: format!("disk {percent} %"),
        since: None,
        evidence: format!("{used} of {total} used on Docker's disk{measured}"),
    })
}

/// Nothing is wrong but replicas that fell, each of which is a problem of its own.
fn is_told(standing: &Standing, unwell: &[Problem]) -> bool {
    let Standing::Drift { reasons, .. } = standing else {
        return false;
    };
    let is_of_one = |reason: &String| {
        unwell
            .iter()
            .any(|one| reason.contains(&format!("({} ", one.name)))
    };
    reasons.iter().all(is_of_one)
}

/// Hosts that are not of one mind about a service.
fn standing(model: &Model, group: &Group, standing: &Standing) -> Option<Problem> {
    let remedy = match standing {
        Standing::Split { .. } => "d or R puts all hosts on one release",
        Standing::Drift { .. } => "d deploys it as configured",
        Standing::InProgress { silent: Some(_), .. } => {
            return Some(Problem {
                gravity: Gravity::Bad,
                subject: Subject::Group(group.clone()),
                name: group.to_string(),
                place: String::new(),
                what: "a run was left".to_owned(),
                since: None,
                evidence: standing.to_string(),
            });
        }
        // A service that is not released yet is no problem: its row says what to do.
        Standing::Absent
        | Standing::Unreleased { .. }
        | Standing::Converged { .. }
        | Standing::InProgress { silent: None, .. }
        | Standing::Unknown { .. } => return None,
    };
    Some(Problem {
        gravity: Gravity::Warn,
        subject: Subject::Group(group.clone()),
        name: group.to_string(),
        place: String::new(),
        what: standing.word().to_owned(),
        since: None,
        evidence: if is_configured(model, group) {
            format!("{standing}; {remedy}")
        } else {
            "not configured: add it, or stop (s), then remove (D) its containers".to_owned()
        },
    })
}

/// One daemon under two names: its containers are counted and acted on twice.
fn twins(model: &Model) -> Vec<Problem> {
    let mut daemons: BTreeMap<&str, Vec<&HostName>> = BTreeMap::new();
    for (name, host) in model.fleet.hosts() {
        if let Some(id) = host.engine.as_ref().and_then(Engine::daemon_id) {
            daemons.entry(id).or_default().push(name);
        }
    }
    let twin = |names: Vec<&HostName>| {
        let mut names = names.into_iter();
        let first = names.next()?;
        let other = names.next()?;
        Some(Problem {
            gravity: Gravity::Warn,
            subject: Subject::Host(other.clone()),
            name: other.to_string(),
            place: String::new(),
            what: format!("the same daemon as {first}"),
            since: None,
            evidence: "all its containers are shown twice; remove one of the two from the configuration"
                .to_owned(),
        })
    };
    daemons.into_values().filter_map(twin).collect()
}

fn container(model: &Model, host: &HostName, row: &Row) -> Option<Problem> {
    let now = model.now.wall;
    let starts = row.restarts_since(now.minus(LOOP_WINDOW));
    let looping = starts >= LOOP_STARTS;
    let detail = row.detail.as_ref();
    let limit = detail.and_then(|detail| detail.memory_limit);
    let loop_words = || match (starts, detail.map(|detail| detail.restarts)) {
        (0, Some(restarts)) if restarts > 0 => format!("restart loop, {restarts} times so far"),
        (0, _) => "restart loop".to_owned(),
        (starts, _) => format!("restart loop, {starts} in 10 min"),
    };
    // Each fall is newer than the one before: a loop is as old as it was first seen.
    let since_known = |since: Option<Stamp>| {
        let subject = Subject::Container(key_of(host, row));
        let mut before = model.problems.list().iter();
        let known = before.find(|one| one.subject == subject && one.what.starts_with("restart loop"));
        let known = known.and_then(|one| one.since);
        let first = known.into_iter().chain(since.map(Since::About));
        first.min_by_key(|since| since.moment())
    };
    let exit = |code: i32, oom: bool| {
        let error = detail
            .and_then(|detail| detail.error.clone())
            .filter(|error| !error.is_empty());
        error.unwrap_or_else(|| format!("exit {code}: {}", exit_code(code, oom, limit)))
    };
    let last_exit = || match row.last_end() {
        None => "it keeps exiting".to_owned(),
        Some((what, oom)) => match what.strip_prefix("die ").and_then(|code| code.parse().ok()) {
            Some(code) => exit(code, oom),
            None => what.to_owned(),
        },
    };
    let (gravity, what, since, evidence) = match &row.state() {
        State::Restarting { code, since } => {
            let oom = row.last_end().is_some_and(|(_, oom)| oom);
            let evidence = code.map_or_else(last_exit, |code| exit(code, oom));
            (Gravity::Bad, loop_words(), since_known(*since), evidence)
        }
        State::Dead => (
            Gravity::Bad,
            "dead".to_owned(),
            None,
            "the daemon could not remove it completely".to_owned(),
        ),
        State::Exited { oom: false, .. } if row.was_stopped() => return None,
        State::Exited { code, at, oom } => {
            let what = if *oom {
                "out of memory".to_owned()
            } else {
                format!("exited {code}")
            };
            let since = row.ended_at().map(Since::At);
            let since = since.or_else(|| at.map(Since::About));
            (Gravity::Bad, what, since, exit(*code, *oom))
        }
        State::Running { since } if looping => (Gravity::Bad, loop_words(), since_known(*since), last_exit()),
        State::Running { .. } if row.container.health == Health::Unhealthy => {
            let at = row
                .happenings
                .iter()
                .rev()
                .find(|happening| happening.what.contains("unhealthy"));
            (
                Gravity::Bad,
                "unhealthy".to_owned(),
                at.map(|at| Since::At(at.at)),
                probe(row),
            )
        }
        State::Created | State::Running { .. } | State::Paused { .. } | State::Removing => return None,
    };
    Some(Problem {
        gravity,
        subject: Subject::Container(key_of(host, row)),
        name: row.container.name.to_string(),
        place: host.to_string(),
        what,
        since,
        evidence,
    })
}

/// The last words of the health check.
fn probe(row: &Row) -> String {
    let last = row.detail.as_ref().and_then(|detail| detail.probes.last());
    match last {
        Some(probe) => format!("health check, exit {}: {}", probe.exit, probe.output.trim()),
        None => "its health check fails; Enter shows its output".to_owned(),
    }
}

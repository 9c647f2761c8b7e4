//! Which runs are removed, by number and age: a matrix of artificial runs and what must remain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;

use pilothouse::config::{Config, Service, StateDir};
use pilothouse::domain::ids::{RunId, ServiceName};
use pilothouse::domain::plan::Wait;
use pilothouse::domain::run::{Outcome, RunKind};
use pilothouse::domain::units::Stamp;
use pilothouse::release::plan::{Actor, Plan};
use pilothouse::release::record::Entry;
use pilothouse::release::subject::Subject;
use pilothouse::runs::disk::journal::Journal;
use pilothouse::runs::disk::state::{RunFile, hold_alive};
use pilothouse::runs::{self, State};

const DAY: Duration = Duration::from_hours(24);
const KEEP_FOR: Duration = Duration::from_hours(240);
const KEEP_RUNS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Converged,
    Reverted,
    NeedsHuman,
    Dead,
    Alive,
}

const ENDS: [End; 5] = [
    End::Converged,
    End::Reverted,
    End::NeedsHuman,
    End::Dead,
    End::Alive,
];

struct Attic {
    state: State,
    now: Stamp,
    next: u32,
    /// What lives is held.
    held: Vec<std::fs::File>,
}

impl Attic {
    fn new(dir: &Path) -> Self {
        let config = StateDir {
            dir: Some(dir.join("state")),
            keep_for: KEEP_FOR,
            keep_runs: KEEP_RUNS,
            ..StateDir::default()
        };
        Self {
            state: State::open(&config, &|_| None).unwrap(),
            now: Stamp::from_seconds(1_795_200_000),
            next: 0,
            held: Vec::new(),
        }
    }

    /// Later ones are younger by their ids.
    fn run(&mut self, service: &str, days: u32, end: End) -> RunId {
        self.next += 1;
        let run = RunId::parse(&format!("2026{:04}-120000-000aa", self.next)).unwrap();
        let at = self.now.minus(DAY * days);
        let plan = plan(&run, service, at);
        let file = RunFile {
            plan: plan.clone(),
            hosts: Vec::new(),
            known: Vec::new(),
            wait: Wait::No,
            behind: Vec::new(),
        };
        let dir = self.state.create(&file).unwrap();
        let (mut journal, _) = Journal::open(&dir).unwrap();
        journal.write(at, Entry::Opened(Box::new(plan))).unwrap();
        let why = String::new();
        let closed = match end {
            End::Converged => Some((Outcome::Converged, 0)),
            End::Reverted => Some((
                Outcome::Reverted {
                    why,
                    cancelled: false,
                },
                1,
            )),
            End::NeedsHuman => Some((
                Outcome::NeedsHuman {
                    why,
                    differences: vec!["a container".to_owned()],
                },
                5,
            )),
            End::Dead => None,
            End::Alive => {
                self.held.push(hold_alive(&dir).unwrap().unwrap());
                None
            }
        };
        if let Some((outcome, exit)) = closed {
            journal
                .write(
                    at,
                    Entry::Closed {
                        outcome,
                        exit: exit.into(),
                        hints: Vec::new(),
                    },
                )
                .unwrap();
        }
        run
    }

    fn left(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.state.runs()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

fn plan(run: &RunId, service: &str, started: Stamp) -> Plan {
    let name = ServiceName::parse(service).unwrap();
    Plan {
        run: run.clone(),
        kind: RunKind::Test,
        subject: Subject {
            service: name.clone(),
            environment: None,
        },
        by: Actor {
            login: "ops-a".to_owned(),
            machine: "bastion-1".to_owned(),
            via: None,
        },
        reason: None,
        started,
        targets: Vec::new(),
        builder: None,
        image: "shop:v1".to_owned(),
        tags: Vec::new(),
        pushes: Vec::new(),
        labels: BTreeMap::new(),
        notes: Vec::new(),
        to: None,
        foreseen: None,
        promoted: None,
        adopts: Vec::new(),
        withheld: Vec::new(),
        service: Service {
            name,
            image: "shop".to_owned(),
            build: None,
            tests: Vec::new(),
            deploy: None,
            pipeline: Vec::new(),
            stages: Vec::new(),
            environments: Vec::new(),
        },
        seals: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_run_that_died_before_the_last_hundred_is_found_to_be_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let mut attic = Attic::new(dir.path());
    let dead = attic.run("shop", 3, End::Dead);
    for _ in 0..runs::seen::follow::SHOWN {
        attic.run("shop", 1, End::Converged);
    }
    let (found, missing) = runs::unfinished(&attic.state, &Config::default()).await;
    let found: Vec<RunId> = found.into_iter().map(|one| one.run).collect();
    assert_eq!((found, missing.len()), (vec![dead], 0));
}

#[test]
fn of_each_service_the_last_so_many_that_are_young_enough_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut attic = Attic::new(folder.path());
    let mut wanted = BTreeSet::new();
    // Too many; too old; the only one, however old.
    for (service, days, keeps) in [
        ("many", [5, 4, 3, 2, 1], 3),
        ("old", [90, 60, 30, 9, 8], 2),
        ("rare", [500, 400, 300, 200, 100], 1),
    ] {
        let runs: Vec<RunId> = days
            .iter()
            .map(|days| attic.run(service, *days, End::Converged))
            .collect();
        wanted.extend(runs.iter().rev().take(keeps).map(ToString::to_string));
    }
    attic.state.forget_old(attic.now);
    assert_eq!(attic.left(), wanted);
}

#[test]
fn what_lives_died_or_needs_a_human_stays_however_old_and_however_many() {
    let folder = tempfile::tempdir().unwrap();
    let mut attic = Attic::new(folder.path());
    let mut wanted = BTreeSet::new();
    for end in [End::Alive, End::Dead, End::NeedsHuman] {
        for days in [900, 800, 700, 600, 500] {
            wanted.insert(attic.run("shop", days, end).to_string());
        }
    }
    for days in [400, 300, 200] {
        attic.run("shop", days, End::Reverted);
    }
    wanted.insert(attic.run("shop", 100, End::Converged).to_string());
    attic.state.forget_old(attic.now);
    assert_eq!(attic.left(), wanted);
}

#[test]
fn whatever_there_is_only_what_was_finished_and_is_old_or_one_too_many_goes() {
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut attic = Attic::new(folder.path());
        let services = ["shop", "mail", "api"];
        let all: Vec<(RunId, &str, u32, End)> = (0..rng.usize(1..12))
            .map(|_| {
                let service = services[rng.usize(0..3)];
                let (days, end) = (rng.u32(0..20), ENDS[rng.usize(0..5)]);
                (attic.run(service, days, end), service, days, end)
            })
            .collect();
        attic.state.forget_old(attic.now);
        let left = attic.left();
        for (at, (run, service, days, end)) in all.iter().enumerate() {
            let newer = all[at + 1..]
                .iter()
                .filter(|(_, other, ..)| other == service)
                .count();
            let finished = matches!(end, End::Converged | End::Reverted);
            let goes = finished && newer > 0 && (*days > 10 || newer >= KEEP_RUNS);
            assert_eq!(
                !goes,
                left.contains(run.as_str()),
                "seed {seed}: {run} of {service}, {days} days old, {end:?}, {newer} newer"
            );
        }
    }
}

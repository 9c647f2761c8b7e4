//! The crash matrix: a run whose runner is killed with SIGKILL right after one of its records, and the state after recovery,
//! compared with the state before. For simulated and real daemons.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
};
use pilothouse::domain::ids::{HostName, ReleaseNumber, RunId};
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::release::record::{Entry, Record};
use pilothouse::release::replica::{Policy, Replica};
use pilothouse::release::stage::{Stage, Step};
use pilothouse::runs::disk::journal;

use super::{Bench, Seen};

/// After which records of a run its runner dies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Points {
    Every {
        first: u32,
        step: usize,
    },
    /// Once in every step, on the host that does it first: where it has just begun and where it was just done, in turn.
    EachStep,
}

/// A runner that was killed, and what recovery made of it.
#[derive(Clone, Debug)]
pub(crate) struct Kill {
    /// Its last record: `gate begun`, `stop done`.
    pub(crate) after: String,
    pub(crate) ended: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Reverted,
    Converged,
}

/// By host, line by line: whatever a person would compare.
pub(crate) type World = BTreeMap<HostName, BTreeSet<String>>;

impl Bench {
    /// Containers with names, states, policies and networks, locks among them; networks; volumes.
    pub(crate) async fn world(&self) -> World {
        let mut world = World::new();
        for host in &self.config.hosts {
            let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
            let docker = daemon.read();
            let mut lines = BTreeSet::new();
            let all = ListContainersOptionsBuilder::default().all(true).build();
            for container in docker.list_containers(Some(all)).await.unwrap() {
                let id = container.id.unwrap();
                let seen = docker
                    .inspect_container(&id, None::<InspectContainerOptions>)
                    .await
                    .unwrap();
                let policy = seen.host_config.and_then(|config| config.restart_policy);
                let networks = seen.network_settings.and_then(|settings| settings.networks);
                let networks: BTreeSet<String> = networks.unwrap_or_default().into_keys().collect();
                let state = seen.state.and_then(|state| state.status);
                lines.insert(format!(
                    "container {} {id} of {} is {state:?}, policy {:?}, in {networks:?}",
                    seen.name.unwrap_or_default(),
                    seen.image.unwrap_or_default(),
                    policy.and_then(|policy| policy.name),
                ));
            }
            let networks = docker.list_networks(None::<ListNetworksOptions>).await.unwrap();
            for network in networks {
                let (name, id) = (network.name.unwrap_or_default(), network.id.unwrap_or_default());
                // Docker's own are made anew whenever it starts.
                let is_own = ["bridge", "host", "none"].contains(&name.as_str());
                lines.insert(format!("network {name} {}", if is_own { "" } else { &id }));
            }
            let volumes = docker.list_volumes(None::<ListVolumesOptions>).await.unwrap();
            for volume in volumes.volumes.unwrap_or_default() {
                lines.insert(format!("volume {}", volume.name));
            }
            world.insert(host.name.clone(), lines);
        }
        world
    }

    /// Everything on every host is as it was.
    pub(crate) async fn assert_same_world(&self, before: &World, context: &str) {
        let now = self.world().await;
        let gone: Vec<_> = minus(before, &now);
        let new: Vec<_> = minus(&now, before);
        assert!(
            gone.is_empty() && new.is_empty(),
            "gone: {gone:#?}\nnew: {new:#?}\n{context}"
        );
    }

    /// Everything on every host is as it was but replicas of this release, and of older ones that are kept no more.
    pub(crate) async fn assert_world_with(&self, before: &World, release: ReleaseNumber, context: &str) {
        self.assert_on(release, context).await;
        let strip = |world: &World| -> World {
            let others = |lines: &BTreeSet<String>| {
                let is_replica = |line: &&String| line.starts_with("container /shop.r");
                lines.iter().filter(|line| !is_replica(line)).cloned().collect()
            };
            world
                .iter()
                .map(|(host, lines)| (host.clone(), others(lines)))
                .collect()
        };
        let now = self.world().await;
        assert_eq!(strip(&now), strip(before), "{context}");
        let (known, replicas) = (names(before), names(&now));
        let fresh: Vec<&String> = replicas.iter().filter(|name| !known.contains(*name)).collect();
        let own = format!("/shop.{release}.");
        assert!(
            fresh.iter().all(|name| name.contains(&own)),
            "orphans: {fresh:?}\n{context}"
        );
    }
}

fn minus(one: &World, other: &World) -> Vec<String> {
    let lines = one.iter().flat_map(|(host, lines)| {
        let there = other.get(host);
        lines
            .iter()
            .filter(move |line| there.is_none_or(|there| !there.contains(*line)))
            .map(move |line| format!("{host}: {line}"))
    });
    lines.collect()
}

/// `host /shop.r3.1` of every replica.
fn names(world: &World) -> BTreeSet<String> {
    let of = |host: &HostName, line: &String| {
        let name = line.strip_prefix("container ")?.split(' ').next()?;
        name.starts_with("/shop.r").then(|| format!("{host} {name}"))
    };
    world
        .iter()
        .flat_map(|(host, lines)| lines.iter().filter_map(move |line| of(host, line)))
        .collect()
}

/// The records of a run that are on disk before it goes on.
fn binding(bench: &Bench, run: &RunId) -> Vec<Record> {
    let mut records = journal::read(&bench.state.dir(run)).unwrap_or_default();
    records.retain(|record| record.entry.is_binding());
    records
}

fn words(entry: &Entry) -> String {
    match entry {
        Entry::Opened(_) => "opened".to_owned(),
        Entry::Intent(step) => format!("{} begun", step.stage),
        Entry::Done { step, .. } => format!("{} done", step.stage),
        Entry::Failed { step, .. } => format!("{} failed", step.stage),
        Entry::Decided(_) => "decided".to_owned(),
        Entry::Turned { .. } => "turned on".to_owned(),
        Entry::Note(_) => "note".to_owned(),
        Entry::Closed { .. } => "closed".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Which record of a whole run each step is begun or done with, the first time.
fn each_step(records: &[Record]) -> Vec<u32> {
    let mut seen: BTreeSet<(Stage, bool)> = BTreeSet::new();
    let mut points = Vec::new();
    let mut stages = Vec::new();
    for (at, record) in (1..).zip(records) {
        let (stage, is_done) = match &record.entry {
            Entry::Intent(Step { stage, .. }) => (stage, false),
            Entry::Done { step, .. } => (&step.stage, true),
            _ => continue,
        };
        if !stages.contains(stage) {
            stages.push(stage.clone());
        }
        let turn = stages.iter().position(|known| known == stage).unwrap() % 2 == 1;
        if seen.insert((stage.clone(), is_done)) && turn == is_done {
            points.push(at);
        }
    }
    points
}

/// How far a run was for good, as far as its journal goes.
#[derive(Default)]
struct Reached {
    committed: bool,
    /// The first steps behind the commit are done, so another has begun.
    is_past: bool,
    /// Where a reboot starts the new release.
    promoted: BTreeSet<HostName>,
    release: Option<ReleaseNumber>,
}

fn reached(records: &[Record]) -> Reached {
    let mut reached = Reached::default();
    for record in records {
        match &record.entry {
            Entry::Decided(decision) => reached.release = Some(decision.release),
            Entry::Done { step, .. } if step.stage == Stage::Commit => reached.committed = true,
            Entry::Done { step, .. } if step.stage == Stage::Promote => {
                reached.promoted.insert(step.host.clone());
            }
            Entry::Intent(step) => reached.is_past |= reached.committed && step.stage != Stage::Promote,
            _ => {}
        }
    }
    reached
}

fn up(replicas: &[Replica]) -> BTreeSet<String> {
    let up = replicas.iter().filter(|replica| replica.state.is_up());
    up.map(|replica| replica.name.clone()).collect()
}

/// After a reboot of every host: before the commit exactly the old release is up; after it the new one alone, but for the
/// moment until the first step behind the commit is done.
async fn assert_rebooted(bench: &Bench, before: &Seen, records: &[Record], context: &str) {
    let reached = reached(records);
    for (host, replicas) in bench.look().await {
        let (was, is) = (up(&before[&host]), up(&replicas));
        if !reached.committed {
            assert_eq!(is, was, "{host} before the commit: {replicas:#?}\n{context}");
            continue;
        }
        assert!(!is.is_empty(), "{host} serves nothing: {replicas:#?}\n{context}");
        if reached.is_past || reached.promoted.contains(&host) {
            let mut all = replicas.iter().filter(|replica| replica.state.is_up());
            assert!(
                all.all(|replica| replica.release == reached.release),
                "{host} behind the commit: {replicas:#?}\n{context}"
            );
        }
    }
}

/// A run is begun again so often for the fault of dockerd below.
const STALE_TASKS: u32 = 3;

/// Why a run was reverted, if it was for a known fault of dockerd: killed and restarted, it may keep a container's task in
/// containerd, and refuses to start that container until it is restarted again.
fn stale_task(view: &RunView) -> Option<&str> {
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::Reverted { why, .. },
            ..
        } if why.contains("task ") && why.ends_with("already exists") => Some(why),
        _ => None,
    }
}

/// How many went back and on, and behind which records; both must have been.
fn tell(kills: &[Kill]) {
    for wanted in [Ending::Reverted, Ending::Converged] {
        let ended = |kill: &&Kill| kill.ended == wanted;
        let behind: Vec<&str> = kills
            .iter()
            .filter(ended)
            .map(|kill| kill.after.as_str())
            .collect();
        assert!(!behind.is_empty(), "none was {wanted:?}");
        println!(
            "{wanted:?}, {} of {}: {}",
            behind.len(),
            kills.len(),
            behind.join(", ")
        );
    }
}

/// Runs of `kind`, each killed after another record and then recovered: reverted with nothing other than before, or
/// converged with nothing but the new release. With `reboot` every host is restarted between death and recovery, and
/// once more behind it.
pub(crate) async fn crash_matrix(
    bench: &Bench,
    kind: RunKind,
    points: Points,
    reboot: Option<&dyn Fn()>,
) -> Vec<Kill> {
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    let (exit, whole) = bench.run(kind).await;
    assert_eq!(exit, 0, "{}", bench.journal(&whole.id));
    let records = binding(bench, &whole.id);
    let mut points: VecDeque<u32> = match points {
        Points::Every { first, step } => {
            let last = u32::try_from(records.len()).unwrap();
            (first..=last).step_by(step).collect()
        }
        Points::EachStep => each_step(&records).into(),
    };
    let mut kills = Vec::new();
    let mut repeated = 0;
    while let Some(after) = points.pop_front() {
        let ended_on = kills
            .last()
            .is_none_or(|kill: &Kill| kill.ended == Ending::Converged);
        if kind == RunKind::Rollback && ended_on {
            // There must be something to go back to.
            bench.good(RunKind::Deploy).await;
        }
        let (before, world) = (bench.look().await, bench.world().await);
        let run = bench.launch_dying(after, kind).await;
        let (exit, view) = bench.ended(&run).await;
        let records = binding(bench, &run);
        let last = records.last().map_or_else(String::new, |last| words(&last.entry));
        let context = || format!("killed after record {after} ({last}):\n{}", bench.journal(&run));
        let has_closed = last == "closed";
        if let (Some(reboot), true, Some(why)) = (reboot, repeated < STALE_TASKS, stale_task(&view)) {
            // Reverted with the daemon's reason, as it should be; restarted, the daemon can start the container again.
            eprintln!("behind record {after}, once more: {why}");
            bench.assert_same_world(&world, &context()).await;
            reboot();
            repeated += 1;
            points.push_front(after);
            continue;
        }
        repeated = 0;
        assert_eq!(exit, if has_closed { 0 } else { 5 }, "{}", context());
        if let Some(reboot) = reboot {
            reboot();
            assert_rebooted(bench, &before, &records, &context()).await;
        }
        let (exit, view) = if has_closed {
            (exit, view)
        } else {
            bench.recover(&run).await
        };
        let ended = match (&view.status, exit) {
            (
                RunStatus::Closed {
                    outcome: Outcome::Converged,
                    ..
                },
                0,
            ) => {
                bench
                    .assert_world_with(&world, view.to.unwrap(), &context())
                    .await;
                Ending::Converged
            }
            (
                RunStatus::Closed {
                    outcome: Outcome::Reverted { .. },
                    ..
                },
                1,
            ) => {
                bench.assert_same_world(&world, &context()).await;
                Ending::Reverted
            }
            other => panic!("{other:?}\n{}", context()),
        };
        if let Some(reboot) = reboot {
            let settled = bench.look().await;
            reboot();
            for (host, replicas) in bench.look().await {
                let (was, is) = (up(&settled[&host]), up(&replicas));
                assert_eq!(is, was, "{host}, restarted behind the recovery\n{}", context());
                assert!(
                    replicas
                        .iter()
                        .all(|replica| replica.state.is_up() || replica.policy == Policy::No),
                    "{host}: {replicas:#?}\n{}",
                    context()
                );
            }
        }
        kills.push(Kill { after: last, ended });
    }
    tell(&kills);
    kills
}

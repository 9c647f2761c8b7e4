//! Faults during a release on three real daemons other than the death of its runner: daemons, links, disks, registries,
//! and people. The end state is verified through the daemons themselves.

use std::process::Command;
use std::time::{Duration, Instant};

use bollard::query_parameters::StopContainerOptions;
use pilothouse::config::service::{Batch, OnFailure, Order};
use pilothouse::config::{Host, StateDir};
use pilothouse::domain::ids::{HostName, ReleaseNumber, RunId};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::{RunRequest, Wait};
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::hosts;
use pilothouse::release::snapshot::differences;
use pilothouse::runs::{self, State};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::succeed;
use crate::support::releases::reverted::why;
use crate::support::releases::{Bench, Seen, actor};
use crate::support::{fleet, image, wait};

/// One after the other, the new one stays in its gate for long.
fn rolling(hosts: Vec<Host>) -> Bench {
    let mut bench = Bench::on(hosts, image::BUSYBOX);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    bench
}

fn sockets(daemons: &[Daemon]) -> Vec<Host> {
    daemons.iter().map(Daemon::host).collect()
}

fn steady(bench: &mut Bench, steady: Duration) {
    bench.config.services[0].deploy.as_mut().unwrap().gate.steady = steady;
}

/// What is in progress when it happens.
#[derive(Clone, Copy)]
struct Case {
    kind: RunKind,
    is_rolling: bool,
}

const ROLLING_DEPLOY: Case = Case {
    kind: RunKind::Deploy,
    is_rolling: true,
};
const RECREATE_DEPLOY: Case = Case {
    kind: RunKind::Deploy,
    is_rolling: false,
};
const ROLLING_ROLLBACK: Case = Case {
    kind: RunKind::Rollback,
    is_rolling: true,
};

impl Case {
    /// What the run replaces runs everywhere, and what it brings up will stay in its gate for so long.
    async fn stand(self, bench: &mut Bench, long: Duration) {
        if self.kind == RunKind::Rollback {
            // It is judged by the gate of its time; all at once, so that this is waited for only once.
            steady(bench, long);
            bench.good(RunKind::Deploy).await;
            steady(bench, Duration::from_millis(50));
        }
        bench.good(RunKind::Deploy).await;
        steady(bench, long);
        if self.is_rolling {
            bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert);
        }
    }

    /// The first host, or all of them, in the gate.
    fn gates(self, view: &RunView) -> bool {
        is_at(view, "gate", if self.is_rolling { 1 } else { 3 }, 0)
    }

    /// The replicas that it brings up, and those that it replaces.
    fn names(self) -> [&'static str; 2] {
        match self.kind {
            RunKind::Rollback => ["shop.r1.1", "shop.r2.1"],
            _ => ["shop.r2.1", "shop.r1.1"],
        }
    }
}

/// Are so many hosts in this stage, or through it?
fn is_at(view: &RunView, stage: &str, running: usize, done: usize) -> bool {
    view.stages.iter().any(|seen| {
        let cells = format!("{:?}", seen.cells);
        seen.name == stage
            && cells.matches("Running").count() == running
            && cells.matches("Done").count() >= done
    })
}

async fn until_at(bench: &Bench, run: &RunId, when: impl Fn(&RunView) -> bool) {
    wait::until_running(Duration::from_mins(1), "the run comes to it", || {
        when(&runs::view(&bench.state, run).unwrap()).then_some(())
    })
    .await;
}

/// Follows a run to its end; `act` is done once, when `when` is seen.
async fn midway(
    bench: &Bench,
    run: &RunId,
    when: impl Fn(&RunView) -> bool,
    act: impl FnOnce(),
) -> (u8, RunView, String) {
    let mut act = Some(act);
    runs::follow(&bench.state, run, |view| {
        if when(view)
            && let Some(act) = act.take()
        {
            act();
        }
    })
    .await
    .unwrap();
    // Its process, too: what it left is recovered only then.
    let (exit, view) = bench.ended(run).await;
    let journal = bench.journal(run);
    assert!(act.is_none(), "it never came to that:\n{journal}");
    (exit, view, journal)
}

/// Which host, in the order of the waves.
fn name(bench: &Bench, at: usize) -> HostName {
    bench.config.hosts[at].name.clone()
}

fn as_before_on(at: &[HostName], before: &Seen, now: &Seen, context: &str) {
    for host in at {
        let found = differences(host, &before[host], &now[host]);
        assert!(found.is_empty(), "{found:?}\n{context}");
    }
}

fn needs_human(view: &RunView, journal: &str) -> (String, Vec<String>) {
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { why, differences },
            ..
        } => (why.clone(), differences.clone()),
        other => panic!("{other:?}\n{journal}"),
    }
}

async fn a_daemon_is_killed(case: Case) {
    let daemons = fleet::lease(3);
    let mut bench = Bench::on(sockets(&daemons), image::BUSYBOX);
    case.stand(&mut bench, Duration::from_secs(15)).await;
    let before = bench.look().await;
    let run = bench.launch(&bench.state, case.kind).await;
    let kill = || {
        daemons[0].kill_9();
        daemons[0].start();
    };
    let (exit, _, journal) = midway(&bench, &run, |view| case.gates(view), kill).await;
    assert_eq!(exit, 1, "{journal}");
    bench.assert_as_before(&before, &journal).await;
}

#[tokio::test]
async fn a_daemon_of_a_wave_killed_midway_takes_every_wave_back() {
    a_daemon_is_killed(ROLLING_DEPLOY).await;
}

#[tokio::test]
async fn a_daemon_killed_midway_takes_all_hosts_back() {
    a_daemon_is_killed(RECREATE_DEPLOY).await;
}

#[tokio::test]
async fn a_daemon_of_a_wave_killed_midway_takes_a_rollback_back() {
    a_daemon_is_killed(ROLLING_ROLLBACK).await;
}

#[tokio::test]
async fn a_daemon_whose_wave_is_to_come_may_be_restarted_meanwhile() {
    let daemons = fleet::lease(3);
    let mut bench = rolling(sockets(&daemons));
    let first = bench.good(RunKind::Deploy).await;
    steady(&mut bench, Duration::from_secs(5));
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let (exit, view, journal) = midway(
        &bench,
        &run,
        |view| is_at(view, "gate", 1, 0),
        || {
            daemons[2].stop();
            daemons[2].start();
        },
    )
    .await;
    assert_eq!(exit, 0, "{journal}");
    assert_ne!(view.to, Some(first));
    bench.assert_on(view.to.unwrap(), &journal).await;
}

async fn a_host_is_cut_off(case: Case) {
    let daemons = fleet::lease(3);
    let mut bench = Bench::on(daemons.iter().map(Daemon::tcp_host).collect(), image::BUSYBOX);
    case.stand(&mut bench, Duration::from_mins(1)).await;
    let before = bench.look().await;
    let run = bench.launch(&bench.state, case.kind).await;
    let cut = || daemons[0].cut_link();
    let (exit, view, journal) = midway(&bench, &run, |view| case.gates(view), cut).await;
    assert_eq!(exit, 5, "{journal}");
    let (why, left) = needs_human(&view, &journal);
    let lost = daemons[0].name().as_str();
    assert!(why.contains(lost), "{why}");
    assert!(left.iter().any(|line| line.contains(lost)), "{left:?}");
    // What ran on the other two runs there, and is proven to be as before.
    daemons[0].mend_link();
    let now = bench.look().await;
    as_before_on(&[name(&bench, 1), name(&bench, 2)], &before, &now, &journal);
    let there = name(&bench, 0);
    let left = differences(&there, &before[&there], &now[&there]);
    assert!(!left.is_empty(), "what it left there is there still: {now:#?}");
    // It is what `recover` finds by itself, and undoes there.
    let (exit, view) = bench.recover(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
    steady(&mut bench, Duration::from_millis(50));
    let next = bench.good(RunKind::Deploy).await;
    bench.assert_on(next, "").await;
}

#[tokio::test]
async fn a_host_cut_off_midway_needs_a_human_and_what_is_left_is_undone_when_it_is_back() {
    a_host_is_cut_off(ROLLING_DEPLOY).await;
}

#[tokio::test]
async fn a_host_cut_off_while_all_are_replaced_needs_a_human_and_the_others_are_as_before() {
    a_host_is_cut_off(RECREATE_DEPLOY).await;
}

#[tokio::test]
async fn a_host_cut_off_in_a_rollback_needs_a_human_and_the_others_are_as_before() {
    a_host_is_cut_off(ROLLING_ROLLBACK).await;
}

#[tokio::test]
async fn a_request_that_a_cut_link_swallowed_is_not_delivered_when_it_is_mended() {
    let daemons = fleet::lease(1);
    let id = daemons[0].run("web", "trap 'exit 0' TERM; while :; do sleep 1; done");
    let daemon = hosts::connect(&daemons[0].tcp_host(), Access::Full)
        .await
        .unwrap();
    daemons[0].cut_link();
    let stop = daemon.change().unwrap();
    let stopped = tokio::time::timeout(
        Duration::from_mins(1),
        stop.stop_container(id.as_str(), None::<StopContainerOptions>),
    );
    let fault = stopped
        .await
        .expect("it is given up while nobody may have its lock");
    assert!(fault.is_err(), "the link is cut");
    daemons[0].mend_link();
    // What the kernel still had to send would come before this.
    let again = hosts::connect(&daemons[0].tcp_host(), Access::ReadOnly)
        .await
        .unwrap();
    again.read().ping().await.unwrap();
    assert_eq!(daemons[0].inspect(&id)["State"]["Status"], "running");
}

#[tokio::test]
async fn a_stop_that_goes_on_without_its_runner_is_waited_for_before_it_is_said_to_be_reverted() {
    let daemons = fleet::lease(1);
    let mut bench = Bench::on(sockets(&daemons), image::BUSYBOX);
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.spec.command = ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"]
        .map(str::to_owned)
        .into();
    deploy.spec.stop_grace = Duration::from_secs(8);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let since = seconds();
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let stopping = async {
        let is_kill = |line: &String| line.contains("\"Action\":\"kill\"");
        while !events(&daemons[0], since, seconds()).iter().any(is_kill) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), stopping)
        .await
        .unwrap();
    kill_process(bench.process(&run), Signal::KILL).unwrap();
    assert_eq!(bench.ended(&run).await.0, 5);
    let (exit, view) = bench.recover(&run).await;
    let journal = bench.journal(&run);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    bench.assert_as_before(&before, &journal).await;
    // Longer than the grace.
    tokio::time::sleep(Duration::from_secs(10)).await;
    bench.assert_as_before(&before, &journal).await;
}

fn restart(daemon: &Daemon, container: &str) {
    let path = format!("/containers/{container}/restart?t=1");
    daemon.ask("POST", &path, &Value::Null);
}

async fn a_replica_is_restarted_by_hand(case: Case) {
    let daemons = fleet::lease(3);
    let mut bench = Bench::on(sockets(&daemons), image::BUSYBOX);
    case.stand(&mut bench, Duration::from_secs(10)).await;
    let before = bench.look().await;
    let run = bench.launch(&bench.state, case.kind).await;
    let by_hand = || restart(&daemons[0], case.names()[0]);
    let (exit, view, journal) = midway(&bench, &run, |view| case.gates(view), by_hand).await;
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    bench.assert_as_before(&before, &journal).await;
}

#[tokio::test]
async fn a_replica_restarted_by_hand_in_its_gate_is_not_good() {
    a_replica_is_restarted_by_hand(ROLLING_DEPLOY).await;
}

#[tokio::test]
async fn a_replica_restarted_by_hand_while_all_are_in_the_gate_is_not_good() {
    a_replica_is_restarted_by_hand(RECREATE_DEPLOY).await;
}

#[tokio::test]
async fn a_kept_replica_restarted_by_hand_in_its_gate_is_not_good() {
    a_replica_is_restarted_by_hand(ROLLING_ROLLBACK).await;
}

#[tokio::test]
async fn a_replica_whose_wave_is_to_come_may_be_restarted_by_hand() {
    let daemons = fleet::lease(3);
    let mut bench = rolling(sockets(&daemons));
    bench.good(RunKind::Deploy).await;
    steady(&mut bench, Duration::from_secs(3));
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let (exit, view, journal) = midway(
        &bench,
        &run,
        |view| is_at(view, "gate", 1, 0),
        || restart(&daemons[2], "shop.r1.1"),
    )
    .await;
    assert_eq!(exit, 0, "{:?}\n{journal}", view.status);
    bench.assert_on(view.to.unwrap(), &journal).await;
}

/// What `docker system prune -f` asks for.
fn prune(daemon: &Daemon) {
    for what in ["containers", "networks", "images", "build"] {
        daemon.ask("POST", &format!("/{what}/prune"), &Value::Null);
    }
}

async fn a_system_is_pruned(case: Case) {
    let daemons = fleet::lease(3);
    let mut bench = Bench::on(sockets(&daemons), image::BUSYBOX);
    case.stand(&mut bench, Duration::from_secs(30)).await;
    let before = bench.look().await;
    let run = bench.launch(&bench.state, case.kind).await;
    let pruned = || prune(&daemons[0]);
    let (exit, view, journal) = midway(&bench, &run, |view| case.gates(view), pruned).await;
    assert_eq!(exit, 5, "{journal}");
    let (why, _) = needs_human(&view, &journal);
    assert!(why.contains("the lock of this run is gone"), "{why}");
    // The old container went with the prune: no recovery can say that it is as before.
    let (exit, view) = bench.recover(&run).await;
    let journal = bench.journal(&run);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    let (_, left) = needs_human(&view, &journal);
    assert!(
        left.iter()
            .any(|line| line.contains(&format!("{} is gone", case.names()[1]))),
        "{left:?}"
    );
    let now = bench.look().await;
    as_before_on(&[name(&bench, 1), name(&bench, 2)], &before, &now, &journal);
    steady(&mut bench, Duration::from_millis(50));
    let next = bench.good(RunKind::Deploy).await;
    bench.assert_on(next, "").await;
    // And back to the one whose container is gone on one host: made again there from the history.
    let back = bench.good(RunKind::Rollback).await;
    bench.assert_on(back, "").await;
}

#[tokio::test]
async fn a_system_prune_midway_is_said_with_what_it_took_and_the_next_deploy_puts_it_right() {
    a_system_is_pruned(ROLLING_DEPLOY).await;
}

#[tokio::test]
async fn a_system_prune_while_all_are_replaced_is_said_with_what_it_took() {
    a_system_is_pruned(RECREATE_DEPLOY).await;
}

#[tokio::test]
async fn a_system_prune_in_a_rollback_is_said_with_what_it_took() {
    a_system_is_pruned(ROLLING_ROLLBACK).await;
}

#[tokio::test]
async fn after_a_prune_of_every_host_another_bastion_rolls_back_from_the_ledgers_alone() {
    let daemons = fleet::lease(3);
    let bench = rolling(sockets(&daemons));
    let first = bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.good(RunKind::Deploy).await;
    daemons.iter().for_each(prune);
    let other = bench.another();
    assert_eq!(other.good(RunKind::Rollback).await, first);
    other.assert_on(first, "").await;
    for (host, replicas) in other.look().await {
        let is_kept = replicas.iter().any(|one| one.id == before[&host][0].id);
        assert!(!is_kept, "{host}: it went with the prune: {replicas:#?}");
    }
}

/// What `docker system prune --filter` asks for: of the release that a rollback will start where it has not come to yet.
#[tokio::test]
async fn a_filtered_prune_of_what_a_later_wave_will_start_commits_nothing() {
    let daemons = fleet::lease(3);
    let mut bench = Bench::on(sockets(&daemons), image::BUSYBOX);
    ROLLING_ROLLBACK.stand(&mut bench, Duration::from_secs(5)).await;
    let before = bench.look().await;
    let run = bench.launch(&bench.state, RunKind::Rollback).await;
    let filters = "%7B%22label%22%3A%5B%22pilothouse.release%3Dr1%22%5D%7D";
    let pruned = || {
        let path = format!("/containers/prune?filters={filters}");
        let answer = daemons[2].ask("POST", &path, &Value::Null);
        assert_eq!(
            answer["ContainersDeleted"].as_array().unwrap().len(),
            1,
            "{answer}"
        );
    };
    let gates = |view: &RunView| ROLLING_ROLLBACK.gates(view);
    let (exit, view, journal) = midway(&bench, &run, gates, pruned).await;
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    let (why, left) = needs_human(&view, &journal);
    assert!(
        why.contains("could not start shop.r1.1") && why.contains("it is gone"),
        "{why}"
    );
    assert!(
        !left.is_empty() && left.iter().all(|line| line.contains("shop.r1.1 is gone")),
        "{left:?}"
    );
    let now = bench.look().await;
    as_before_on(&[name(&bench, 0), name(&bench, 1)], &before, &now, &journal);
    for (host, replicas) in now {
        let up: Vec<_> = replicas.iter().filter(|one| one.state.is_up()).collect();
        assert!(
            up.len() == 1 && up[0].name == "shop.r2.1",
            "{host}: {replicas:#?}"
        );
    }
}

async fn a_second_operator_presses(case: Case) {
    let daemons = fleet::lease(3);
    let mut bench = Bench::on(sockets(&daemons), image::BUSYBOX);
    case.stand(&mut bench, Duration::from_secs(5)).await;
    let run = bench.launch(&bench.state, case.kind).await;
    bench.locked(3).await;
    let mut other = bench.another();
    steady(&mut other, Duration::from_millis(50));
    let request = |kind, wait| RunRequest {
        wait,
        ..other.request(kind)
    };
    for kind in [RunKind::Deploy, RunKind::Rollback] {
        let request = request(kind, Wait::No);
        let refused = Box::pin(runs::launch(&other.state, &other.config, &request, actor())).await;
        let refused = refused.unwrap();
        let (exit, view) = other.ended(&refused).await;
        assert_eq!(exit, 4, "{:?}", view.status);
        let said = format!("{:?}", view.status);
        assert!(said.contains("ops-a") && said.contains(run.as_str()), "{said}");
    }
    let patient = request(RunKind::Rollback, Wait::UpTo(Duration::from_mins(3)));
    let waiting = Box::pin(runs::launch(&other.state, &other.config, &patient, actor())).await;
    let waiting = waiting.unwrap();
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&run));
    let (exit, seen) = other.ended(&waiting).await;
    let journal = other.journal(&waiting);
    if case.kind == RunKind::Rollback {
        assert_eq!(
            exit, 1,
            "there is nothing before it: {:?}\n{journal}",
            seen.status
        );
        bench.assert_on(view.to.unwrap(), &journal).await;
    } else {
        assert_eq!(exit, 0, "{:?}\n{journal}", seen.status);
        assert_eq!(
            seen.to,
            Some(ReleaseNumber(1)),
            "back to what was before the first one's"
        );
        other.assert_on(ReleaseNumber(1), &journal).await;
    }
}

#[tokio::test]
async fn a_second_operator_is_told_who_is_at_it_or_waits_for_the_turn() {
    a_second_operator_presses(ROLLING_DEPLOY).await;
}

#[tokio::test]
async fn a_second_operator_is_told_who_replaces_all_or_waits_for_the_turn() {
    a_second_operator_presses(RECREATE_DEPLOY).await;
}

#[tokio::test]
async fn a_second_operator_is_told_who_rolls_back_or_waits_for_the_turn() {
    a_second_operator_presses(ROLLING_ROLLBACK).await;
}

/// A file system of its own; goes with the test.
struct Disk(std::path::PathBuf);

impl Disk {
    fn of(megabytes: u32) -> Self {
        let folder = fleet::folder("disk");
        let size = format!("size={megabytes}m,mode=700");
        succeed(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
                .arg(&folder),
        );
        Self(folder)
    }

    /// Until not one byte more is taken.
    fn fill(&self) {
        use std::io::Write as _;
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.0.join("full"))
            .unwrap();
        for size in [1 << 16, 1] {
            let bytes = vec![0; size];
            while file.write_all(&bytes).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("full")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).status());
    }
}

async fn the_disk_under_the_journal_is_full(case: Case) {
    let daemons = fleet::lease(3);
    let mut bench = Bench::on(sockets(&daemons), image::BUSYBOX);
    let disk = Disk::of(8);
    let dir = StateDir {
        dir: Some(disk.0.join("state")),
        ..StateDir::default()
    };
    let program = env!("CARGO_BIN_EXE_pilothouse").into();
    bench.state = State::open(&dir, &|_| None).unwrap().with_program(program);
    // While it waits it says so each second: more than what its last page may still have room for.
    case.stand(&mut bench, Duration::from_secs(12)).await;
    let before = bench.look().await;

    disk.fill();
    let request = bench.request(case.kind);
    let refused = Box::pin(runs::launch(&bench.state, &bench.config, &request, actor())).await;
    let said = match refused {
        Err(fault) => fault.to_string(),
        Ok(run) => format!("{:?}", bench.ended(&run).await.1.status),
    };
    assert!(said.contains("No space left"), "{said}");
    bench.assert_as_before(&before, &said).await;
    disk.free();

    let run = bench.launch(&bench.state, case.kind).await;
    until_at(&bench, &run, |view| case.gates(view)).await;
    let reserve = bench.state.dir(&run).join("reserve");
    let mut ended = std::pin::pin!(bench.ended(&run));
    let (exit, view) = loop {
        // Also what the run itself gives back.
        if reserve.exists() {
            disk.fill();
        }
        tokio::select! {
            ended = &mut ended => break ended,
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    };
    let journal = bench.journal(&run);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    let why = why(&view);
    let said = format!("the disk of {} is full", bench.state.dir(&run).display());
    assert!(why.contains(&said), "{why}");
    bench.assert_as_before(&before, &journal).await;
    assert!(!reserve.exists(), "it was given back");
    disk.free();
    bench.good(RunKind::Deploy).await;
}

#[tokio::test]
async fn a_full_disk_under_the_journal_stops_a_run_before_its_locks_and_turns_one_back_midway() {
    the_disk_under_the_journal_is_full(ROLLING_DEPLOY).await;
}

#[tokio::test]
async fn a_full_disk_under_the_journal_turns_a_deploy_to_all_at_once_back() {
    the_disk_under_the_journal_is_full(RECREATE_DEPLOY).await;
}

#[tokio::test]
async fn a_full_disk_under_the_journal_turns_a_rollback_back() {
    the_disk_under_the_journal_is_full(ROLLING_ROLLBACK).await;
}

/// Of a container, image, network or volume, as the daemon itself tells of it: moments are its own.
fn events(daemon: &Daemon, since: u64, until: u64) -> Vec<String> {
    let answer = daemon.try_ask(
        "GET",
        &format!("/events?since={since}&until={until}"),
        &Value::Null,
    );
    answer.text().lines().map(str::to_owned).collect()
}

fn seconds() -> u64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    since.unwrap().as_secs()
}

/// A second of its own: events are asked for by whole ones.
async fn next_second() -> u64 {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    seconds()
}

async fn nothing_happened_since(since: u64, daemons: &[Daemon], journal: &str) {
    let until = next_second().await;
    for daemon in daemons {
        assert_eq!(events(daemon, since, until), [] as [String; 0], "{journal}");
    }
}

/// Nothing is helped along: by the daemons' own clocks the lease runs out, another bastion waits for that and deploys, and
/// then the link is mended. The old holder has done nothing since, and does nothing.
#[tokio::test]
async fn a_lease_that_ran_out_behind_a_cut_link_is_taken_after_90_s_and_its_holder_does_nothing_from_then_on()
{
    let daemons = fleet::lease(2);
    let mut bench = Bench::on(daemons.iter().map(Daemon::tcp_host).collect(), image::BUSYBOX);
    bench.good(RunKind::Deploy).await;
    let mut other = bench.another();
    other.config.hosts = sockets(&daemons);
    steady(&mut bench, Duration::from_mins(10));
    bench.config.services[0].deploy.as_mut().unwrap().gate.within = Duration::from_mins(20);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    until_at(&bench, &run, |view| is_at(view, "gate", 2, 0)).await;
    let cut = Instant::now();
    daemons.iter().for_each(Daemon::cut_link);
    let at_once = RunRequest {
        wait: Wait::No,
        ..other.request(RunKind::Deploy)
    };
    let early = Box::pin(runs::launch(&other.state, &other.config, &at_once, actor())).await;
    let (exit, view) = other.ended(&early.unwrap()).await;
    assert_eq!(exit, 4, "{:?}", view.status);
    let next = other.launch(&other.state, RunKind::Deploy).await;
    let (exit, view) = other.ended(&next).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, other.journal(&next));
    let release = view.to.unwrap();
    // The last renewal was up to 20 s before the cut.
    assert!(cut.elapsed() >= Duration::from_secs(69), "{:?}", cut.elapsed());
    other.assert_on(release, "").await;
    let world = other.world().await;
    let mended = next_second().await;
    daemons.iter().for_each(Daemon::mend_link);
    let (exit, view) = bench.ended(&run).await;
    let journal = bench.journal(&run);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    let words = format!("{:?}", view.status);
    assert!(words.contains("could not be renewed for 30 s"), "{words}");
    nothing_happened_since(mended, &daemons, &journal).await;
    // When it is asked to put its run in order, it finds it done.
    let (exit, view) = bench.recover(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, bench.journal(&run));
    assert!(
        matches!(
            view.status,
            RunStatus::Closed {
                outcome: Outcome::Reverted { .. },
                ..
            }
        ),
        "{:?}",
        view.status
    );
    other.assert_same_world(&world, &journal).await;
}

#[tokio::test]
async fn a_holder_whose_link_was_cut_does_nothing_once_its_lock_was_taken() {
    let daemons = fleet::lease(2);
    let mut bench = Bench::on(daemons.iter().map(Daemon::tcp_host).collect(), image::BUSYBOX);
    bench.good(RunKind::Deploy).await;
    let mut other = bench.another();
    other.config.hosts = sockets(&daemons);
    steady(&mut bench, Duration::from_mins(2));
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    until_at(&bench, &run, |view| is_at(view, "gate", 2, 0)).await;
    daemons.iter().for_each(Daemon::cut_link);
    // Its lease is 100 s old: the second operator takes the locks, puts in order what is there, and deploys.
    other.age_locks().await;
    let release = other.good(RunKind::Deploy).await;
    other.assert_on(release, "").await;
    let world = other.world().await;
    let mended = next_second().await;
    daemons.iter().for_each(Daemon::mend_link);
    let (exit, view) = bench.ended(&run).await;
    let journal = bench.journal(&run);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    nothing_happened_since(mended, &daemons, &journal).await;
    other.assert_same_world(&world, &journal).await;
}

//! The runner killed with SIGKILL after every record of its journal: recovery ends converged or reverted, verified by a diff.

use std::cell::Cell;
use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions};

use super::Sim;
use super::bench::crash::{Points, crash_matrix};
use pilothouse::config::service::{Batch, OnFailure, Order};
use pilothouse::config::test::{Need, NeedVolume, Ready, Test};
use pilothouse::domain::ids::RunId;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunKind;
use pilothouse::domain::run::RunStatus;
use pilothouse::runs;
use pilothouse::sim::Downfall;

#[tokio::test]
async fn a_deploy_killed_after_any_odd_record_is_recovered() {
    crash_matrix(
        &Sim::new(2),
        RunKind::Deploy,
        Points::Every { first: 1, step: 2 },
        None,
    )
    .await;
}

#[tokio::test]
async fn a_deploy_killed_after_any_even_record_is_recovered() {
    crash_matrix(
        &Sim::new(2),
        RunKind::Deploy,
        Points::Every { first: 2, step: 2 },
        None,
    )
    .await;
}

#[tokio::test]
async fn a_rollback_killed_after_any_odd_record_is_recovered() {
    crash_matrix(
        &Sim::new(2),
        RunKind::Rollback,
        Points::Every { first: 1, step: 2 },
        None,
    )
    .await;
}

#[tokio::test]
async fn a_rollback_killed_after_any_even_record_is_recovered() {
    crash_matrix(
        &Sim::new(2),
        RunKind::Rollback,
        Points::Every { first: 2, step: 2 },
        None,
    )
    .await;
}

/// Containers, networks and volumes of every host, as a person lists them.
async fn lists(bench: &Sim) -> Vec<String> {
    let mut found = Vec::new();
    for host in &bench.config.hosts {
        let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let containers = daemon.read().list_containers(Some(options)).await.unwrap();
        found.extend(containers.into_iter().filter_map(|container| container.id));
        let networks = daemon
            .read()
            .list_networks(None::<ListNetworksOptions>)
            .await
            .unwrap();
        found.extend(networks.into_iter().filter_map(|network| network.name));
        let volumes = daemon
            .read()
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .unwrap();
        found.extend(volumes.volumes.into_iter().flatten().map(|volume| volume.name));
    }
    found.sort();
    found
}

/// A service with one test, two needs and volumes of both kinds.
fn with_needs(bench: &mut Sim) {
    let host = bench.config.hosts[0].name.clone();
    let script = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
    let need = |name: &str| Need {
        name: name.to_owned(),
        image: "self".to_owned(),
        command: script("sleep 0.1; echo ready; while true; do sleep 1; done"),
        ready: Ready::Log("^ready$".to_owned()),
        within: Duration::from_mins(1),
        volumes: [None, Some("shared".to_owned())]
            .map(|volume| NeedVolume {
                target: format!("/data/{}", volume.as_deref().unwrap_or("own")),
                name: volume,
                read_only: false,
            })
            .into(),
        ..Need::default()
    };
    bench.config.services[0].tests = vec![Test {
        command: script("sleep 0.1; echo tested; test $PILOTHOUSE_ATTEMPT = 2"),
        needs: vec![need("db"), need("cache")],
        retries: 1,
        ..Test::new("api", host)
    }];
}

#[tokio::test]
async fn a_test_with_needs_killed_after_any_record_leaves_nothing_once_it_is_recovered() {
    let mut bench = Sim::new(2);
    with_needs(&mut bench);
    let before = lists(&bench).await;
    for after in 1.. {
        let run = bench.launch_dying(after, RunKind::Test).await;
        let (exit, view) = bench.ended(&run).await;
        let context = || format!("killed after record {after}:\n{}", bench.journal(&run));
        if exit == 0 {
            assert!(after > 7, "it ended before it could be killed: {}", context());
            let tested = view
                .stages
                .iter()
                .find_map(|stage| stage.tested.as_ref())
                .unwrap();
            assert!(tested.flaky && tested.attempt == 2, "{tested:?}");
            break;
        }
        assert_eq!(exit, 5, "{}", context());
        let (exit, _) = bench.recover(&run).await;
        assert_eq!(exit, 1, "{}", context());
        assert_eq!(lists(&bench).await, before, "{}", context());
    }
    assert_eq!(lists(&bench).await, before);
}

/// Its runner, killed as by the kernel.
fn kill_runner(run: &RunId) {
    let processes = std::fs::read_dir("/proc").unwrap();
    for process in processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok()) {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if line.contains("__run")
            && line.contains(run.as_str())
            && let Some(pid) = rustix::process::Pid::from_raw(process)
        {
            // It may have ended in this very moment.
            if let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
                assert_eq!(error, rustix::io::Errno::SRCH);
            }
        }
    }
}

/// The runner of a test with needs, killed at about the `n`th request that changes something: was it still at work then?
async fn killed_at(n: usize) -> bool {
    let mut bench = Sim::new(1);
    with_needs(&mut bench);
    let before = lists(&bench).await;
    let engine = bench.fleet.engine("host-1").unwrap().clone();
    let run = bench.launch(&bench.state, RunKind::Test).await;
    let changes = || {
        let requests = engine.requests();
        requests
            .iter()
            .filter(|request| !request.starts_with("GET"))
            .count()
    };
    while changes() < n {
        if !matches!(runs::view(&bench.state, &run).unwrap().status, RunStatus::Running) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    kill_runner(&run);
    let (exit, _) = bench.ended(&run).await;
    if exit != 0 {
        let (exit, _) = bench.recover(&run).await;
        assert_eq!(exit, 1, "killed at request {n}:\n{}", bench.journal(&run));
    }
    assert_eq!(
        lists(&bench).await,
        before,
        "killed at request {n}:\n{}",
        bench.journal(&run)
    );
    exit != 0
}

#[tokio::test]
async fn a_test_with_needs_killed_at_any_of_its_requests_leaves_nothing_once_it_is_recovered() {
    // One attempt alone makes more: a network, volumes, three containers, their starts, and their removal.
    let mut killed = 0;
    while Box::pin(killed_at(killed + 1)).await {
        killed += 1;
    }
    assert!(killed > 15, "only {killed} were killed");
}

/// Every daemon goes and comes again: every second by an orderly end, and the other way round the next time.
fn restarted(bench: &Sim) -> impl Fn() {
    let engines: Vec<_> = bench.fleet.engines().cloned().collect();
    let times = Cell::new(0);
    move || {
        let time = times.replace(times.get() + 1);
        for (at, engine) in engines.iter().enumerate() {
            let how = [Downfall::Killed, Downfall::Stopped][(at + time) % 2];
            engine.restart(how).unwrap();
        }
    }
}

#[tokio::test]
async fn restarted_behind_any_odd_record_of_a_deploy_the_old_is_up_before_the_commit_and_never_after() {
    let bench = Sim::new(2);
    let points = Points::Every { first: 1, step: 2 };
    crash_matrix(&bench, RunKind::Deploy, points, Some(&restarted(&bench))).await;
}

#[tokio::test]
async fn restarted_behind_any_even_record_of_a_rollback_the_old_is_up_before_the_commit_and_never_after() {
    let bench = Sim::new(2);
    let points = Points::Every { first: 2, step: 2 };
    crash_matrix(&bench, RunKind::Rollback, points, Some(&restarted(&bench))).await;
}

#[tokio::test]
async fn restarted_in_each_step_of_a_rolling_release_the_old_is_up_before_the_commit_and_never_after() {
    for kind in [RunKind::Deploy, RunKind::Rollback] {
        for order in [Order::StopFirst, Order::StartFirst] {
            let mut bench = Sim::new(2);
            bench.rolling(Batch::Count(1), order, OnFailure::Revert);
            crash_matrix(&bench, kind, Points::EachStep, Some(&restarted(&bench))).await;
        }
    }
}

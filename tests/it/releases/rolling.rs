//! Rolling deploys on simulated daemons: waves in order, reverted or paused after a failure, killed after every record.

use std::time::Duration;

use pilothouse::config::service::{Batch, Mount, OnFailure, Order, Publish, Slot, Strategy, Test};
use pilothouse::config::test::TestImage;
use pilothouse::domain::exit::Exit;
use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::PlanView;
use pilothouse::domain::run::{RunKind, RunView};
use pilothouse::hosts;
use pilothouse::release::replica::{Replica, Up};
use pilothouse::runs;
use rustix::process::{Signal, kill_process};

use super::Sim;
use super::bench::Seen;
use super::bench::crash::{Points, crash_matrix};
use super::bench::reverted::why;
use super::bench::rolling::{assert_paused, pause_matrix};
use super::bench::stages::{command, container, custom, told};

fn rolling(hosts: usize, batch: Batch, order: Order, on_failure: OnFailure) -> Sim {
    let mut bench = Sim::new(hosts);
    bench.rolling(batch, order, on_failure);
    bench
}

fn names(bench: &Sim) -> Vec<HostName> {
    bench.config.hosts.iter().map(|host| host.name.clone()).collect()
}

async fn plan(bench: &Sim, kind: RunKind) -> PlanView {
    let request = bench.request(kind);
    runs::plan(&bench.state, &bench.config, &request, Access::Full)
        .await
        .unwrap()
}

/// The steps of a journal in the order they were begun: `wave 1: stop on host-1`.
fn begun(journal: &str) -> Vec<String> {
    let records = journal
        .lines()
        .map(|line| serde_json::from_str::<pilothouse::release::record::Record>(line).unwrap());
    records
        .filter_map(|record| match record.entry {
            pilothouse::release::record::Entry::Intent(step) => Some(step.to_string()),
            _ => None,
        })
        .collect()
}

/// Wave 1 is in its gate; meanwhile what wave 2 will start is removed.
async fn pruned_meanwhile(kind: RunKind, goes: &str) -> (Sim, Seen, u8, RunView) {
    let mut bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    if kind == RunKind::Rollback {
        bench.good(RunKind::Deploy).await;
    }
    bench.config.services[0].deploy.as_mut().unwrap().gate.steady = Duration::from_secs(3);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let run = bench.launch(&bench.state, kind).await;
    bench.gating(&run, 1).await;
    let runner = bench.process(&run);
    kill_process(runner, Signal::STOP).unwrap();
    let second = bench
        .config
        .hosts
        .iter()
        .find(|host| host.name.as_str() == "host-2");
    let daemon = hosts::connect(second.unwrap(), Access::Full).await.unwrap();
    let replicas = bench.look().await.remove(daemon.name()).unwrap();
    let gone = replicas.iter().find(|replica| replica.name == goes).unwrap();
    let docker = daemon.change().unwrap();
    docker.remove_container(gone.id.as_str(), None).await.unwrap();
    kill_process(runner, Signal::CONT).unwrap();
    let (exit, view) = bench.ended(&run).await;
    (bench, before, exit, view)
}

#[tokio::test]
async fn what_a_later_wave_was_to_start_and_is_gone_turns_a_deploy_back() {
    let (bench, before, exit, view) = pruned_meanwhile(RunKind::Deploy, "shop.r2.1").await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    assert_eq!(why(&view), "could not start shop.r2.1 on host-2: it is gone");
    bench.assert_as_before(&before, &journal).await;
}

#[tokio::test]
async fn what_a_later_wave_was_to_wake_and_is_gone_turns_a_rollback_back() {
    let (bench, before, exit, view) = pruned_meanwhile(RunKind::Rollback, "shop.r1.1").await;
    let journal = bench.journal(&view.id);
    // What was kept cannot be brought back; what served does.
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    let said = format!("{:?}", view.status);
    assert!(
        said.contains("could not start shop.r1.1 on host-2: it is gone"),
        "{said}"
    );
    assert!(said.contains("host-2: shop.r1.1 is gone"), "{said}");
    let now = bench.look().await;
    for (host, replicas) in before {
        let served = replicas.iter().find(|one| one.state.is_up()).unwrap();
        let is_up =
            |one: &Replica| one.id == served.id && one.state == Up::Running && one.policy == served.policy;
        assert!(
            now[&host].iter().any(is_up),
            "{host}: {:#?}\n{journal}",
            now[&host]
        );
    }
}

#[tokio::test]
async fn the_plan_of_a_first_release_that_pauses_says_that_the_hosts_done_by_then_stay() {
    let bench = rolling(3, Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    let undo = plan(&bench, RunKind::Deploy).await.undo.join("\n");
    assert!(
        undo.contains("SPLIT") && undo.contains("if cancelled: r1 is removed"),
        "{undo}"
    );
}

#[tokio::test]
async fn waves_are_taken_in_the_order_of_the_hosts_with_the_canary_before_them() {
    let mut bench = rolling(3, Batch::Count(2), Order::StopFirst, OnFailure::Revert);
    bench.good(RunKind::Deploy).await;
    let hosts = names(&bench);
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    let Strategy::Rolling(rolling) = &mut deploy.strategy else {
        panic!("it is rolling")
    };
    rolling.canary = Some(hosts[2].clone());
    let plan = plan(&bench, RunKind::Deploy).await;
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    let order = plan.order.join("\n");
    for line in [
        "rolling, 2 at a time, in 2 waves: stop r1, start r2",
        "wave 1: host-3 (canary)",
        "wave 2: host-1, host-2",
    ] {
        assert!(order.contains(line), "{order}");
    }
    let (exit, view) = bench.run(RunKind::Deploy).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 0, "{journal}");
    bench.assert_on(ReleaseNumber(2), &journal).await;
    let mut waves: Vec<String> = begun(&journal);
    waves.retain(|step| step.starts_with("wave"));
    let (canary, others) = waves.split_at(3);
    assert_eq!(
        canary,
        [
            "wave 1: stop on host-3",
            "wave 1: start on host-3",
            "wave 1: gate on host-3"
        ]
    );
    assert_eq!(others.len(), 6);
    assert!(others.iter().all(|step| step.starts_with("wave 2")), "{others:?}");
    // And back the same way.
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    bench.assert_on(ReleaseNumber(1), "").await;
}

#[tokio::test]
async fn a_wave_that_fails_takes_every_wave_back_the_last_one_first() {
    let mut bench = rolling(3, Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let hosts = names(&bench);
    bench.fails_on(&hosts[1..2]).await;
    let (exit, view) = bench.run(RunKind::Deploy).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    bench.assert_as_before(&before, &journal).await;
    let steps = begun(&journal);
    let at = |wanted: &str| {
        let found = steps.iter().position(|step| step == wanted);
        found.unwrap_or_else(|| panic!("{wanted} is not in {steps:#?}"))
    };
    assert!(at("wave 2: gate of the old on host-2") < at("wave 1: halt on host-1"));
    assert!(
        !steps.iter().any(|step| step.starts_with("wave 3")),
        "what was not begun is not touched: {steps:#?}"
    );
}

#[tokio::test]
async fn with_replicas_on_a_host_each_wave_replaces_its_own_only() {
    let mut bench = rolling(2, Batch::Count(1), Order::StartFirst, OnFailure::Revert);
    bench.config.services[0].deploy.as_mut().unwrap().replicas = 2;
    bench.good(RunKind::Deploy).await;
    let (exit, view) = bench.run(RunKind::Deploy).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 0, "{journal}");
    let waves = begun(&journal);
    let stops = waves.iter().filter(|step| step.contains(": stop on")).count();
    assert_eq!(stops, 4, "{waves:#?}");
    for (host, replicas) in bench.look().await {
        let up: Vec<_> = replicas.iter().filter(|replica| replica.state.is_up()).collect();
        assert_eq!(up.len(), 2, "{host}: {replicas:#?}");
        assert!(up.iter().all(|replica| replica.release == Some(ReleaseNumber(2))));
    }
}

#[tokio::test]
async fn a_paused_run_is_split_and_both_ways_on_are_open() {
    let mut bench = rolling(3, Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let hosts = names(&bench);
    bench.fails_on(&hosts[2..]).await;
    let (exit, view) = bench.run(RunKind::Deploy).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    assert_paused(&view, &journal);
    assert!(
        view.notes.iter().any(|note| note.contains("rollback")),
        "{:?}",
        view.notes
    );
    bench
        .assert_split((&hosts[..2], ReleaseNumber(2)), &before, &journal)
        .await;
    // Recovering it finds nothing to do and says the same.
    let (exit, again) = bench.recover(&view.id).await;
    assert_eq!(exit, 5, "{:?}", again.status);
    bench
        .assert_split((&hosts[..2], ReleaseNumber(2)), &before, &journal)
        .await;
    let plan = plan(&bench, RunKind::Rollback).await;
    assert_eq!(plan.to, Some(ReleaseNumber(1)), "{plan:?}");
    assert!(
        plan.warnings.iter().any(|note| note.contains("SPLIT")),
        "{:?}",
        plan.warnings
    );
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    bench.assert_on(ReleaseNumber(1), "").await;
    // Again, and on to a new one.
    let (exit, _) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 5);
    bench.fails_nowhere();
    let last = bench.good(RunKind::Deploy).await;
    bench.assert_on(last, "").await;
    // What was only on some is never where a rollback goes.
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
}

#[tokio::test]
async fn a_paused_pipeline_does_nothing_behind_the_deploy_but_what_is_always_done() {
    let mut bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    bench.good(RunKind::Deploy).await;
    let hosts = names(&bench);
    bench.fails_on(&hosts[1..]).await;
    let folder = tempfile::tempdir().unwrap();
    let service = &mut bench.config.services[0];
    service.stages = vec![
        command(folder.path(), "report", false, 0),
        command(folder.path(), "notify", true, 0),
        container("tidy", &hosts[0], true, TestImage::Own),
    ];
    let e2e = Test {
        command: ["sh", "-c", "exit 0"].map(str::to_owned).into(),
        ..Test::new("e2e", hosts[0].clone())
    };
    service.tests = vec![e2e];
    service.pipeline = vec![
        vec![Slot::Deploy],
        vec![Slot::Test("e2e".to_owned())],
        vec![custom("report")],
    ];
    let (exit, view) = bench.run(RunKind::Pipeline).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    // The split is all that a person is told of.
    assert_paused(&view, &journal);
    assert_eq!(told(folder.path()), ["notify needs-human"]);
    assert!(
        view.output
            .iter()
            .any(|line| line.text == "tidy is run needs-human"),
        "{:?}",
        view.output
    );
    let steps = begun(&journal);
    assert!(!steps.iter().any(|step| step.contains("e2e")), "{steps:?}");
}

#[tokio::test]
async fn where_the_first_wave_fails_or_somebody_cancels_nothing_is_kept() {
    let mut bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let hosts = names(&bench);
    bench.fails_on(&hosts[..1]).await;
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 1, "{:?}", view.status);
    bench.assert_as_before(&before, &bench.journal(&view.id)).await;

    bench.fails_nowhere();
    bench.config.services[0].deploy.as_mut().unwrap().bake = Duration::from_mins(5);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let state = bench.state.clone();
    let mut asked = false;
    let exit = runs::follow(&bench.state, &run, |view| {
        let baking = view
            .stages
            .iter()
            .any(|stage| stage.name == "bake" && format!("{:?}", stage.cells).contains("Running"));
        if baking && !asked {
            asked = true;
            runs::cancel(&state, &view.id, "ops-b").unwrap();
        }
    })
    .await
    .unwrap();
    assert_eq!(exit, Exit::Interrupted, "{}", bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
}

#[tokio::test]
async fn what_falls_over_while_it_bakes_takes_all_back() {
    let mut bench = rolling(2, Batch::Percent(50), Order::StartFirst, OnFailure::Revert);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.config.services[0].deploy.as_mut().unwrap().bake = Duration::from_mins(5);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let engine = bench.fleet.engine("host-1").unwrap();
    let mut felled = false;
    let exit = runs::follow(&bench.state, &run, |view| {
        let baking = view.stages.iter().any(|stage| {
            stage.name == "bake" && format!("{:?}", stage.cells).matches("Running").count() == 2
        });
        if baking && !felled {
            felled = true;
            engine.die("shop.r2.1", 7).unwrap();
        }
    })
    .await
    .unwrap();
    let view = runs::view(&bench.state, &run).unwrap();
    assert_eq!(exit, Exit::Failed, "{:?}", view.status);
    assert!(why(&view).contains("exited with code 7"), "{}", why(&view));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
}

#[tokio::test]
async fn side_by_side_is_refused_where_both_would_publish_a_port_or_write_to_a_volume() {
    let mut bench = rolling(1, Batch::Count(1), Order::StartFirst, OnFailure::Revert);
    bench.fails_on(&[]).await;
    bench.fails_nowhere();
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.spec.ports = vec![Publish {
        address: None,
        outside: 8080,
        inside: 80,
        protocol: "tcp".to_owned(),
    }];
    deploy.spec.volumes = vec![Mount {
        source: "flags".to_owned(),
        target: "/data".to_owned(),
        read_only: false,
    }];
    let refused = plan(&bench, RunKind::Deploy).await.refusals;
    let words: Vec<String> = refused.iter().map(|fault| fault.why.clone()).collect();
    assert!(
        matches!(&words[..], [port, volume]
            if port.contains("both would publish port 8080/tcp") && volume.contains("both would write to flags (at /data)")),
        "{words:?}"
    );
    // The run itself says no, too.
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 1, "{:?}", view.status);
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.shared = true;
    deploy.spec.ports.clear();
    assert_eq!(plan(&bench, RunKind::Deploy).await.refusals, []);
}

#[tokio::test]
async fn one_by_one_killed_after_any_odd_record() {
    let bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 1, step: 2 }, None).await;
}

#[tokio::test]
async fn one_by_one_killed_after_any_even_record() {
    let bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 2, step: 2 }, None).await;
}

#[tokio::test]
async fn one_by_one_back_killed_after_any_odd_record() {
    let bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    crash_matrix(
        &bench,
        RunKind::Rollback,
        Points::Every { first: 1, step: 2 },
        None,
    )
    .await;
}

#[tokio::test]
async fn one_by_one_back_killed_after_any_even_record() {
    let bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    crash_matrix(
        &bench,
        RunKind::Rollback,
        Points::Every { first: 2, step: 2 },
        None,
    )
    .await;
}

#[tokio::test]
async fn half_by_half_side_by_side_killed_after_any_odd_record() {
    let bench = rolling(3, Batch::Percent(50), Order::StartFirst, OnFailure::Revert);
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 1, step: 2 }, None).await;
}

#[tokio::test]
async fn half_by_half_side_by_side_killed_after_any_even_record() {
    let bench = rolling(3, Batch::Percent(50), Order::StartFirst, OnFailure::Revert);
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 2, step: 2 }, None).await;
}

#[tokio::test]
async fn half_by_half_side_by_side_back_killed_after_any_odd_record() {
    let bench = rolling(3, Batch::Percent(50), Order::StartFirst, OnFailure::Revert);
    crash_matrix(
        &bench,
        RunKind::Rollback,
        Points::Every { first: 1, step: 2 },
        None,
    )
    .await;
}

#[tokio::test]
async fn half_by_half_side_by_side_back_killed_after_any_even_record() {
    let bench = rolling(3, Batch::Percent(50), Order::StartFirst, OnFailure::Revert);
    crash_matrix(
        &bench,
        RunKind::Rollback,
        Points::Every { first: 2, step: 2 },
        None,
    )
    .await;
}

#[tokio::test]
async fn a_paused_run_killed_after_any_odd_record_is_reverted_or_paused() {
    let mut bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    pause_matrix(&mut bench, 1, 2).await;
}

#[tokio::test]
async fn a_paused_run_killed_after_any_even_record_is_reverted_or_paused() {
    let mut bench = rolling(2, Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    pause_matrix(&mut bench, 2, 2).await;
}

#[tokio::test]
async fn a_run_that_nothing_goes_wrong_with_takes_all_its_steps() {
    let revert = OnFailure::Revert;
    let benches = [
        Sim::new(1),
        Sim::new(3),
        rolling(3, Batch::Count(2), Order::StopFirst, revert),
        rolling(3, Batch::Count(1), Order::StartFirst, revert),
    ];
    for bench in benches {
        for kind in [RunKind::Deploy, RunKind::Deploy, RunKind::Rollback] {
            let (exit, view) = bench.run(kind).await;
            let journal = bench.journal(&view.id);
            assert_eq!(exit, 0, "{journal}");
            let taken = begun(&journal);
            let said = usize::try_from(view.steps_total).unwrap();
            assert_eq!(taken.len(), said, "{kind:?}: {taken:#?}");
            assert_eq!(view.steps_done, view.steps_total);
        }
    }
}

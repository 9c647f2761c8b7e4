//! Releases on real daemons: the runner killed with SIGKILL in every step (after every record: `tests/run --matrix`), and a
//! daemon killed midway. The end state is verified through the daemons themselves.

use std::time::Duration;

use pilothouse::config::service::{Batch, OnFailure, Order};
use pilothouse::domain::exit::Exit;
use pilothouse::domain::run::RunKind;
use pilothouse::runs;

use crate::support::daemon::{Daemon, reboots};
use crate::support::releases::crash::{Points, crash_matrix};
use crate::support::releases::promotion::promotes;
use crate::support::releases::rolling::pause_matrix;
use crate::support::releases::{Bench, comes_back, stale_matrix};
use crate::support::{fleet, image};

fn bench(daemons: &fleet::Lease) -> Bench {
    Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX)
}

#[tokio::test]
async fn a_deploy_killed_once_in_every_step_is_recovered() {
    let daemons = fleet::lease(2);
    crash_matrix(&bench(&daemons), RunKind::Deploy, Points::EachStep, None).await;
}

#[tokio::test]
async fn a_rollback_killed_once_in_every_step_is_recovered() {
    let daemons = fleet::lease(2);
    crash_matrix(&bench(&daemons), RunKind::Rollback, Points::EachStep, None).await;
}

#[tokio::test]
async fn restarted_before_and_after_the_commit_and_once_more_in_the_end_no_host_starts_what_is_over() {
    let daemons = fleet::lease(2);
    let points = Points::Every { first: 24, step: 30 };
    let reboot = reboots(&daemons);
    crash_matrix(&bench(&daemons), RunKind::Deploy, points, Some(&reboot)).await;
}

#[tokio::test]
async fn a_rolling_deploy_killed_once_in_every_step_is_recovered() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    crash_matrix(&bench, RunKind::Deploy, Points::EachStep, None).await;
}

#[tokio::test]
async fn a_rolling_rollback_killed_once_in_every_step_is_recovered() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    crash_matrix(&bench, RunKind::Rollback, Points::EachStep, None).await;
}

#[tokio::test]
async fn restarted_in_every_step_of_a_rolling_deploy_no_host_starts_what_is_over() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    let reboot = reboots(&daemons);
    crash_matrix(&bench, RunKind::Deploy, Points::EachStep, Some(&reboot)).await;
}

#[tokio::test]
async fn restarted_in_every_step_of_a_rollback_no_host_starts_what_is_over() {
    let daemons = fleet::lease(2);
    let reboot = reboots(&daemons);
    crash_matrix(
        &bench(&daemons),
        RunKind::Rollback,
        Points::EachStep,
        Some(&reboot),
    )
    .await;
}

#[tokio::test]
async fn a_rolling_rollback_side_by_side_killed_now_and_then_is_recovered() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    bench.rolling(Batch::Percent(50), Order::StartFirst, OnFailure::Revert);
    let points = Points::Every { first: 4, step: 6 };
    crash_matrix(&bench, RunKind::Rollback, points, None).await;
}

#[tokio::test]
async fn a_paused_deploy_killed_now_and_then_is_reverted_or_split_and_both_ways_on_are_open() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    pause_matrix(&mut bench, 9, 9).await;
}

#[tokio::test]
async fn what_runs_in_one_environment_is_promoted_to_the_other_under_the_same_id() {
    let daemons = fleet::lease(2);
    Box::pin(promotes(bench(&daemons), image::BUSYBOX)).await;
}

#[tokio::test]
async fn until_the_commit_a_killed_and_restarted_daemon_brings_the_old_release_up() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.config.services[0].deploy.as_mut().unwrap().gate.steady = Duration::from_mins(1);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let mut killed = false;
    let exit = runs::follow(&bench.state, &run, |view| {
        let gating = view.stages.iter().any(|stage| {
            stage.name == "gate" && format!("{:?}", stage.cells).matches("Running").count() == 2
        });
        if gating && !killed {
            killed = true;
            daemons[0].kill_9();
            daemons[0].start();
        }
    })
    .await
    .unwrap();
    assert_eq!(exit, Exit::Failed, "{}", bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
}

#[tokio::test]
async fn a_deploy_from_another_bastion_recovers_what_a_dead_run_left_and_goes_on() {
    let daemons = fleet::lease(2);
    Box::pin(stale_matrix(&bench(&daemons), RunKind::Deploy, 9, 13)).await;
}

#[tokio::test]
async fn a_holder_that_comes_back_after_its_lock_was_taken_stops_and_says_so() {
    let daemons = fleet::lease(2);
    comes_back(&mut bench(&daemons)).await;
}

//! Runs whose machine is gone, found by runs of another one: exactly one recovers them first.

use std::collections::BTreeSet;

use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::{RunRequest, Wait};
use pilothouse::domain::run::RunKind;
use pilothouse::hosts;
use pilothouse::runs::{self, Recovery};

use super::Sim;
use super::bench::reverted::why;
use super::bench::{self, Bench, actor};

#[tokio::test]
async fn a_deploy_from_another_bastion_recovers_what_any_dead_run_left_and_goes_on() {
    Box::pin(bench::stale_matrix(&Sim::new(2), RunKind::Deploy, 3, 6)).await;
}

#[tokio::test]
async fn a_rollback_from_another_bastion_recovers_what_any_dead_run_left_and_goes_on() {
    Box::pin(bench::stale_matrix(&Sim::new(2), RunKind::Rollback, 5, 9)).await;
}

#[tokio::test]
async fn of_twenty_bastions_that_find_a_stale_lock_exactly_one_recovers_it() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    assert_eq!(bench.ended(&run).await.0, 5);
    bench.bastion_gone(&run).await;
    let bastions: Vec<Bench> = (0..20).map(|_| bench.another()).collect();
    let tried = futures_util::future::join_all(
        bastions
            .iter()
            .map(|bastion| runs::recover(&bastion.state, &bastion.config, run.clone(), Access::Full)),
    )
    .await;
    let mut winners = Vec::new();
    for (bastion, outcome) in bastions.iter().zip(tried) {
        match outcome {
            Ok(Recovery::Started(started)) => {
                assert_eq!(started, run);
                winners.push(bastion);
            }
            Err(fault) => {
                let said = fault.fault.to_string();
                assert!(
                    said.contains("took it first")
                        || said.contains("held by")
                        || said.contains("neither on this machine"),
                    "who was faster is said: {said}"
                );
                assert!(runs::list(&bastion.state).is_empty(), "a loser keeps nothing");
            }
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    let (exit, view) = winners[0].ended(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, winners[0].journal(&run));
    bench.assert_as_before(&before, &winners[0].journal(&run)).await;
}

#[tokio::test]
async fn a_host_that_cannot_be_looked_at_keeps_nobody_from_a_lock_on_another() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    bench.bastion_gone(&run).await;
    let mut engines: Vec<_> = bench.fleet.engines().collect();
    engines.sort_by_key(|engine| engine.daemon_id());
    // The first in lock order is the one that is asked whether it was committed.
    engines[1].fail("GET", "/containers/json", 1, "input/output error");
    let other = bench.another();
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full).await;
    assert_eq!(found.unwrap(), Recovery::Started(run.clone()));
    let (exit, view) = other.ended(&run).await;
    let journal = other.journal(&run);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    bench.assert_as_before(&before, &journal).await;
}

#[tokio::test]
async fn a_holder_that_comes_back_after_its_lock_was_taken_stops_and_says_so() {
    bench::comes_back(&mut Sim::new(2)).await;
}

#[tokio::test]
async fn the_plan_says_what_is_recovered_first_and_by_whom_it_was_left() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    let other = bench.another();
    let plan = |other: &Bench| {
        let (state, config, request) = (
            other.state.clone(),
            other.config.clone(),
            RunRequest {
                wait: Wait::No,
                ..other.request(RunKind::Deploy)
            },
        );
        async move {
            let access = pilothouse::domain::order::Access::Full;
            runs::plan(&state, &config, &request, access).await.unwrap()
        }
    };
    let fresh = Box::pin(plan(&other)).await;
    assert!(
        fresh.locked.iter().all(|refusal| refusal.why.contains("locked")) && !fresh.locked.is_empty(),
        "{:?}",
        fresh.locked
    );
    bench.bastion_gone(&run).await;
    let stale = Box::pin(plan(&other)).await;
    assert!(stale.refusals.is_empty(), "{:?}", stale.refusals);
    let first = &stale.order[0];
    assert!(
        first.contains("first recover") && first.contains(run.as_str()) && first.contains("bastion-gone"),
        "{first}"
    );
}

#[tokio::test]
async fn a_run_left_by_a_bastion_that_called_the_hosts_otherwise_is_undone_on_the_same_daemons() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    bench.bastion_gone(&run).await;
    let mut other = bench.another();
    // One is called as the other was.
    let renamed = ["host-2", "blue"].map(|name| HostName::parse(name).unwrap());
    for (host, name) in other.config.hosts.iter_mut().zip(&renamed) {
        host.name = name.clone();
    }
    other.config.services[0].deploy.as_mut().unwrap().hosts = renamed.to_vec();
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full)
        .await
        .unwrap();
    assert_eq!(found, Recovery::Started(run.clone()));
    let (exit, view) = other.ended(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, other.journal(&run));
    bench.assert_as_before(&before, &other.journal(&run)).await;
    assert_eq!(other.good(RunKind::Deploy).await, ReleaseNumber(3));
}

#[tokio::test]
async fn where_what_was_left_needs_a_human_the_deploy_does_not_go_on() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let old: BTreeSet<_> = bench
        .look()
        .await
        .into_iter()
        .map(|(host, replicas)| (host, replicas[0].id.clone()))
        .collect();
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    bench.bastion_gone(&run).await;
    let (host, id) = old.first().unwrap();
    let host = bench.config.host(host).unwrap();
    let daemon = hosts::connect(host, pilothouse::domain::order::Access::Full)
        .await
        .unwrap();
    let force = bollard::query_parameters::RemoveContainerOptionsBuilder::default()
        .force(true)
        .build();
    daemon
        .change()
        .unwrap()
        .remove_container(id.as_str(), Some(force))
        .await
        .unwrap();
    let other = bench.another();
    let request = other.request(RunKind::Deploy);
    let deploy = runs::launch(&other.state, &other.config, &request, actor())
        .await
        .unwrap();
    let (exit, view) = other.ended(&deploy).await;
    assert_eq!(exit, 4, "{:?}\n{}", view.status, other.journal(&deploy));
    let why = why(&view);
    assert!(
        why.contains(run.as_str()) && why.contains("needs a human") && why.contains("is gone"),
        "{why}"
    );
}

//! The target of a rollback after the fleet has changed: hosts added, removed or renamed, a run that died and was unlocked,
//! containers that failed or were removed by hand.

use std::time::Duration;

use bollard::query_parameters::{RemoveContainerOptionsBuilder, StopContainerOptions};
use pilothouse::config::gate::Probe;
use pilothouse::config::service::{Batch, Deploy, OnFailure, Order};
use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::{PlanView, RunRequest};
use pilothouse::domain::run::RunKind;
use pilothouse::release::replica::Replica;
use pilothouse::{hosts, runs};
use rustix::process::{Signal, kill_process};

use super::Sim;
use super::bench::{Bench, actor};

fn deploy(bench: &mut Bench) -> &mut Deploy {
    bench.config.services[0].deploy.as_mut().unwrap()
}

/// The plan of a rollback that does not say where to.
async fn planned(bench: &Bench) -> PlanView {
    let asked = bench.request(RunKind::Rollback);
    Box::pin(runs::plan(&bench.state, &bench.config, &asked, Access::Full))
        .await
        .unwrap()
}

/// The usual goal; it can be started, and so can one that names it.
async fn usual(bench: &Bench) -> ReleaseNumber {
    let plan = planned(bench).await;
    assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
    let usual = plan.releases.iter().find(|one| one.default);
    let usual = usual.unwrap_or_else(|| panic!("{:?}", plan.releases));
    assert_eq!((usual.refused.as_deref(), plan.to), (None, Some(usual.release)));
    let asked = RunRequest {
        to: plan.to,
        ..bench.request(RunKind::Rollback)
    };
    let named = Box::pin(runs::plan(&bench.state, &bench.config, &asked, Access::Full)).await;
    let named = named.unwrap();
    assert!(named.refusals.is_empty(), "{:?}", named.refusals);
    usual.release
}

fn up(replicas: &[Replica]) -> Vec<&Replica> {
    replicas.iter().filter(|replica| replica.state.is_up()).collect()
}

#[tokio::test]
async fn a_host_that_came_since_is_brought_to_the_release_before_it_as_the_others_are() {
    let mut bench = Sim::new(3);
    let all = deploy(&mut bench).hosts.clone();
    deploy(&mut bench).hosts.truncate(2);
    bench.good(RunKind::Deploy).await;
    deploy(&mut bench).hosts = all;
    bench.good(RunKind::Deploy).await;
    assert_eq!(usual(&bench).await, ReleaseNumber(1));
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    bench.assert_on(ReleaseNumber(1), "the new host, too").await;
}

#[tokio::test]
async fn a_bastion_that_calls_the_hosts_otherwise_goes_back_to_the_same_release() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    let mut other = bench.another();
    for host in &mut other.config.hosts {
        host.name = HostName::parse(&format!("shop-{}", host.name)).unwrap();
    }
    let names = other.config.hosts.iter().map(|host| host.name.clone()).collect();
    deploy(&mut other).hosts = names;
    assert_eq!(usual(&other).await, ReleaseNumber(1));
    let warned = planned(&other).await.warnings.join("\n");
    assert!(!warned.contains("one of its hosts"), "{warned}");
    assert_eq!(other.good(RunKind::Rollback).await, ReleaseNumber(1));
    other.assert_on(ReleaseNumber(1), "").await;
}

#[tokio::test]
async fn a_host_that_was_away_and_is_back_does_not_bring_an_old_release_back() {
    let mut bench = Sim::new(3);
    bench.good(RunKind::Deploy).await;
    let all = deploy(&mut bench).hosts.clone();
    deploy(&mut bench).hosts.truncate(2);
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    deploy(&mut bench).hosts = all;
    assert_eq!(usual(&bench).await, ReleaseNumber(2));
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(2));
    bench.assert_on(ReleaseNumber(2), "").await;
}

/// A rolling deploy that is killed when the first host runs the new release, and whose locks a person takes away.
#[tokio::test]
async fn a_run_that_died_midway_and_was_unlocked_is_rolled_back_to_what_was_committed_last() {
    let mut bench = Sim::new(3);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    let quick = bench.config.clone();
    deploy(&mut bench).gate.steady = Duration::from_mins(1);
    deploy(&mut bench).gate.within = Duration::from_mins(2);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let is_third = |replica: &&Replica| replica.release == Some(ReleaseNumber(3));
    while !bench
        .look()
        .await
        .values()
        .any(|there| up(there).iter().any(is_third))
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kill_process(bench.process(&run), Signal::KILL).unwrap();
    bench.ended(&run).await;
    bench.age_locks().await;
    bench
        .unlock("its bastion burnt down", Access::Full)
        .await
        .unwrap();
    bench.config = quick;
    let other = bench.another();
    assert_eq!(usual(&other).await, ReleaseNumber(2));
    assert_eq!(other.good(RunKind::Rollback).await, ReleaseNumber(2));
    other.assert_on(ReleaseNumber(2), "").await;
    // From there it is as ever.
    assert_eq!(usual(&other).await, ReleaseNumber(1));
}

#[tokio::test]
async fn what_fell_over_everywhere_is_started_again_where_it_is_asked_for_and_else_the_one_before() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    for host in &bench.config.hosts {
        let daemon = hosts::connect(host, Access::Full).await.unwrap();
        for replica in up(&before[&host.name]) {
            let options = None::<StopContainerOptions>;
            let docker = daemon.change().unwrap();
            docker.stop_container(replica.id.as_str(), options).await.unwrap();
        }
    }
    assert_eq!(usual(&bench).await, ReleaseNumber(1));
    let again = RunRequest {
        to: Some(ReleaseNumber(2)),
        ..bench.request(RunKind::Rollback)
    };
    let run = Box::pin(runs::launch(&bench.state, &bench.config, &again, actor())).await;
    let (exit, view) = bench.ended(&run.unwrap()).await;
    assert_eq!((exit, view.to), (0, Some(ReleaseNumber(2))), "{:?}", view.status);
    bench.assert_as_before(&before, "the same containers").await;
}

#[tokio::test]
async fn a_rollback_brings_up_as_many_as_there_were_and_is_judged_by_the_gate_of_that_time() {
    let mut bench = Sim::new(2);
    deploy(&mut bench).replicas = 3;
    bench.good(RunKind::Deploy).await;
    let first = bench.look().await;
    // Today's configuration: one replica, and a port that nothing listens on.
    deploy(&mut bench).replicas = 1;
    bench.good(RunKind::Deploy).await;
    deploy(&mut bench).gate.probe = Some(Probe::Tcp(4711));
    deploy(&mut bench).gate.within = Duration::from_secs(1);
    let host = &bench.config.hosts[0];
    let daemon = hosts::connect(host, Access::Full).await.unwrap();
    let removed = &first[&host.name][..2];
    for replica in removed {
        let force = RemoveContainerOptionsBuilder::default().force(true).build();
        let docker = daemon.change().unwrap();
        docker
            .remove_container(replica.id.as_str(), Some(force))
            .await
            .unwrap();
    }
    let plan = planned(&bench).await;
    let warned = plan.warnings.join("\n");
    let said = format!("{} keeps 1 of 3 containers of r1: the missing ones", host.name);
    assert!(warned.contains(&said), "{warned}");
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    for (host, replicas) in bench.look().await {
        let mut names: Vec<&str> = up(&replicas).iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["shop.r1.1", "shop.r1.2", "shop.r1.3"],
            "{host}: {replicas:#?}"
        );
        let kept = first[&host]
            .iter()
            .filter(|was| replicas.iter().any(|is| is.id == was.id));
        assert_eq!(
            kept.count(),
            if host == bench.config.hosts[0].name { 1 } else { 3 }
        );
    }
}

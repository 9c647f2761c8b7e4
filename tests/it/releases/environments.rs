//! Two environments of one service on the same hosts: neither ever changes anything of the other.

use std::time::Duration;

use pilothouse::config::service::Publish;
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunKind;
use pilothouse::hosts;
use pilothouse::release::facts::LedgerSeen;
use pilothouse::release::ledger::Ledger;
use pilothouse::release::snapshot::differences;
use pilothouse::runs::{self, Recovery};

use super::Sim;
use super::bench::{self, Bench, Seen, actor};

fn sim() -> Sim {
    let mut sim = Sim::new(2);
    sim.bench = sim.bench.with_environments(&["staging", "production"]);
    sim
}

/// The histories of what the bench is about, one a host.
async fn ledgers(bench: &Bench) -> Vec<Ledger> {
    let mut found = Vec::new();
    for host in &bench.config.hosts {
        let daemon = hosts::connect(host, Access::ReadOnly).await.unwrap();
        match runs::step::ledger::read(&daemon, &bench.subject()).await.unwrap() {
            LedgerSeen::Read(ledger) => found.push(*ledger),
            other => panic!("{other:?}"),
        }
    }
    found
}

fn assert_same(before: &Seen, now: &Seen) {
    for (host, replicas) in now {
        assert_eq!(differences(host, &before[host], replicas), Vec::<String>::new());
    }
}

#[tokio::test]
async fn containers_histories_numbers_and_clean_up_of_two_environments_are_apart() {
    let mut bench = sim();
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1), "without any");
    assert_eq!(
        bench.be_in("production").good(RunKind::Deploy).await,
        ReleaseNumber(1)
    );
    let (production, history) = (bench.look().await, ledgers(&bench).await);
    bench.be_in("staging");
    // More than are kept: the oldest go.
    for n in 1..=5 {
        assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(n));
    }
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(4));
    bench.assert_on(ReleaseNumber(4), "").await;
    for replicas in bench.look().await.values() {
        let names: Vec<&str> = replicas.iter().map(|replica| replica.name.as_str()).collect();
        assert!(
            names.contains(&"shop.staging.r5.1") && !names.contains(&"shop.staging.r1.1"),
            "{names:?}"
        );
    }
    bench.be_in("production");
    assert_same(&production, &bench.look().await);
    assert_eq!(history, ledgers(&bench).await);
    bench.assert_on(ReleaseNumber(1), "").await;
    bench.environment = None;
    bench.assert_on(ReleaseNumber(1), "").await;
    let runs = runs::list(&bench.state);
    let of = |subject: &str| runs.iter().filter(|run| run.subject() == subject).count();
    assert_eq!((of("shop"), of("shop.production"), of("shop.staging")), (1, 1, 6));
}

#[tokio::test]
async fn a_lock_on_one_environment_keeps_nobody_from_the_other() {
    let mut bench = sim();
    bench.be_in("staging").good(RunKind::Deploy).await;
    let mut slow = bench.config.clone();
    let gate = &mut slow.services[0].environments[0]
        .service
        .deploy
        .as_mut()
        .unwrap()
        .gate;
    gate.steady = Duration::from_mins(1);
    gate.within = Duration::from_mins(2);
    let request = bench.request(RunKind::Deploy);
    let held = runs::launch(&bench.state, &slow, &request, actor())
        .await
        .unwrap();
    bench.locked(2).await;
    bench.be_in("production");
    assert_eq!(bench.locks().await, 0);
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1));
    runs::cancel(&bench.state, &held, "ops-b").unwrap();
    let (exit, view) = bench.ended(&held).await;
    assert_eq!(exit, 130, "{:?}", view.status);
    bench.assert_on(ReleaseNumber(1), "").await;
    bench.be_in("staging").assert_on(ReleaseNumber(1), "").await;
}

#[tokio::test]
async fn a_run_that_a_gone_bastion_left_in_an_environment_is_recovered_by_its_lock() {
    let mut bench = sim();
    bench.be_in("production").good(RunKind::Deploy).await;
    let production = bench.look().await;
    bench.be_in("staging").good(RunKind::Deploy).await;
    let before = bench.look().await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    assert_eq!(bench.ended(&run).await.0, 5);
    bench.bastion_gone(&run).await;
    let other = bench.another();
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full)
        .await
        .unwrap();
    assert_eq!(found, Recovery::Started(run.clone()));
    let (exit, view) = other.ended(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, other.journal(&run));
    assert_eq!(view.subject(), "shop.staging");
    other.assert_as_before(&before, &other.journal(&run)).await;
    bench.be_in("production");
    assert_same(&production, &bench.look().await);
}

#[tokio::test]
async fn an_environment_whose_port_the_other_has_is_refused_with_who_has_it() {
    let mut bench = sim();
    for known in &mut bench.config.services[0].environments {
        known.service.deploy.as_mut().unwrap().spec.ports = vec![Publish {
            address: None,
            outside: 8080,
            inside: 80,
            protocol: "tcp".to_owned(),
        }];
    }
    bench.be_in("staging").good(RunKind::Deploy).await;
    bench.be_in("production");
    let plan = runs::plan(
        &bench.state,
        &bench.config,
        &bench.request(RunKind::Deploy),
        Access::Full,
    )
    .await
    .unwrap();
    let words: Vec<String> = plan.refusals.iter().map(ToString::to_string).collect();
    assert!(
        words
            .iter()
            .any(|words| words.contains("port 8080/tcp is taken by shop.staging.r1.1")),
        "{words:?}"
    );
}

#[tokio::test]
async fn an_unknown_environment_is_told_with_the_known_ones() {
    let mut bench = sim();
    let request = bench.be_in("qa").request(RunKind::Deploy);
    let fault = runs::plan(&bench.state, &bench.config, &request, Access::Full)
        .await
        .unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("it has staging, production"));
}

#[tokio::test]
async fn what_runs_in_one_environment_is_promoted_to_the_other_and_nothing_else() {
    let Sim {
        bench,
        fleet: _fleet,
        _sockets,
    } = Sim::new(2);
    Box::pin(bench::promotion::promotes(bench, pilothouse::sim::BOX_IMAGE)).await;
}

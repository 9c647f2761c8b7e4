//! A commit whose outcome cannot be determined: it is neither undone nor finished until its ledger can be read.

use std::time::Duration;

use pilothouse::config::service::{Batch, OnFailure, Order};
use pilothouse::domain::ids::RunId;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::sim::EngineHandle;
use pilothouse::{hosts, runs};

use super::bench::Bench;
use super::{Sim, until};

/// The host whose ledger is the commit.
async fn first(bench: &Sim) -> EngineHandle {
    let mut known = Vec::new();
    for host in &bench.config.hosts {
        let daemon = hosts::connect(host, Access::ReadOnly).await.unwrap();
        known.push((daemon.id().unwrap().to_owned(), host.name.clone()));
    }
    known.sort();
    bench.fleet.engine(known[0].1.as_str()).unwrap().clone()
}

fn assert_unknown(bench: &Bench, run: &RunId, (exit, view): &(u8, RunView)) {
    let journal = bench.journal(run);
    assert_eq!(*exit, 5, "{:?}\n{journal}", view.status);
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { why, .. },
            ..
        } => assert!(why.contains("it is unknown whether it was committed"), "{why}"),
        other => panic!("{other:?}\n{journal}"),
    }
}

#[tokio::test]
async fn a_commit_that_was_sent_and_cannot_be_read_back_is_not_undone() {
    let bench = Sim::new(1);
    bench.good(RunKind::Deploy).await;
    let engine = first(&bench).await;
    let daemon = hosts::connect(&bench.config.hosts[0], Access::ReadOnly)
        .await
        .unwrap();
    let ledger = daemon
        .read()
        .inspect_container(&bench.subject().ledger_name(), None)
        .await
        .unwrap();
    // Slow enough to come between the write and the look at it.
    engine.slow(Duration::from_millis(40));
    let place = format!("/containers/{}/archive", ledger.id.unwrap());
    let writes = |engine: &EngineHandle| {
        let requests = engine.requests();
        let is_write = |line: &&String| line.starts_with("PUT") && line.contains(&place);
        requests.iter().filter(is_write).count()
    };
    let before = writes(&engine);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    until("it commits", || writes(&engine) > before).await;
    engine.fail("GET", "/archive", 1_000, "no such container");
    let ended = bench.ended(&run).await;
    engine.forgive();
    engine.slow(Duration::ZERO);
    assert_unknown(&bench, &run, &ended);
    let (exit, view) = bench.recover(&run).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&run));
    bench.assert_on(view.to.unwrap(), &bench.journal(&run)).await;
}

/// The commit of what is kept of a run that was paused: what could end early was asked to before.
#[tokio::test]
async fn a_commit_that_hangs_is_not_given_up_because_somebody_cancels() {
    let mut bench = Sim::new(2);
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Pause);
    bench.good(RunKind::Deploy).await;
    let engine = first(&bench).await;
    let last = bench.config.hosts[1].name.clone();
    bench.fails_on(&[last]).await;
    engine.slow(Duration::from_millis(40));
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let commits = || bench.journal(&run).contains(r#""intent":{"stage":"commit""#);
    until("it commits", commits).await;
    engine.hang(true);
    runs::cancel(&bench.state, &run, "ops-b").unwrap();
    let ended = bench.ended(&run).await;
    engine.hang(false);
    engine.slow(Duration::ZERO);
    assert_unknown(&bench, &run, &ended);
    let journal = bench.journal(&run);
    assert!(!journal.contains(r#""turned":{"way":"back""#), "{journal}");
}

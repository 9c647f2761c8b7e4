//! Lock contention: fifty concurrent deploys from two state folders, and a lease that is read while it is written.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use pilothouse::domain::ids::RunId;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunKind;
use pilothouse::release::facts::LedgerSeen;
use pilothouse::release::record::Entry;
use pilothouse::release::stage::Stage;
use pilothouse::runs::disk::journal;
use pilothouse::runs::step::{lease, ledger, lock};

use super::Sim;
use super::bench::Bench;

const CROWD: usize = 50;

/// From when it had every lock to when it began to give them back.
fn reign(bench: &Bench, run: &RunId) -> (i64, i64) {
    let records = journal::read(&bench.state.dir(run)).unwrap();
    let locked = records.iter().rev().find_map(|record| match &record.entry {
        Entry::Done { step, .. } if step.stage == Stage::Lock => Some(record.at.0),
        _ => None,
    });
    let unlocks = records.iter().find_map(|record| match &record.entry {
        Entry::Intent(step) if step.stage == Stage::Unlock => Some(record.at.0),
        _ => None,
    });
    (locked.unwrap(), unlocks.unwrap())
}

#[tokio::test]
async fn of_fifty_deploys_at_once_from_two_state_folders_each_runs_once_and_alone() {
    let bench = Sim::new(2);
    let other = bench.another();
    let bastions: [&Bench; 2] = [&bench.bench, &other];
    let launched = join_all((0..CROWD).map(|n| {
        let bastion = bastions[n % 2];
        async move { (bastion, bastion.launch(&bastion.state, RunKind::Deploy).await) }
    }))
    .await;
    let mut releases = BTreeSet::new();
    let mut reigns = Vec::new();
    for (bastion, run) in &launched {
        let (exit, view) = bastion.ended(run).await;
        assert_eq!(exit, 0, "{:?}\n{}", view.status, bastion.journal(run));
        assert!(
            releases.insert(view.to.unwrap()),
            "{:?} was given out twice",
            view.to
        );
        reigns.push(reign(bastion, run));
    }
    assert_eq!(releases.len(), CROWD, "none was lost");
    reigns.sort_unstable();
    for pair in reigns.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two at a time: {pair:?}");
    }
    let held: i64 = reigns.iter().map(|(from, to)| to - from).sum();
    let span = reigns[CROWD - 1].1 - reigns[0].0;
    println!(
        "{CROWD} deploys from two state folders in {} ms: one at a time, the lock was held {} % of it; none lost, none doubled",
        span / 1_000_000,
        held * 100 / span
    );
    let last = *releases.last().unwrap();
    assert_eq!(usize::try_from(last.0).unwrap(), CROWD, "no number was left out");
    bench.assert_on(last, "").await;
    let runs: BTreeSet<&str> = launched.iter().map(|(_, run)| run.as_str()).collect();
    for host in &bench.config.hosts {
        let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
        let LedgerSeen::Read(ledger) = ledger::read(&daemon, &bench.subject()).await.unwrap() else {
            panic!("{} has a history", host.name)
        };
        let written: Vec<&str> = ledger.committed().map(|entry| entry.run.as_str()).collect();
        assert_eq!(written.len(), CROWD, "{}: {written:?}", host.name);
        assert_eq!(
            written.into_iter().collect::<BTreeSet<_>>(),
            runs,
            "{}",
            host.name
        );
    }
}

#[tokio::test]
async fn a_lease_that_is_just_being_written_makes_no_lock_stale() {
    let bench = Sim::new(1);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    let host = &bench.config.hosts[0];
    let engine = bench.fleet.engine("host-1").unwrap();
    // Old enough to be stale by its own age.
    engine.skew_clock(3_600);
    let daemon = pilothouse::hosts::connect(host, Access::Full).await.unwrap();
    let subject = bench.subject();
    let id = lock::seen(&daemon, &subject).await.unwrap()[0].id.clone();
    bench.write_lease(&daemon, &id, "{\"renewed\":17").await;
    let reads = || {
        let requests = engine.requests();
        let reads = requests
            .iter()
            .filter(|line| line.starts_with("GET") && line.contains("/archive"));
        reads.count()
    };
    let begun = reads();
    let whole = async {
        while reads() == begun {
            tokio::task::yield_now().await;
        }
        lease::renew(&daemon, &id, "gate").await.unwrap();
    };
    let (seen, ()) = tokio::join!(lock::seen(&daemon, &subject), whole);
    let seen = seen.unwrap();
    assert!(!seen[0].is_stale(), "{}", seen[0].described());
    // What nobody writes anew is stale all the same.
    bench.write_lease(&daemon, &id, "").await;
    assert!(lock::seen(&daemon, &subject).await.unwrap()[0].is_stale());
}

/// Changes, looks and a few looks at the lock meanwhile: what a host is asked does not grow with the others.
const MOST_REQUESTS: usize = 170;

#[tokio::test]
async fn in_a_deploy_to_fifty_hosts_none_is_asked_more_than_one_of_few() {
    let bench = Sim::new(50);
    bench.good(RunKind::Deploy).await;
    let asked = || -> Vec<usize> {
        let engines = bench.fleet.engines();
        engines.map(|engine| engine.requests().len()).collect()
    };
    let before = asked();
    bench.good(RunKind::Deploy).await;
    let after = asked();
    assert!(
        after.iter().all(|count| *count < 512),
        "an engine remembers no more: {after:?}"
    );
    let counts: Vec<usize> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    println!("requests a host: {counts:?}");
    assert!(counts.iter().all(|count| *count <= MOST_REQUESTS), "{counts:?}");
}

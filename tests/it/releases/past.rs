//! What a dead run may still undo or finish, depending on what was committed since it read the hosts.

use std::time::Duration;

use super::Sim;
use super::bench::{Bench, actor};
use pilothouse::domain::ids::RunId;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus};
use pilothouse::release::record::Entry;
use pilothouse::release::stage::Stage;
use pilothouse::{hosts, runs};

/// How many records that are on disk at once a whole deploy has written when its commit is done.
async fn records_to_commit(bench: &Bench) -> u32 {
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 0, "{}", bench.journal(&view.id));
    let records = runs::disk::journal::read(&bench.state.dir(&view.id)).unwrap();
    let is_commit = |entry: &Entry| matches!(entry, Entry::Done { step, .. } if step.stage == Stage::Commit);
    let binding = records.iter().filter(|record| record.entry.is_binding());
    let at = binding.into_iter().position(|record| is_commit(&record.entry));
    u32::try_from(at.unwrap()).unwrap() + 1
}

/// A run of another bastion that waits while one of this bastion is committed, and dies after so many records.
async fn waited_and_died(bench: &Bench, after: u32) -> (Bench, RunId) {
    let mut slow = bench.config.clone();
    slow.services[0].deploy.as_mut().unwrap().gate.steady = Duration::from_secs(4);
    let first = runs::launch(&bench.state, &slow, &bench.request(RunKind::Deploy), actor())
        .await
        .unwrap();
    bench.locked(2).await;
    let other = bench.another();
    let run = other.launch_dying(after, RunKind::Deploy).await;
    let (exit, _) = bench.ended(&first).await;
    assert_eq!(exit, 0, "{}", bench.journal(&first));
    let (exit, _) = other.ended(&run).await;
    assert_eq!(exit, 5, "{}", other.journal(&run));
    assert!(
        other.journal(&run).contains("\"waits\""),
        "{}",
        other.journal(&run)
    );
    (other, run)
}

#[tokio::test]
async fn a_run_that_waited_while_another_was_committed_is_undone_when_it_dies_before_its_commit() {
    let bench = Sim::new(2);
    let commit = records_to_commit(&bench).await;
    let (other, run) = waited_and_died(&bench, commit - 3).await;
    let (exit, view) = other.recover(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, other.journal(&run));
    assert!(
        matches!(
            &view.status,
            RunStatus::Closed {
                outcome: Outcome::Reverted { .. },
                ..
            }
        ),
        "{:?}",
        view.status
    );
    bench.assert_on(view.from.unwrap(), &other.journal(&run)).await;
}

#[tokio::test]
async fn a_run_that_waited_while_another_was_committed_is_finished_when_it_dies_behind_its_commit() {
    let bench = Sim::new(2);
    let commit = records_to_commit(&bench).await;
    let (other, run) = waited_and_died(&bench, commit + 1).await;
    let (exit, view) = other.recover(&run).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, other.journal(&run));
    bench.assert_on(view.to.unwrap(), &other.journal(&run)).await;
}

#[tokio::test]
async fn what_a_run_left_is_void_once_a_later_one_was_committed() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    // Somebody takes its locks away and goes on without recovering it.
    bench.age_locks().await;
    bench.unlock("a test", Access::Full).await.unwrap();
    let release = bench.another().good(RunKind::Deploy).await;
    let before = bench.world().await;
    let (exit, view) = bench.recover(&run).await;
    assert_eq!(exit, 5, "{:?}\n{}", view.status, bench.journal(&run));
    let words = format!("{:?}", view.status);
    assert!(words.contains("a later run was committed since"), "{words}");
    bench.assert_same_world(&before, &bench.journal(&run)).await;
    bench.assert_on(release, &bench.journal(&run)).await;
}

/// Container and volume of the ledger on the host whose word counts.
async fn lose_the_ledger(bench: &Bench, run: &RunId) {
    use bollard::query_parameters::{RemoveContainerOptions, RemoveVolumeOptions};
    let records = runs::disk::journal::read(&bench.state.dir(run)).unwrap();
    let first = records.iter().find_map(|record| match &record.entry {
        Entry::Decided(decision) => decision.order.first().cloned(),
        _ => None,
    });
    let host = bench.config.host(&first.unwrap()).unwrap();
    let daemon = hosts::connect(host, Access::Full).await.unwrap();
    let name = bench.subject().ledger_name();
    let docker = daemon.change().unwrap();
    docker
        .remove_container(&name, None::<RemoveContainerOptions>)
        .await
        .unwrap();
    docker
        .remove_volume(&name, None::<RemoveVolumeOptions>)
        .await
        .unwrap();
}

#[tokio::test]
async fn where_the_first_ledger_was_lost_before_the_commit_was_seen_done_nothing_is_guessed() {
    let bench = Sim::new(2);
    let commit = records_to_commit(&bench).await;
    let run = bench.launch_dying(commit - 1, RunKind::Deploy).await;
    bench.ended(&run).await;
    lose_the_ledger(&bench, &run).await;
    let before = bench.world().await;
    let (exit, view) = bench.recover(&run).await;
    assert_eq!(exit, 5, "{:?}\n{}", view.status, bench.journal(&run));
    let words = format!("{:?}", view.status);
    assert!(
        words.contains("it is unknown whether it was committed") && words.contains("lost its ledger"),
        "{words}"
    );
    bench.assert_same_world(&before, &bench.journal(&run)).await;
}

#[tokio::test]
async fn a_commit_that_the_journal_or_a_copy_knows_of_is_finished_though_the_first_ledger_was_lost() {
    let bench = Sim::new(2);
    let commit = records_to_commit(&bench).await;
    // By the journal; by the copy, once the bastion is gone as well.
    let run = bench.launch_dying(commit, RunKind::Deploy).await;
    bench.ended(&run).await;
    lose_the_ledger(&bench, &run).await;
    let (exit, view) = bench.recover(&run).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&run));
    bench.assert_on(view.to.unwrap(), &bench.journal(&run)).await;
    let run = bench.launch_dying(commit + 12, RunKind::Deploy).await;
    bench.ended(&run).await;
    let journal = bench.journal(&run);
    assert!(journal.contains(r#""done":{"step":{"stage":"copy""#), "{journal}");
    lose_the_ledger(&bench, &run).await;
    bench.bastion_gone(&run).await;
    let other = bench.another();
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full)
        .await
        .unwrap();
    assert_eq!(found, runs::Recovery::Started(run.clone()));
    let (exit, view) = other.ended(&run).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, other.journal(&run));
    bench.assert_on(view.to.unwrap(), &other.journal(&run)).await;
}

//! Stages of a service's own in a pipeline on simulated daemons: their order, a person's word, what is always done.

use bollard::query_parameters::TagImageOptionsBuilder;
use pilothouse::config::service::{Build, Slot, Test};
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus};
use pilothouse::runs::{self, Word};

use super::Sim;
use super::bench::actor;
use super::bench::stages::{self, LIMIT, asks, command, custom, told, waits};

#[tokio::test]
async fn stages_are_done_in_order_in_containers_and_here_and_by_a_persons_word() {
    stages::in_order(&mut Sim::new(2)).await;
}

#[tokio::test]
async fn cancelled_behind_the_commit_the_release_stays_and_nothing_more_is_begun() {
    stages::cancelled_behind_the_commit(&mut Sim::new(2)).await;
}

#[tokio::test]
async fn what_was_done_behind_the_commit_is_not_done_again_by_a_recovery() {
    stages::done_once(&mut Sim::new(2)).await;
}

#[tokio::test]
async fn a_failed_stage_stops_what_follows_and_what_is_always_done_still_is() {
    let mut bench = Sim::new(1);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let folder = tempfile::tempdir().unwrap();
    let service = &mut bench.config.services[0];
    service.stages = vec![
        command(folder.path(), "lint", false, 3),
        command(folder.path(), "notify", true, 0),
        command(folder.path(), "tidy", true, 9),
    ];
    service.pipeline = vec![vec![custom("lint")], vec![Slot::Deploy]];
    let (exit, view) = bench.run(RunKind::Pipeline).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    bench.assert_as_before(&before, &journal).await;
    assert_eq!(
        told(folder.path()),
        ["lint passed so far", "notify reverted", "tidy reverted"]
    );
    assert!(
        matches!(&view.notes[..], [note] if note.contains("tidy") && note.contains("exit code 9")),
        "{:?}",
        view.notes
    );
}

#[tokio::test]
async fn behind_the_commit_a_failed_stage_is_a_persons_and_the_release_stays() {
    let mut bench = Sim::new(1);
    let folder = tempfile::tempdir().unwrap();
    let service = &mut bench.config.services[0];
    service.stages = vec![
        command(folder.path(), "smoke", false, 4),
        command(folder.path(), "later", false, 0),
        command(folder.path(), "notify", true, 0),
    ];
    service.pipeline = vec![vec![Slot::Deploy], vec![custom("smoke")], vec![custom("later")]];
    let (exit, view) = bench.run(RunKind::Pipeline).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { differences, .. },
            ..
        } => assert!(differences[0].contains("smoke"), "{differences:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(told(folder.path()), ["smoke converged", "notify converged"]);
    bench.assert_on(ReleaseNumber(1), &journal).await;
}

#[tokio::test]
async fn a_no_and_a_cancel_while_it_waits_leave_everything_as_it_was() {
    let mut bench = Sim::new(1);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let folder = tempfile::tempdir().unwrap();
    let service = &mut bench.config.services[0];
    service.stages = vec![asks("go"), command(folder.path(), "notify", true, 0)];
    service.pipeline = vec![vec![custom("go")], vec![Slot::Deploy]];

    let run = bench.launch(&bench.state, RunKind::Pipeline).await;
    waits(&bench, &run).await;
    let no = Word {
        yes: false,
        by: actor().login,
        reason: Some("not on a Friday".to_owned()),
    };
    runs::approve(&bench.state, &run, Some("go"), &no).unwrap();
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 1, "{:?}", view.status);
    assert!(
        format!("{:?}", view.status).contains("not on a Friday"),
        "{:?}",
        view.status
    );
    bench.assert_as_before(&before, &bench.journal(&run)).await;

    let run = bench.launch(&bench.state, RunKind::Pipeline).await;
    waits(&bench, &run).await;
    runs::cancel(&bench.state, &run, "ops-b").unwrap();
    let (exit, _) = bench.ended(&run).await;
    assert_eq!(exit, 130, "{}", bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
    assert_eq!(told(folder.path()), ["notify reverted", "notify reverted"]);
}

#[tokio::test]
async fn a_tag_that_somebody_moved_meanwhile_is_not_put_back() {
    let mut bench = Sim::new(1);
    let folder = tempfile::tempdir().unwrap();
    let from = format!("FROM {}\nRUN echo built\n", pilothouse::sim::BOX_IMAGE);
    std::fs::write(folder.path().join("Dockerfile"), from).unwrap();
    let host = bench.config.hosts[0].clone();
    let service = &mut bench.config.services[0];
    service.image = "shop".to_owned();
    service.build = Some(Build {
        tags: vec!["of-the-day".to_owned()],
        ..Build::new(host.name.clone(), folder.path().to_owned(), LIMIT)
    });
    service.stages = vec![asks("go")];
    service.pipeline = vec![vec![Slot::Build], vec![custom("go")], vec![Slot::Deploy]];
    let daemon = pilothouse::hosts::connect(&host, Access::Full).await.unwrap();
    let named = async |tag: &str| {
        let found = runs::step::survey::image(&daemon, tag).await.unwrap();
        found.map(|image| image.id)
    };
    let no = Word {
        yes: false,
        by: actor().login,
        reason: None,
    };
    for moved in [false, true] {
        let request = RunRequest {
            image: None,
            ..bench.request(RunKind::Pipeline)
        };
        let run = runs::launch(&bench.state, &bench.config, &request, actor()).await;
        let run = run.unwrap();
        waits(&bench, &run).await;
        let its = named("shop:of-the-day").await;
        assert!(its.is_some() && its == named("shop:last-build").await);
        let other = pilothouse::sim::BOX_IMAGE;
        if moved {
            let tag = TagImageOptionsBuilder::default()
                .repo("shop")
                .tag("last-build")
                .build();
            daemon
                .change()
                .unwrap()
                .tag_image(other, Some(tag))
                .await
                .unwrap();
        }
        runs::approve(&bench.state, &run, Some("go"), &no).unwrap();
        let (exit, view) = bench.ended(&run).await;
        assert_eq!(exit, 1, "{:?}", view.status);
        assert_eq!(named("shop:of-the-day").await, None);
        let left = named("shop:last-build").await;
        if moved {
            assert_eq!(left, named(other).await);
        } else {
            assert_eq!(left, None);
        }
    }
}

#[tokio::test]
async fn the_last_word_of_its_tests_is_what_counts_of_an_image() {
    let mut bench = Sim::new(1);
    let host = bench.config.hosts[0].name.clone();
    let mut ended = async |command: &str| {
        bench.config.services[0].tests = vec![Test {
            command: ["sh", "-c", command].map(str::to_owned).into(),
            timeout: LIMIT,
            ..Test::new("unit", host.clone())
        }];
        let (exit, view) = bench.run(RunKind::Test).await;
        let request = bench.request(RunKind::Deploy);
        let plan = Box::pin(runs::plan(
            &bench.state,
            &bench.config,
            &request,
            Access::ReadOnly,
        ));
        let warnings = plan.await.unwrap().warnings;
        let untested = warnings.iter().any(|words| words.contains("no passed test of"));
        assert_eq!(
            (exit, untested),
            (u8::from(untested), untested),
            "{:?}",
            view.status
        );
        untested
    };
    assert!(!ended("exit 0").await);
    assert!(ended("exit 1").await, "it passed on Monday and failed on Tuesday");
    assert!(!ended("exit 0").await);
}

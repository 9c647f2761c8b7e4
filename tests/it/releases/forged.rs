//! Runs known only from a lock on a host: their stages run here only if this configuration has the same ones.

use std::path::Path;

use pilothouse::config::service::{Build, CustomStage, Service, Slot, Test, Work};
use pilothouse::config::test::TestImage;
use pilothouse::domain::ids::{ReleaseNumber, RunId};
use pilothouse::domain::order::Access;
use pilothouse::domain::reference::Reference;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus};
use pilothouse::hosts::connect;
use pilothouse::release::plan::Plan;
use pilothouse::release::record::{Entry, Record};
use pilothouse::release::stage::Stage;
use pilothouse::runs::step::lock;
use pilothouse::runs::{self, Recovery};

use super::Sim;
use super::bench::Bench;
use super::bench::stages::{LIMIT, command, container, custom, told};

/// Whoever reaches the daemons writes another plan into the locks.
async fn forge(bench: &Bench, change: impl Fn(&mut Plan)) {
    for host in &bench.config.hosts {
        let daemon = connect(host, Access::Full).await.unwrap();
        for seen in lock::seen(&daemon, &bench.subject()).await.unwrap() {
            let mut pinned = lock::pinned(&daemon, &seen.id).await.unwrap().unwrap();
            change(&mut pinned.plan);
            lock::pin(&daemon, &seen.id, &pinned).await.unwrap();
        }
    }
}

/// A deploy that died after its decision was pinned, with its bastion.
async fn left(bench: &Bench) -> RunId {
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    assert_eq!(bench.ended(&run).await.0, 5);
    bench.bastion_gone(&run).await;
    run
}

#[tokio::test]
async fn a_forged_lock_has_no_command_run_no_file_read_and_no_folder_sent() {
    let bench = Sim::new(2);
    let run = left(&bench).await;
    let folder = tempfile::tempdir().unwrap();
    let host = bench.config.hosts[0].name.clone();
    std::fs::write(
        folder.path().join("Dockerfile"),
        "FROM scratch AS all\nCOPY . .\n",
    )
    .unwrap();
    forge(&bench, |plan| {
        plan.kind = RunKind::Pipeline;
        let mut reads = container("reads", &host, true, TestImage::Own);
        test_of(&mut reads)
            .files
            .insert("/taken".to_owned(), folder.path().join("Dockerfile"));
        plan.service.build = Some(Build::new(host.clone(), folder.path().to_owned(), LIMIT));
        plan.service.stages = vec![
            command(folder.path(), "touches", true, 0),
            reads,
            container("sends", &host, true, TestImage::Target("all".to_owned())),
        ];
        plan.service.pipeline = vec![vec![Slot::Deploy]];
        // Nor does it help to say so.
        plan.withheld = vec![Stage::Push];
    })
    .await;
    let other = bench.another();
    let release = other.good(RunKind::Deploy).await;
    let view = runs::view(&other.state, &run).unwrap();
    let journal = other.journal(&run);
    assert!(
        matches!(
            &view.status,
            RunStatus::Closed {
                outcome: Outcome::Reverted { .. },
                ..
            }
        ),
        "{:?}\n{journal}",
        view.status
    );
    assert_eq!(told(folder.path()), [] as [String; 0], "{journal}");
    for name in ["touches", "reads", "sends"] {
        let said = format!("stage {name} of bastion-1 was not run here");
        assert!(
            view.notes.iter().any(|note| note.starts_with(&said)),
            "{:?}",
            view.notes
        );
        let stage = match name {
            "touches" => Stage::Local(name.to_owned()),
            _ => Stage::Run(name.to_owned()),
        };
        let begun = records(&journal)
            .into_iter()
            .any(|record| matches!(record.entry, Entry::Intent(step) if step.stage == stage));
        assert!(!begun, "{name}\n{journal}");
    }
    bench.assert_on(release, &journal).await;
}

#[tokio::test]
async fn what_this_configuration_says_too_is_always_done_for_a_run_of_another_bastion() {
    let mut bench = Sim::new(2);
    let folder = tempfile::tempdir().unwrap();
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let service = &mut bench.config.services[0];
    service.stages = vec![command(folder.path(), "notify", true, 0)];
    service.pipeline = vec![vec![Slot::Deploy]];
    let elsewhere = tempfile::tempdir().unwrap();
    for same in [true, false] {
        let run = bench.launch_dying(30, RunKind::Pipeline).await;
        assert_eq!(bench.ended(&run).await.0, 5);
        bench.bastion_gone(&run).await;
        let mut other = bench.another();
        if !same {
            // Where this bastion keeps its configuration.
            other.config.services[0].stages = vec![command(elsewhere.path(), "notify", true, 0)];
        }
        let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full).await;
        assert_eq!(found.unwrap(), Recovery::Started(run.clone()));
        let (exit, view) = other.ended(&run).await;
        let journal = other.journal(&run);
        assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
        assert_eq!(told(folder.path()), ["notify reverted"], "once, the first time");
        assert_eq!(view.notes.is_empty(), same, "{:?}", view.notes);
        other.assert_as_before(&before, &journal).await;
    }
    assert_eq!(told(elsewhere.path()), [] as [String; 0]);
}

#[tokio::test]
async fn behind_the_commit_what_was_not_done_here_is_a_persons() {
    let mut bench = Sim::new(1);
    let folder = tempfile::tempdir().unwrap();
    let service = &mut bench.config.services[0];
    service.stages = vec![
        command(folder.path(), "smoke", false, 0),
        command(folder.path(), "report", false, 0),
    ];
    service.pipeline = vec![vec![Slot::Deploy], vec![custom("smoke")], vec![custom("report")]];
    bench.good(RunKind::Pipeline).await;
    let (exit, view) = bench.run(RunKind::Pipeline).await;
    assert_eq!(exit, 0, "{:?}", view.status);
    let committed = records(&bench.journal(&view.id))
        .into_iter()
        .find(|record| matches!(&record.entry, Entry::Done { step, .. } if step.stage == Stage::Commit));
    let after = u32::try_from(committed.unwrap().n).unwrap() + 2;
    let mut other = bench.another();
    let run = bench.launch_dying(after, RunKind::Pipeline).await;
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 5, "{:?}", view.status);
    assert!(
        view.committed && bench.locks().await == 1,
        "{}",
        bench.journal(&run)
    );
    bench.bastion_gone(&run).await;
    let elsewhere = tempfile::tempdir().unwrap();
    other.config.services[0].stages[0] = command(elsewhere.path(), "smoke", false, 0);
    let before = told(folder.path());
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full).await;
    assert_eq!(found.unwrap(), Recovery::Started(run.clone()));
    let (exit, view) = other.ended(&run).await;
    let journal = other.journal(&run);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { differences, .. },
            ..
        } => assert!(
            matches!(&differences[..], [one] if one.starts_with("stage smoke of bastion-1 was not run here")),
            "{differences:?}"
        ),
        other => panic!("{other:?}\n{journal}"),
    }
    assert_eq!(told(folder.path()), before, "nor what stands behind it");
    other.assert_on(ReleaseNumber(3), &journal).await;
}

#[tokio::test]
async fn a_lock_that_holds_another_runs_plan_is_refused() {
    let bench = Sim::new(2);
    let run = left(&bench).await;
    forge(&bench, |plan| {
        plan.run = RunId::parse("20260101-000000-000zz").unwrap();
    })
    .await;
    let other = bench.another();
    let failure = runs::recover(&other.state, &other.config, run.clone(), Access::Full)
        .await
        .unwrap_err();
    let said = failure.fault.to_string();
    assert!(
        said.contains(run.as_str()) && said.contains("holds the plan of"),
        "{said}"
    );
    assert!(runs::list(&other.state).is_empty());
}

#[test]
fn of_each_kind_of_work_only_what_is_the_same_is_done() {
    let folder = Path::new("/srv/shop");
    let plan = full(folder);
    let mut same = plan.clone();
    same.withhold(&plan.service);
    assert_eq!(same.withheld, []);

    let run = |name: &str| Stage::Run(name.to_owned());
    let built = [Stage::Build, run("stage")];
    let check = |change: &dyn Fn(&mut Plan), withheld: &[Stage]| {
        let mut forged = plan.clone();
        change(&mut forged);
        forged.withhold(&plan.service);
        assert_eq!(forged.withheld, withheld);
    };
    let elsewhere = |plan: &mut Plan| plan.service.build.as_mut().unwrap().context = "/etc".into();
    check(&elsewhere, &built);
    let strange = |plan: &mut Plan| plan.service.build.as_mut().unwrap().git = Some("--all".to_owned());
    check(&strange, &built);
    let commit = |plan: &mut Plan| plan.service.build.as_mut().unwrap().git = Some("3f".repeat(20));
    check(&commit, &[]);
    let reads = |plan: &mut Plan| {
        let files = &mut plan.service.tests[0].files;
        files.insert("/taken".to_owned(), "/etc/shadow".into());
    };
    check(&reads, &[Stage::Test("unit".to_owned())]);
    let pushes = |plan: &mut Plan| plan.pushes = vec![Reference::parse("evil:5000/shop:1").unwrap()];
    check(&pushes, &[Stage::Push]);
    let pushes = |plan: &mut Plan| {
        test_of(&mut plan.service.stages[1]).push = Some("evil:5000/shop-tests:1".to_owned());
    };
    check(&pushes, &[run("stage")]);
    let tagged = |plan: &mut Plan| {
        test_of(&mut plan.service.stages[1]).push = Some("registry:5000/shop-tests:3f2a91c".to_owned());
    };
    check(&tagged, &[]);
    let other = |plan: &mut Plan| plan.service.stages[0] = command(Path::new("/"), "notify", true, 0);
    check(&other, &[Stage::Local("notify".to_owned())]);
    let other = |plan: &mut Plan| plan.service.stages[0].always = false;
    check(&other, &[]);
}

/// A pipeline of every kind of work.
fn full(folder: &Path) -> Plan {
    let host = super::world::host(1);
    let mut plan = super::planned(RunKind::Pipeline, 1, &super::Strategy::Recreate);
    let mut staged = container("stage", &host, false, TestImage::Target("tests".to_owned()));
    test_of(&mut staged).push = Some("registry:5000/shop-tests:{git.short}".to_owned());
    plan.pushes = vec![
        Reference::parse(&plan.service.image)
            .unwrap()
            .tagged("v1")
            .unwrap(),
    ];
    plan.service = Service {
        build: Some(Build::new(host.clone(), folder.to_owned(), LIMIT)),
        tests: vec![Test::new("unit", host)],
        stages: vec![command(folder, "notify", true, 0), staged],
        pipeline: vec![
            vec![Slot::Deploy],
            vec![Slot::Build],
            vec![Slot::Test("unit".to_owned())],
            vec![Slot::Push],
            vec![custom("stage")],
        ],
        ..plan.service
    };
    plan
}

fn test_of(stage: &mut CustomStage) -> &mut Test {
    match &mut stage.work {
        Work::Run { test, .. } => test,
        other => panic!("{other:?}"),
    }
}

fn records(journal: &str) -> Vec<Record> {
    let lines = journal.lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

//! Custom stages in a pipeline on simulated daemons: their order, approvals, `always` stages.

use bollard::query_parameters::TagImageOptionsBuilder;
use pilothouse::config::service::{Build, CustomStage, Slot, Test, Work};
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::reference::Reference;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus};
use pilothouse::release::plan::Plan;
use pilothouse::release::record::{Entry, Finding, Record};
use pilothouse::release::run::{Action, Fact, Left, Run};
use pilothouse::release::stage::{Stage, Step};
use pilothouse::runs::{self, Word};
use rustix::process::{Signal, kill_process};

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
async fn what_is_always_done_in_a_container_of_any_image_is_done_when_the_run_turns_back() {
    stages::always_in_containers(&mut Sim::new(2)).await;
}

#[tokio::test]
async fn a_run_that_turns_back_leaves_no_image_without_a_name_however_its_tags_are_sorted() {
    let mut bench = Sim::new(1);
    let folder = tempfile::tempdir().unwrap();
    let host = bench.config.hosts[0].clone();
    let daemon = pilothouse::hosts::connect(&host, Access::Full).await.unwrap();
    let service = &mut bench.config.services[0];
    service.image = "shop".to_owned();
    service.stages = vec![command(folder.path(), "lint", false, 3)];
    let mut ended = async |tag: &str, pipeline: Vec<Vec<Slot>>| {
        let text = format!("FROM {}\nRUN echo {tag}\n", pilothouse::sim::BOX_IMAGE);
        std::fs::write(folder.path().join("Dockerfile"), text).unwrap();
        let service = &mut bench.config.services[0];
        service.build = Some(Build {
            tags: vec![tag.to_owned()],
            ..Build::new(host.name.clone(), folder.path().to_owned(), LIMIT)
        });
        service.pipeline = pipeline;
        let request = RunRequest {
            image: None,
            ..bench.request(RunKind::Pipeline)
        };
        let run = runs::launch(&bench.state, &bench.config, &request, actor()).await;
        let (exit, view) = bench.ended(&run.unwrap()).await;
        let records = runs::disk::journal::read(&bench.state.dir(&view.id)).unwrap();
        let built = records.into_iter().find_map(|record| match record.entry {
            Entry::Done {
                finding: Finding::Image { id, .. },
                ..
            } => Some(id),
            _ => None,
        });
        let built = built.unwrap();
        let left = runs::step::survey::image(&daemon, built.as_str()).await.unwrap();
        (exit, left.is_some())
    };
    assert_eq!(ended("v1", vec![vec![Slot::Build]]).await, (0, true));
    for tag in ["3f2a91c", "v2"] {
        let pipeline = vec![vec![Slot::Build], vec![custom("lint")]];
        assert_eq!(ended(tag, pipeline).await, (1, false), "{tag}");
    }
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
    assert_eq!(told(folder.path()), ["smoke converged", "notify needs-human"]);
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

/// Something in the background that is deaf to SIGTERM, and its process number in the file `child`.
fn leaves_a_child(folder: &std::path::Path) -> CustomStage {
    let script = "(trap '' TERM; exec sleep 1000) & echo $! > child.new; mv child.new child; wait";
    let argv = ["sh", "-c", script].map(str::to_owned).into();
    stages::stage(
        "leaves",
        false,
        Work::Command {
            argv,
            env: std::collections::BTreeMap::new(),
            folder: folder.to_owned(),
            timeout: LIMIT,
        },
    )
}

async fn child(folder: &std::path::Path) -> std::path::PathBuf {
    let file = folder.join("child");
    let written = async {
        while !file.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, written).await.expect("it is begun");
    let number = std::fs::read_to_string(&file).unwrap();
    std::path::Path::new("/proc").join(number.trim())
}

#[tokio::test]
async fn what_a_command_started_goes_with_it_when_it_is_ended_and_with_its_run_when_that_is_taken_up() {
    for killed in [false, true] {
        let mut bench = Sim::new(1);
        let folder = tempfile::tempdir().unwrap();
        let service = &mut bench.config.services[0];
        service.stages = vec![leaves_a_child(folder.path())];
        service.pipeline = vec![vec![custom("leaves")]];
        let run = bench.launch(&bench.state, RunKind::Pipeline).await;
        let child = child(folder.path()).await;
        assert!(child.exists());
        if killed {
            kill_process(bench.process(&run), Signal::KILL).unwrap();
            assert_eq!(bench.ended(&run).await.0, 5);
            let (exit, view) = bench.recover(&run).await;
            assert_eq!(exit, 1, "{:?}", view.status);
        } else {
            runs::cancel(&bench.state, &run, "ops-b").unwrap();
            assert_eq!(bench.ended(&run).await.0, 130);
        }
        let gone = async {
            // Who was killed is taken away by its parent, a moment later.
            while std::fs::read(child.join("cmdline")).is_ok_and(|line| !line.is_empty()) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, gone).await.expect("it is ended");
    }
}

/// Notes of a run that its process left in a step of this stage, once it is recovered.
fn notes_of(plan: &Plan, stage: Stage, answer: Option<Entry>) -> Vec<String> {
    let step = Step {
        stage,
        host: plan.targets[0].clone(),
    };
    let mut entries = vec![Entry::Opened(Box::new(plan.clone())), Entry::Intent(step)];
    entries.extend(answer);
    let records: Vec<Record> = entries
        .into_iter()
        .zip(1..)
        .map(|(entry, n)| Record {
            schema: 1,
            n,
            at: plan.started,
            entry,
        })
        .collect();
    let mut run = Run::resumed(Left::read(&records).unwrap());
    let mut actions = std::collections::VecDeque::from(run.start());
    let mut notes = Vec::new();
    while let Some(action) = actions.pop_front() {
        match action {
            Action::Do(step) => actions.extend(run.on(Fact::Did(step, Finding::Nothing))),
            Action::Write(Entry::Note(note)) => notes.push(note),
            Action::Write(_) | Action::Interrupt | Action::Close { .. } | Action::Leave { .. } => {}
        }
    }
    notes
}

#[test]
fn what_a_killed_push_may_have_left_in_a_registry_is_said() {
    let mut plan = super::planned(RunKind::Push, 1, &super::Strategy::Recreate);
    let reference = |text: &str| Reference::parse(text).unwrap();
    plan.pushes = vec![reference("registry:5000/shop:v1")];
    plan.builder = plan.targets.first().cloned();
    let words = "registry:5000/shop:v1 may be in the registry: a push was interrupted";
    assert_eq!(notes_of(&plan, Stage::Push, None), [words]);
    let step = Step {
        stage: Stage::Push,
        host: plan.targets[0].clone(),
    };
    let refused = Entry::Failed {
        step: step.clone(),
        took: LIMIT,
        why: super::world::refused("push"),
    };
    assert_eq!(notes_of(&plan, Stage::Push, Some(refused)), [] as [String; 0]);
    let pushed = Entry::Done {
        step,
        took: LIMIT,
        finding: Finding::Pushed {
            id: pilothouse::domain::ids::ImageId::parse("sha256:01").unwrap(),
            pinned: reference("registry:5000/shop:v1"),
            tags: plan.pushes.clone(),
        },
    };
    assert_eq!(
        notes_of(&plan, Stage::Push, Some(pushed)),
        ["registry:5000/shop:v1 stay in the registry"]
    );
    // A pipeline moves `latest`, too; and a test pushes what it built.
    plan.kind = RunKind::Pipeline;
    let mut unit = Test::new("unit", plan.targets[0].clone());
    unit.image = pilothouse::config::test::TestImage::Target("tests".to_owned());
    unit.push = Some("registry:5000/shop-tests:v1".to_owned());
    plan.service.tests = vec![unit];
    plan.service.pipeline = vec![
        vec![Slot::Build],
        vec![Slot::Test("unit".to_owned())],
        vec![Slot::Push],
    ];
    let words = "registry:5000/shop:v1 and shop:latest may be in the registry: a push was interrupted";
    assert_eq!(notes_of(&plan, Stage::Push, None), [words]);
    let words = "registry:5000/shop-tests:v1 may be in the registry: a push was interrupted";
    assert_eq!(notes_of(&plan, Stage::Test("unit".to_owned()), None), [words]);
}

//! Custom stages in a pipeline: their definition in tests, and scenarios for any kind of daemon.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bollard::query_parameters::TagImageOptionsBuilder;
use pilothouse::config::service::{Build, CustomStage, Slot, Test, Work};
use pilothouse::config::test::TestImage;
use pilothouse::domain::ids::{HostName, ReleaseNumber, RunId};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::run::{Cell, RunKind};
use pilothouse::runs::{self, Word};
use rustix::process::{Signal, kill_process};

use super::{Bench, actor};

pub(crate) const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn stage(name: &str, always: bool, work: Work) -> CustomStage {
    CustomStage {
        name: name.to_owned(),
        always,
        work,
    }
}

/// Adds its name and the run's result so far to the file `told`, then ends with the code.
pub(crate) fn command(folder: &Path, name: &str, always: bool, code: i32) -> CustomStage {
    let script = format!("echo {name} is run; echo {name} $PILOTHOUSE_RESULT >> told; exit {code}");
    stage(
        name,
        always,
        Work::Command {
            argv: vec!["sh".to_owned(), "-c".to_owned(), script],
            env: BTreeMap::new(),
            folder: folder.to_owned(),
            timeout: LIMIT,
        },
    )
}

pub(crate) fn told(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub(crate) fn custom(name: &str) -> Slot {
    Slot::Custom(name.to_owned())
}

pub(crate) fn asks(name: &str) -> CustomStage {
    let (question, timeout) = ("May it go?".to_owned(), LIMIT);
    stage(name, false, Work::Approve { question, timeout })
}

/// Deployed, then `migrate`, `go`, which waits for approval, and `report`.
pub(crate) fn behind(bench: &mut Bench, folder: &Path) {
    let service = &mut bench.config.services[0];
    service.stages = vec![
        command(folder, "migrate", false, 0),
        asks("go"),
        command(folder, "report", false, 0),
        command(folder, "notify", true, 0),
    ];
    let behind = ["migrate", "go", "report"].map(|name| vec![custom(name)]);
    service.pipeline = std::iter::once(vec![Slot::Deploy]).chain(behind).collect();
}

pub(crate) async fn waits(bench: &Bench, run: &RunId) {
    let waiting = async {
        while runs::view(&bench.state, run).unwrap().asks.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting)
        .await
        .unwrap_or_else(|_| panic!("it does not wait:\n{}", bench.journal(run)));
}

/// In containers and here and by a person's word, each after the one before it.
pub(crate) async fn in_order(bench: &mut Bench) {
    let folder = tempfile::tempdir().unwrap();
    let host = bench.config.hosts[0].name.clone();
    let service = &mut bench.config.services[0];
    service.stages = vec![
        stage(
            "scan",
            false,
            Work::Run {
                image: None,
                test: Box::new(Test {
                    command: vec!["sh".to_owned(), "-c".to_owned(), "echo scanned".to_owned()],
                    timeout: LIMIT,
                    ..Test::new("scan", host)
                }),
            },
        ),
        command(folder.path(), "one", false, 0),
        asks("go"),
        command(folder.path(), "behind", false, 0),
        command(folder.path(), "notify", true, 0),
    ];
    service.pipeline = vec![
        vec![custom("scan"), custom("one")],
        vec![custom("go")],
        vec![Slot::Deploy],
        vec![custom("behind")],
    ];
    let run = bench.launch(&bench.state, RunKind::Pipeline).await;
    let word = Word {
        yes: true,
        by: "ops-b".to_owned(),
        reason: Some("looks good".to_owned()),
    };
    assert!(
        runs::approve(&bench.state, &run, Some("one"), &word).is_err(),
        "it asks nobody"
    );
    waits(bench, &run).await;
    assert_eq!(told(folder.path()), ["one passed so far"]);
    assert!(
        bench.look().await.values().all(Vec::is_empty),
        "nothing is deployed yet"
    );
    runs::approve(&bench.state, &run, None, &word).unwrap();
    let (exit, view) = bench.ended(&run).await;
    let journal = bench.journal(&run);
    assert_eq!(exit, 0, "{:?}\n{journal}", view.status);
    assert!(
        journal.contains("looks good") && journal.contains("ops-b"),
        "{journal}"
    );
    assert!(
        view.output.iter().any(|line| line.text == "scanned"),
        "{:?}",
        view.output
    );
    assert_eq!(
        told(folder.path()),
        ["one passed so far", "behind converged", "notify converged"]
    );
    bench.assert_on(ReleaseNumber(1), &journal).await;
}

/// The release stays, and nothing more is begun but what is always done.
pub(crate) async fn cancelled_behind_the_commit(bench: &mut Bench) {
    let folder = tempfile::tempdir().unwrap();
    behind(bench, folder.path());
    let run = bench.launch(&bench.state, RunKind::Pipeline).await;
    waits(bench, &run).await;
    assert!(runs::view(&bench.state, &run).unwrap().committed);
    runs::cancel(&bench.state, &run, "ops-b").unwrap();
    let (exit, view) = bench.ended(&run).await;
    let journal = bench.journal(&run);
    assert_eq!(exit, 0, "{:?}\n{journal}", view.status);
    assert!(
        view.notes
            .iter()
            .any(|note| note.contains("cancelled by ops-b after the commit")),
        "{:?}",
        view.notes
    );
    let go = view.stages.iter().find(|stage| stage.name == "go").unwrap();
    assert!(
        matches!(&go.cells[..], [(_, Cell::Failed { why, .. })] if why.contains("cancelled")),
        "nothing is undone: {go:?}"
    );
    assert_eq!(told(folder.path()), ["migrate converged", "notify converged"]);
    bench.assert_on(ReleaseNumber(1), &journal).await;
}

/// Killed behind the commit and recovered: what was done is not done again.
pub(crate) async fn done_once(bench: &mut Bench) {
    let folder = tempfile::tempdir().unwrap();
    behind(bench, folder.path());
    let run = bench.launch(&bench.state, RunKind::Pipeline).await;
    waits(bench, &run).await;
    kill_process(bench.process(&run), Signal::KILL).unwrap();
    assert_eq!(bench.ended(&run).await.0, 5);
    let word = Word {
        yes: true,
        by: actor().login,
        reason: None,
    };
    let ((exit, view), ()) = tokio::join!(bench.recover(&run), async {
        while runs::approve(&bench.state, &run, Some("go"), &word).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let journal = bench.journal(&run);
    assert_eq!(exit, 0, "{:?}\n{journal}", view.status);
    assert_eq!(
        told(folder.path()),
        ["migrate converged", "report converged", "notify converged"]
    );
    bench.assert_on(ReleaseNumber(1), &journal).await;
}

/// A container that says its name.
pub(crate) fn container(name: &str, host: &HostName, always: bool, image: TestImage) -> CustomStage {
    let test = Test {
        command: ["sh", "-c", &format!("echo {name} is run $PILOTHOUSE_RESULT")]
            .map(str::to_owned)
            .into(),
        timeout: LIMIT,
        image,
        ..Test::new(name, host.clone())
    };
    let (image, test) = (None, Box::new(test));
    stage(name, always, Work::Run { image, test })
}

/// In the image that the run built and that goes again, in a stage of the Dockerfile, and in an image that is brought
/// from the builder: each is done, and nothing is left of them.
pub(crate) async fn always_in_containers(bench: &mut Bench) {
    let folder = tempfile::tempdir().unwrap();
    let base = bench.request(RunKind::Build).image.unwrap();
    let text = format!("FROM {base} AS tidy\nRUN echo tidy > /tidy\nFROM {base}\nRUN echo built > /built\n");
    std::fs::write(folder.path().join("Dockerfile"), text).unwrap();
    let (builder, other) = (bench.config.hosts[0].clone(), bench.config.hosts[1].name.clone());
    let daemon = pilothouse::hosts::connect(&builder, Access::Full).await.unwrap();
    let extra = TagImageOptionsBuilder::default().repo("extra").tag("1").build();
    daemon
        .change()
        .unwrap()
        .tag_image(&base, Some(extra))
        .await
        .unwrap();
    let service = &mut bench.config.services[0];
    service.image = "shop".to_owned();
    service.build = Some(Build {
        tags: vec!["of-the-day".to_owned()],
        ..Build::new(builder.name.clone(), folder.path().to_owned(), LIMIT)
    });
    service.stages = vec![
        command(folder.path(), "lint", false, 3),
        container("own", &other, true, TestImage::Own),
        container("tidy", &builder.name, true, TestImage::Target("tidy".to_owned())),
        container("brought", &other, true, TestImage::Named("extra:1".to_owned())),
    ];
    service.pipeline = vec![vec![Slot::Build], vec![custom("lint")]];
    let request = RunRequest {
        image: None,
        ..bench.request(RunKind::Pipeline)
    };
    let run = runs::launch(&bench.state, &bench.config, &request, actor()).await;
    let (exit, view) = bench.ended(&run.unwrap()).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    assert!(view.notes.is_empty(), "{:?}\n{journal}", view.notes);
    for name in ["own", "tidy", "brought"] {
        let said = format!("{name} is run reverted");
        assert!(
            view.output.iter().any(|line| line.text == said),
            "{said}: {:?}\n{journal}",
            view.output
        );
    }
    for tag in ["shop:of-the-day", "shop:last-build", "shop:of-the-day-tidy"] {
        let named = runs::step::survey::image(&daemon, tag).await.unwrap();
        assert!(named.is_none(), "{tag}\n{journal}");
    }
    bench.assert_no_tests_left(&view.id, &journal).await;
}

//! Stages of a service's own in a pipeline: what they are made of in tests, and stories of them on any daemons.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pilothouse::config::service::{CustomStage, Slot, Test, Work};
use pilothouse::domain::ids::{ReleaseNumber, RunId};
use pilothouse::domain::run::RunKind;
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

/// Deployed, then `migrate`, `go`, which waits for a person, and `report`.
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
            .any(|note| note.contains("cancelled by ops-b behind the commit")),
        "{:?}",
        view.notes
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

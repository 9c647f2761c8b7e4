//! A cancelled run ends whatever its step does: steps are asked to end, then abandoned, and what could not be undone is reported.

use std::time::{Duration, Instant};

use pilothouse::domain::run::{Cell, Outcome, RunStatus, RunView};

use super::Desk;

/// A shell that ignores being asked to end, and so does what it starts.
const STUBBORN: &str = "trap '' TERM; echo begun; while true; do sleep 1; done";

fn shop(stage: &str) -> String {
    format!(
        "[[services]]\nname = \"shop\"\nimage = \"sim/box\"\npipeline = [\"unit\", \"stubborn\"]\n\
         [[services.tests]]\nname = \"unit\"\nhost = \"host-1\"\ncommand = [\"true\"]\n{}",
        stage.replace("STUBBORN", STUBBORN)
    )
}

const COMMAND: &str = "[[services.stages]]\nname = \"stubborn\"\nkind = \"command\"\n\
                       command = [\"sh\", \"-c\", \"STUBBORN\"]\n";
const TEST: &str = "[[services.tests]]\nname = \"stubborn\"\nhost = \"host-1\"\n\
                    command = [\"sh\", \"-c\", \"STUBBORN\"]\n";

fn has_begun(view: &RunView) -> bool {
    view.output.iter().any(|line| line.text == "begun")
}

fn needs_a_human(view: &RunView) -> &[String] {
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { differences, .. },
            ..
        } => differences,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_command_that_ignores_being_asked_is_killed() {
    let desk = Desk::new(1, &shop(COMMAND));
    let run = desk
        .begin(&["pipeline", "shop", "--image", "sim/box:1", "--yes"])
        .await;
    desk.until(&run, "its command runs", has_begun).await;
    desk.run(&["cancel", run.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&run).await, 130);
    let left = std::fs::read_dir("/proc").unwrap().flatten().find(|entry| {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&format!("PILOTHOUSE_RUN={run}"))
    });
    assert!(left.is_none(), "{left:?} lives on");
}

#[tokio::test]
async fn a_test_that_ignores_being_asked_is_killed_and_leaves_nothing() {
    let desk = Desk::new(1, &shop(TEST));
    let run = desk.begin(&["test", "shop", "--tag", "1"]).await;
    desk.until(&run, "its test runs", has_begun).await;
    let said = desk.run(&["cancel", run.as_str(), "--json"]).await.exits(0);
    assert_eq!(said.json()["id"], run.as_str());
    assert_eq!(desk.ended(&run).await, 130);
    let engine = desk.fleet.engine("host-1").unwrap();
    assert_eq!(engine.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn where_the_daemon_does_not_answer_the_step_is_given_up_and_what_may_be_left_is_said() {
    let desk = Desk::new(1, &shop(TEST));
    let engine = desk.fleet.engine("host-1").unwrap();
    let run = desk.begin(&["test", "shop", "--tag", "1"]).await;
    desk.until(&run, "its test runs", has_begun).await;
    engine.hang(true);
    desk.run(&["cancel", run.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&run).await, 5);
    let view = desk.view(&run).unwrap();
    let differences = needs_a_human(&view);
    let said = differences
        .iter()
        .any(|text| text.contains("host-1") && text.contains(run.as_str()));
    assert!(said, "{differences:?}");
    let cells: Vec<&Cell> = view
        .stages
        .iter()
        .flat_map(|stage| &stage.cells)
        .map(|cell| &cell.1)
        .collect();
    let given_up = cells
        .iter()
        .any(|cell| matches!(cell, Cell::Failed { why, .. } if why.contains("abandoned")));
    assert!(given_up, "{cells:?}");
    // Programs read them too.
    let listed = desk.run(&["runs", run.as_str(), "--json"]).await.exits(0).json();
    let followed = desk
        .run(&["follow", run.as_str(), "--json"])
        .await
        .exits(5)
        .json();
    for view in [&listed[0], &followed] {
        assert_eq!(view["status"]["result"], "needs-human", "{view}");
        assert_eq!(
            view["status"]["differences"],
            serde_json::json!(differences),
            "{view}"
        );
    }
    // When the daemon is back it is put in order.
    engine.hang(false);
    desk.run(&["recover", run.as_str()]).await.exits(1);
    assert_eq!(engine.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn asked_a_second_time_it_stops_where_it_is_also_where_nothing_answers() {
    let desk = Desk::new(1, &shop(TEST));
    let engine = desk.fleet.engine("host-1").unwrap();
    let run = desk.begin(&["test", "shop", "--tag", "1"]).await;
    desk.until(&run, "its test runs", has_begun).await;
    engine.hang(true);
    let asked = Instant::now();
    for _ in 0..2 {
        desk.run(&["cancel", run.as_str()]).await.exits(0);
    }
    assert_eq!(desk.ended(&run).await, 5);
    // One grace of 20 s, and no sweep of its own that waits for the daemon.
    assert!(asked.elapsed() < Duration::from_secs(45), "{:?}", asked.elapsed());
    let view = desk.view(&run).unwrap();
    let shown = format!("{:?}", view.status);
    assert!(shown.contains("stopped by"), "{shown}");
    assert!(needs_a_human(&view)[0].contains("may remain"), "{shown}");
    engine.hang(false);
    desk.run(&["recover", run.as_str()]).await.exits(1);
    assert_eq!(engine.containers(), Vec::<String>::new());
}

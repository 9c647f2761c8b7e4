//! Runs of one service run in order of creation; killed, cancelled or late ones delay nobody.

use pilothouse::domain::ids::RunId;
use pilothouse::domain::run::{Cell, RunView};
use pilothouse::domain::units::Stamp;
use pilothouse::release::record::Entry;

use serde_json::json;

use super::Desk;
use crate::releases::bench::reverted::why;

pub(super) const SHOP: &str = r#"
[[services]]
name = "shop"
image = "sim/box"
[[services.tests]]
name = "unit"
host = "host-1"
command = ["sh", "-c", "sleep 0.05"]
[services.deploy]
hosts = ["host-1", "host-2"]
command = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity"]
health = { for = "50ms", within = "10s" }
stop_grace = "1s"
"#;

/// A test that goes on until somebody ends it.
const SLOW: &str = r#"
[[services]]
name = "shop"
image = "sim/box"
[[services.tests]]
name = "slow"
host = "host-1"
command = ["sh", "-c", "trap 'exit 3' TERM; sleep infinity"]
"#;

fn waits(view: &RunView) -> bool {
    view.waiting.is_some()
}

fn works(view: &RunView) -> bool {
    let mut tests = view.stages.iter().filter(|stage| stage.name.starts_with("test"));
    tests.any(|stage| matches!(stage.cells.as_slice(), [(_, Cell::Running { .. })]))
}

#[tokio::test]
async fn twenty_triggers_at_once_run_one_after_the_other_in_the_order_they_were_made() {
    let desk = Desk::new(2, SHOP);
    let trigger = || desk.begin(&["deploy", "shop", "--tag", "1", "--yes", "--wait", "10m"]);
    let mut runs: Vec<RunId> = futures_util::future::join_all((0..20).map(|_| trigger())).await;
    runs.sort();
    let mut before = Stamp(0);
    for (number, run) in (1..).zip(&runs) {
        assert_eq!(desk.ended(run).await, 0, "{:#?}", desk.view(run));
        let records = desk.records(run);
        let first = records
            .iter()
            .find(|record| matches!(record.entry, Entry::Intent(_)));
        let began = first.unwrap().at;
        assert!(
            began > before,
            "{run} began while the one before it was under way"
        );
        before = records.last().unwrap().at;
        let release = desk.view(run).unwrap().to.unwrap();
        assert_eq!(
            release.0, number,
            "{run} is the {number}. in the order of creation"
        );
    }
}

#[tokio::test]
async fn killed_waiters_and_a_killed_holder_hold_nobody_up() {
    let desk = Desk::new(1, SLOW);
    let test = ["test", "shop", "--tag", "1", "--wait", "10m"];
    let holder = desk.begin(&test).await;
    desk.until(&holder, "it is in progress", works).await;
    let (waiter, last) = (desk.begin(&test).await, desk.begin(&test).await);
    let seen = desk.until(&waiter, "it waits", waits).await;
    assert!(seen.waiting.unwrap().contains(holder.as_str()));
    let seen = desk.until(&last, "it waits", waits).await;
    assert!(seen.waiting.unwrap().contains(waiter.as_str()));
    desk.kill(&waiter);
    let behind = |view: &RunView| {
        view.waiting
            .as_ref()
            .is_some_and(|text| text.contains(holder.as_str()))
    };
    desk.until(&last, "it waits for the one before the dead one", behind)
        .await;
    desk.kill(&holder);
    desk.until(&last, "it is in progress", works).await;
    desk.run(&["cancel", last.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&last).await, 130);
    // What the dead one left is still there to be put in order.
    desk.run(&["recover", holder.as_str()]).await.exits(1);
    let left = desk.fleet.engine("host-1").unwrap();
    assert_eq!(left.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_at_once_and_the_others_go_on() {
    let desk = Desk::new(1, SLOW);
    let test = ["test", "shop", "--tag", "1", "--wait", "10m"];
    let holder = desk.begin(&test).await;
    desk.until(&holder, "it is in progress", works).await;
    let waiter = desk.begin(&test).await;
    desk.until(&waiter, "it waits", waits).await;
    let shown = desk.run(&["runs"]).await.exits(0);
    assert!(
        shown.out.contains(&format!("waiting for run {holder}")) && shown.out.contains("(test shop)"),
        "{}",
        shown.out
    );
    desk.run(&["cancel", waiter.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&waiter).await, 130);
    assert!(works(&desk.view(&holder).unwrap()));
    desk.run(&["cancel", holder.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&holder).await, 130);
}

#[tokio::test]
async fn without_a_terminal_or_with_no_wait_it_says_who_is_before_it_and_exits_4() {
    let desk = Desk::new(1, SLOW);
    let test = ["test", "shop", "--tag", "1", "--wait", "10m"];
    let holder = desk.begin(&test).await;
    desk.until(&holder, "it is in progress", works).await;
    for how in [
        &["test", "shop", "--tag", "1"][..],
        &["test", "shop", "--tag", "1", "--no-wait"],
    ] {
        let said = desk.run(how).await.exits(4);
        assert!(said.err.contains(holder.as_str()), "{}", said.err);
    }
    let late = desk
        .begin(&["test", "shop", "--tag", "1", "--wait", "300ms"])
        .await;
    assert_eq!(desk.ended(&late).await, 4);
    let view = desk.view(&late).unwrap();
    let why = why(&view);
    assert!(
        why.contains(holder.as_str()) && why.contains("is in progress"),
        "{why}"
    );
    desk.run(&["cancel", holder.as_str()]).await.exits(0);
    assert_eq!(desk.ended(&holder).await, 130);
}

#[tokio::test]
async fn a_run_of_another_state_folder_is_waited_for_at_the_lock_on_the_hosts() {
    let slow = SHOP.replace("for = \"50ms\"", "for = \"2s\"");
    let desk = Desk::new(2, &slow);
    let deploy = ["deploy", "shop", "--tag", "1", "--yes", "--wait", "10m"];
    let first = desk.begin(&deploy).await;
    let gating = |view: &RunView| {
        let gate = view.stages.iter().find(|stage| stage.name == "gate");
        gate.is_some_and(|stage| format!("{:?}", stage.cells).contains("Running"))
    };
    desk.until(&first, "it holds its locks", gating).await;
    let folder = desk.dir().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    let mut other = desk.command(&deploy);
    other.env("HOME", &folder).env("PILOTHOUSE_ACTOR", "ops-b");
    let said = super::finish(other).await.exits(0);
    assert!(
        said.err.contains(&format!("waiting for run {first}")) && said.err.contains("(deploy shop)"),
        "{}",
        said.err
    );
    assert_eq!(desk.ended(&first).await, 0);
    let mut third = desk.command(&["runs", "--json"]);
    third.env("HOME", &folder);
    let runs = super::finish(third).await.exits(0).json();
    assert_eq!(runs[0]["to"], 2, "{runs:#}");
    assert!(runs[0]["waited"].is_f64(), "{runs:#}");
    assert!(runs[0]["started"].as_str().unwrap().ends_with('Z'), "{runs:#}");
    let status = &runs[0]["status"];
    assert_eq!(
        (&status["state"], &status["result"]),
        (&json!("closed"), &json!("converged")),
        "{runs:#}"
    );
    let cell = &runs[0]["stages"][0]["cells"][0];
    assert_eq!(
        (&cell["host"], &cell["state"]),
        (&json!("host-1"), &json!("done")),
        "{runs:#}"
    );
}

//! Every control room shows the same state of a service, whatever its state folder contains: from the hosts alone.

use pilothouse::domain::run::RunView;
use serde_json::{Value, json};

use super::Desk;

const SHOP: &str = r#"
[[services]]
name = "shop"
image = "sim/box"
[services.deploy]
hosts = ["host-1", "host-2"]
command = ["sh", "-c", "trap 'exit 0' TERM; sleep infinity"]
health = { for = "5s", within = "40s" }
stop_grace = "1s"
"#;

/// The replicas as `ps` lists them from an empty state folder: host, release, part; and what it says of the service.
async fn seen(desk: &Desk) -> (Vec<(String, String, String)>, Value) {
    let folder = desk.dir().join("elsewhere");
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = desk.command(&["ps", "--all", "--json"]);
    command.env("HOME", &folder).env("PILOTHOUSE_ACTOR", "ops-b");
    let rows = super::finish(command).await.exits(0).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let replicas = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| !row["release"].is_null());
    let parts = replicas.map(|row| (text(&row["host"]), text(&row["release"]), text(&row["part"])));
    let mut parts: Vec<_> = parts.collect();
    parts.sort();
    (parts, rows[0]["service"].clone())
}

fn at_gate(view: &RunView) -> bool {
    let gate = view.stages.iter().find(|stage| stage.name == "gate");
    gate.is_some_and(|stage| format!("{:?}", stage.cells).contains("Running"))
}

fn parts(expected: &[[&str; 3]]) -> Vec<(String, String, String)> {
    let owned = |[host, release, part]: &[&str; 3]| ((*host).into(), (*release).into(), (*part).into());
    expected.iter().map(owned).collect()
}

#[tokio::test]
async fn a_second_control_room_with_an_empty_state_folder_tells_who_is_at_it_and_what_runs() {
    let desk = Desk::new(2, SHOP);
    let deploy = ["deploy", "shop", "--tag", "1", "--yes"];
    let first = desk.begin(&deploy).await;
    assert_eq!(desk.ended(&first).await, 0);
    let second = desk.begin(&deploy).await;
    desk.until(&second, "it is at its gate", at_gate).await;
    let (during, service) = seen(&desk).await;
    assert_eq!(service["state"], "in-progress", "{service}");
    assert_eq!(service["run"], second.as_str(), "{service}");
    let candidates = during
        .iter()
        .filter(|(_, release, part)| release == "r2" && part == "candidate");
    assert_eq!(candidates.count(), 2, "{during:?}");
    assert_eq!(desk.ended(&second).await, 0);
    let (after, service) = seen(&desk).await;
    assert_eq!(service, json!({ "state": "converged", "release": 2 }));
    let expected = [
        ["host-1", "r1", "retained"],
        ["host-1", "r2", "active"],
        ["host-2", "r1", "retained"],
        ["host-2", "r2", "active"],
    ];
    assert_eq!(after, parts(&expected));
}

#[tokio::test]
async fn a_lock_that_nobody_renews_any_more_is_told_with_how_to_recover_its_run() {
    let desk = Desk::new(2, SHOP);
    for engine in desk.fleet.engines() {
        engine.skew_clock(-1_000);
    }
    let run = desk.begin(&["deploy", "shop", "--tag", "1", "--yes"]).await;
    desk.until(&run, "it is at its gate", at_gate).await;
    let during = desk.run(&["ps"]).await.exits(0);
    assert!(during.err.contains("is in progress"), "{during:?}");
    desk.kill(&run);
    for engine in desk.fleet.engines() {
        engine.skew_clock(0);
    }
    let after = desk.run(&["ps"]).await.exits(0);
    let words = format!("has not renewed its lock for 16 min: `pilothouse recover {run}`");
    assert!(after.err.contains(&words), "{after:?}");
    let unlock = ["unlock", "shop", "--reason", "it was killed", "--json"];
    // The clocks were set, and its machine's says that it was alive just now: that is not taken for certain.
    let watching = 3 * super::LIMIT;
    let unlocked = super::finish_within(desk.command(&unlock), watching)
        .await
        .exits(0);
    assert!(unlocked.err.contains("watching for 90 s"), "{unlocked:?}");
    let unlocked = unlocked.json();
    let hosts: Vec<&Value> = unlocked["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lock| &lock["host"])
        .collect();
    assert_eq!(hosts, ["host-1", "host-2"], "{unlocked}");
    let again = desk.run(&unlock).await.exits(0).json();
    assert_eq!(
        again,
        json!({ "removed": [], "renewed": [], "unreached": [], "failed": [] })
    );
}

#[tokio::test]
async fn a_lock_that_is_stamped_in_its_daemons_future_is_told_as_that() {
    let desk = Desk::new(2, SHOP);
    for engine in desk.fleet.engines() {
        engine.skew_clock(7_500);
    }
    let run = desk.begin(&["deploy", "shop", "--tag", "1", "--yes"]).await;
    desk.until(&run, "it is at its gate", at_gate).await;
    desk.kill(&run);
    for engine in desk.fleet.engines() {
        engine.skew_clock(0);
    }
    let after = desk.run(&["ps"]).await.exits(0);
    let words = format!("stamped 2 h ahead of its daemon's clock: `pilothouse recover {run}` watches");
    assert!(after.err.contains(&words), "{after:?}");
}

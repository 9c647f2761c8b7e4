//! Commands as scripts use them: one JSON document each, plans that change nothing, and Ctrl-C, which ends only the watching.

use pilothouse::domain::ids::RunId;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::queue::SHOP;
use super::{Desk, LIMIT};

const DEPLOY: [&str; 5] = ["deploy", "shop", "--tag", "1", "--yes"];

/// It says something, too.
fn talking() -> String {
    SHOP.replace("trap", "echo hello from the shop; trap")
}

async fn deployed(times: usize) -> Desk {
    let desk = Desk::new(2, &talking());
    for _ in 0..times {
        desk.run(&DEPLOY).await.exits(0);
    }
    desk
}

/// Of the containers that are up, each once; the name of one that is of no release.
async fn releases_up(desk: &Desk) -> Vec<String> {
    let rows = desk.run(&["ps", "--json"]).await.exits(0).json();
    let rows = rows.as_array().unwrap().iter();
    let mut names: Vec<String> = rows
        .filter_map(|row| row["name"].as_str())
        .map(|name| {
            name.rsplit_once('.')
                .map_or(name, |(release, _)| release)
                .to_owned()
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

#[tokio::test]
async fn what_runs_say_in_json_is_one_document_that_names_the_run() {
    let desk = deployed(1).await;
    let told = |document: &Value, kind: &str| {
        assert_eq!(document["kind"], kind, "{document:#}");
        assert_eq!(document["service"], "shop", "{document:#}");
        RunId::parse(document["id"].as_str().unwrap()).unwrap()
    };
    let run = told(
        &desk
            .run(&[&DEPLOY[..], &["--json"]].concat())
            .await
            .exits(0)
            .json(),
        "deploy",
    );
    let back = desk.run(&["rollback", "shop", "--yes", "--json"]).await.exits(0);
    assert_ne!(told(&back.json(), "rollback"), run);
    let followed = desk.run(&["follow", run.as_str(), "--json"]).await.exits(0);
    assert_eq!(told(&followed.json(), "deploy"), run);
}

#[tokio::test]
async fn the_lines_of_a_log_in_json_are_a_document_each() {
    let desk = deployed(1).await;
    let said = desk.run(&["logs", "shop", "--all", "--json"]).await.exits(0);
    let lines: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut hosts: Vec<&str> = lines.iter().map(|line| line["host"].as_str().unwrap()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["host-1", "host-2"], "{lines:#?}");
    for line in &lines {
        assert_eq!(line["text"], "hello from the shop", "{line:#}");
        assert!(
            line["container"].as_str().unwrap().starts_with("shop.r1."),
            "{line:#}"
        );
    }
}

#[tokio::test]
async fn keys_in_json_are_every_command_with_its_keys() {
    let desk = Desk::new(1, "[keys]\ndeploy = [\"f9\"]\n");
    let rows = desk.run(&["keys", "--json"]).await.exits(0).json();
    let rows = rows.as_array().unwrap();
    let deploy = rows.iter().find(|row| row["command"] == "deploy").unwrap();
    assert!(deploy["keys"].to_string().contains("F9"), "{deploy:#}");
    assert_eq!(rows.len(), pilothouse::app::Command::ALL.len());
}

#[tokio::test]
async fn a_plan_says_how_long_it_takes_what_undo_will_do_and_what_goes_and_changes_nothing() {
    let desk = Desk::new(2, &talking());
    let dry = [&DEPLOY[..4], &["--dry-run"]].concat();
    let in_json = [&dry[..], &["--json"]].concat();
    let first = desk.run(&in_json).await.exits(0).json();
    assert_eq!(
        (&first["to"], &first["estimate"]),
        (&1.into(), &Value::Null),
        "{first:#}"
    );
    assert!(
        first["undo"].to_string().contains("nothing ran before"),
        "{first:#}"
    );
    for _ in 0..3 {
        desk.run(&DEPLOY).await.exits(0);
    }
    let before = releases_up(&desk).await;
    let plan = desk.run(&in_json).await.exits(0).json();
    assert_eq!(plan["to"], 4, "{plan:#}");
    assert_eq!(plan["refusals"], serde_json::json!([]));
    assert!(!plan["estimate"].is_null(), "{plan:#}");
    let words = desk.run(&dry).await.exits(0).out;
    for part in [
        "host-1: r3 → r4",
        "the same containers of r3 are started again on all hosts and compared with the snapshot",
        "a reboot before the commit starts r3",
        "remove r1",
        "time     about ",
    ] {
        assert!(words.contains(part), "no {part:?} in\n{words}");
    }
    assert_eq!(releases_up(&desk).await, before);
    let runs = desk.run(&["runs", "--json"]).await.exits(0).json();
    assert_eq!(runs.as_array().unwrap().len(), 3, "a plan is no run");
}

#[tokio::test]
async fn a_release_is_chosen_from_the_list_and_gone_back_to() {
    let desk = deployed(4).await;
    let listed = desk.run(&["rollback", "shop", "--list"]).await.exits(0).out;
    let line_of = |release: &str| {
        let line = listed.lines().find(|line| line.starts_with(release));
        line.unwrap_or_else(|| panic!("{listed}"))
    };
    assert!(line_of("r4").contains("runs"), "{listed}");
    assert!(line_of("r3").contains("the default rollback"), "{listed}");
    assert!(line_of("r1").contains("nowhere"), "{listed}");
    let rows = desk
        .run(&["rollback", "shop", "--list", "--json"])
        .await
        .exits(0)
        .json();
    let numbers: Vec<&Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["release"])
        .collect();
    assert_eq!(numbers, [4, 3, 2, 1].map(Value::from).iter().collect::<Vec<_>>());
    assert_eq!(releases_up(&desk).await, ["shop.r4"], "a list changes nothing");

    let dry = desk
        .run(&["rollback", "shop", "--to", "r1", "--dry-run"])
        .await
        .exits(0)
        .out;
    for host in ["host-1", "host-2"] {
        let again = format!("{host} retains no container of r1: it is created again from the ledger");
        assert!(dry.contains(&again), "{dry}");
    }
    desk.run(&["rollback", "shop", "--to", "r1", "--yes"])
        .await
        .exits(0);
    assert_eq!(releases_up(&desk).await, ["shop.r1"]);
}

#[tokio::test]
async fn what_was_started_by_hand_is_adopted_by_the_command_that_the_refusal_names() {
    use pilothouse::sim::{BOX_IMAGE, ContainerPlan};
    let desk = Desk::new(2, &talking());
    for engine in desk.fleet.engines() {
        let by_hand = ContainerPlan::new("shop-by-hand", BOX_IMAGE).restarting("always");
        engine.add(&by_hand).unwrap();
    }
    let refused = desk.run(&DEPLOY).await.exits(1);
    assert!(
        refused.err.contains("pilothouse adopt shop --from shop-by-hand"),
        "{}",
        refused.err
    );
    let adopt = ["adopt", "shop", "--from", "shop-by-hand", "--yes"];
    desk.run(&adopt).await.exits(0);
    let listed = desk.run(&["rollback", "shop", "--list"]).await;
    assert!(listed.out.contains("r0"), "{listed:?}");
    desk.run(&DEPLOY).await.exits(0);
    desk.run(&["rollback", "shop", "--yes"]).await.exits(0);
    let rows = desk.run(&["ps", "--json"]).await.exits(0).json();
    let names: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["shop-by-hand"; 2], "{rows:#}");
}

/// As Ctrl-C at a terminal does: exit code and what it still said.
async fn interrupted(desk: &Desk, arguments: &[&str], until: &str) -> (Option<i32>, String) {
    let mut command = desk.command(arguments);
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let rest = async {
        let mut seen = String::new();
        // Logs are its result, words about a run are not.
        let mut lines: BufReader<Box<dyn tokio::io::AsyncRead + Unpin>> = if arguments[0] == "logs" {
            BufReader::new(Box::new(&mut out))
        } else {
            BufReader::new(Box::new(&mut err))
        };
        while !seen.contains(until) {
            let read = lines.read_line(&mut seen).await.unwrap();
            assert!(read > 0, "it ended before {until:?}: {seen}");
        }
        kill_process(pid, Signal::INT).unwrap();
        lines.read_to_string(&mut seen).await.unwrap();
        (child.wait().await.unwrap().code(), seen)
    };
    tokio::time::timeout(LIMIT, rest).await.expect("it ends")
}

#[tokio::test]
async fn ctrl_c_ends_the_watching_of_a_deploy_with_130_and_the_run_goes_on() {
    let desk = Desk::new(2, &talking().replace("for = \"50ms\"", "for = \"3s\""));
    let (code, said) = interrupted(&desk, &DEPLOY, "gate").await;
    assert_eq!(code, Some(130), "{said}");
    let runs = desk.run(&["runs", "--json"]).await.exits(0).json();
    let run = RunId::parse(runs[0]["id"].as_str().unwrap()).unwrap();
    assert!(
        said.contains(&format!(
            "the run continues: pilothouse follow {run}, or pilothouse cancel {run}"
        )),
        "{said}"
    );
    assert!(desk.view(&run).unwrap().is_open(), "it goes on: {runs:#}");
    assert_eq!(desk.ended(&run).await, 0);
    assert_eq!(releases_up(&desk).await, ["shop.r1"]);
}

#[tokio::test]
async fn ctrl_c_ends_a_followed_log_with_130() {
    let desk = deployed(1).await;
    let (code, said) = interrupted(&desk, &["logs", "shop", "-f", "--all"], "hello").await;
    assert_eq!(code, Some(130), "{said}");
    assert_eq!(releases_up(&desk).await, ["shop.r1"]);
}

/// Nothing is there that a run made.
fn nothing_is_made(desk: &Desk) {
    for engine in desk.fleet.engines() {
        assert_eq!(engine.containers(), Vec::<String>::new(), "{}", engine.name());
    }
}

#[tokio::test]
async fn what_a_host_lacks_is_refused_before_anything_is_made() {
    for (lacking, said) in [
        ("networks = [\"backbone\"]", "there is no network backbone"),
        ("volumes = [\"data:/data\"]", "there is no volume data"),
    ] {
        let desk = Desk::new(2, &format!("{SHOP}{lacking}\n"));
        let refused = desk.run(&DEPLOY).await.exits(1);
        for host in ["host-1", "host-2"] {
            assert!(refused.err.contains(host), "{}", refused.err);
        }
        assert!(refused.err.contains(said), "{}", refused.err);
        nothing_is_made(&desk);
    }
}

#[tokio::test]
async fn a_secret_whose_command_fails_is_said_without_what_it_printed_and_nothing_is_made() {
    let sealed =
        "[services.deploy.secrets]\nAPI_KEY = { command = [\"sh\", \"-c\", \"echo hunter2; exit 4\"] }\n";
    let desk = Desk::new(2, &format!("{SHOP}{sealed}"));
    let refused = desk.run(&DEPLOY).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.err.contains("API_KEY") && refused.err.contains("exit status: 4"),
        "{}",
        refused.err
    );
    assert!(!refused.err.contains("hunter2"), "{}", refused.err);
    nothing_is_made(&desk);
}

#[tokio::test]
async fn a_port_that_is_taken_after_the_survey_is_said_in_the_daemons_words_and_all_is_undone() {
    use pilothouse::sim::{BOX_IMAGE, ContainerPlan};
    let rolling = SHOP.replace("50ms", "2s") + "ports = [\"8080:80\"]\nstrategy = \"rolling\"\nbatch = 1\n";
    let desk = Desk::new(2, &rolling);
    let run = desk.begin(&DEPLOY).await;
    desk.until(&run, "the first wave is in its gate", |view| {
        let gate = view.stages.iter().find(|stage| stage.name.starts_with("gate"));
        gate.is_some_and(|gate| format!("{:?}", gate.cells).contains("Running"))
    })
    .await;
    let other = ContainerPlan::new("other", BOX_IMAGE).publishing(8080, 80);
    desk.fleet.engine("host-2").unwrap().add(&other).unwrap();
    assert_eq!(desk.ended(&run).await, 1);
    let said = desk.run(&["follow", run.as_str()]).await.exits(1);
    assert!(said.err.contains("port is already allocated"), "{}", said.err);
    assert!(said.err.contains("everything is as before"), "{}", said.err);
    assert_eq!(releases_up(&desk).await, ["other"]);
}

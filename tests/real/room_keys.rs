//! The four keys in the control room, on two real daemons: build, test, deploy and roll back, a cancelled run, and the
//! recovery offered by the next control room.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::program::Program;
use crate::support::shop;
use crate::support::terminal::Terminal;
use crate::support::wait::until;

const PASSES: &str = "echo testing";
const WAITS: &str = "echo testing; while :; do sleep 0.1; done";

fn configured(daemons: &Lease) -> Program {
    let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
    let program = Program::new(&hosts, "");
    let targets: Vec<_> = daemons.iter().map(Daemon::name).collect();
    shop::configure(&program, &hosts, targets[0], &targets);
    shop::write(&program, "one", shop::STAYS, PASSES);
    program
}

/// On the page of services this key, its question read and answered with yes, until the screen is as wanted.
#[track_caller]
fn confirmed(room: &Terminal, key: &str, asks: &str, wanted: impl Fn(&str) -> bool) {
    room.press(key);
    room.until(&format!("{key} asks"), |screen| {
        screen.contains("y yes") && screen.contains(asks)
    });
    room.answer("y", &format!("{key} was done"), wanted);
}

#[track_caller]
fn run_by(room: &Terminal, key: &str, asks: &str, name: &str) {
    room.press("1");
    room.until("the service", |screen| {
        screen.contains("SERVICE") && screen.contains("shop")
    });
    asked_and_done(room, key, asks, name);
}

/// Until its page says how it ended.
#[track_caller]
fn asked_and_done(room: &Terminal, key: &str, asks: &str, name: &str) {
    confirmed(room, key, asks, |screen| {
        let has = |wanted: &dyn Fn(&str) -> bool| screen.lines().any(|line| wanted(line.trim_start()));
        has(&|line| line.starts_with(name)) && has(&|line| line.starts_with('✓') && line.contains("took"))
    });
}

fn releases(daemons: &Lease) -> Vec<String> {
    let running = |daemon: &Daemon| {
        let list = daemon.ask("GET", "/containers/json", &Value::Null);
        let releases: Vec<&str> = list
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|row| row["Labels"]["pilothouse.release"].as_str())
            .collect();
        releases.join(" ")
    };
    daemons.iter().map(running).collect()
}

fn tests_on(daemon: &Daemon) -> usize {
    let all = "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22pilothouse.role%3Dtest%22%5D%7D";
    daemon.ask("GET", all, &Value::Null).as_array().unwrap().len()
}

#[test]
fn a_service_is_built_tested_deployed_and_rolled_back_by_four_keys() {
    let daemons = fleet::lease(2);
    let program = configured(&daemons);
    let room = Terminal::open(&program, &[], 100, 30);
    room.press("1");
    run_by(&room, "b", "shop", "build shop");
    run_by(&room, "t", "shop", "test shop");
    // The plan is read first: what it would do, and what takes it back.
    room.press("1");
    room.until("the service", |screen| screen.contains("SERVICE"));
    room.press("d");
    let plan = room.until("the plan", |screen| screen.contains("y yes"));
    for words in ["r1", daemons[0].name().as_str(), daemons[1].name().as_str()] {
        assert!(plan.contains(words), "{words}\n{plan}");
    }
    room.press("d");
    room.answer("\r", "Enter is a no", |screen| !screen.contains("y yes"));
    assert_eq!(
        releases(&daemons),
        ["", ""],
        "neither the key nor Enter starts it"
    );
    run_by(&room, "d", "r1", "deploy shop");
    assert_eq!(releases(&daemons), ["r1", "r1"]);

    shop::write(&program, "two", shop::STAYS, PASSES);
    run_by(&room, "b", "shop", "build shop");
    run_by(&room, "d", "r2", "deploy shop");
    assert_eq!(releases(&daemons), ["r2", "r2"]);
    // One chooses to which release.
    room.press("1R");
    room.until("the releases that are kept", |screen| {
        screen.contains("> r1") && screen.contains("kept")
    });
    asked_and_done(&room, "\r", "r1", "rollback shop");
    assert_eq!(releases(&daemons), ["r1", "r1"]);
    room.press("q");
    assert_eq!(room.end(), 0);
}

#[test]
fn a_run_is_given_up_by_x_and_one_whose_process_died_is_taken_back_by_the_next_room() {
    let daemons = fleet::lease(2);
    let program = configured(&daemons);
    shop::write(&program, "one", shop::STAYS, WAITS);
    program.run(&["build", "shop"]).exits(0);
    let room = Terminal::open(&program, &[], 100, 30);
    room.press("1");
    room.until("the service", |screen| {
        screen.contains("SERVICE") && screen.contains("shop")
    });
    confirmed(&room, "t", "shop", |screen| screen.contains("testing"));
    confirmed(&room, "x", "shop", |screen| screen.contains("cancelled"));
    assert_eq!(tests_on(&daemons[0]), 0);

    room.press("1");
    room.until("the service", |screen| {
        screen.contains("SERVICE") && screen.contains("shop")
    });
    confirmed(&room, "t", "shop", |screen| {
        screen.contains("testing") && screen.contains("◐ running")
    });
    program.kill_runner();
    room.signal(Signal::KILL);
    room.end();
    assert_eq!(tests_on(&daemons[0]), 1, "what it left");

    let next = Terminal::open(&program, &[], 100, 30);
    confirmed(&next, "", "Recover test shop", |screen| {
        !screen.contains("y yes") && tests_on(&daemons[0]) == 0
    });
    until(Duration::from_mins(1), "the run is closed", || {
        let runs = program.run(&["runs", "--json"]).exits(0).json();
        (runs[0]["status"]["state"] == "closed").then_some(())
    });
    next.press("q");
    assert_eq!(next.end(), 0);
}

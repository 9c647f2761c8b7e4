//! A control room that ends while a run it started is in progress: killed, or its terminal closed.
//! The run continues to its end, and the next control room shows it.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::program::Program;
use crate::support::shop;
use crate::support::terminal::Terminal;
use crate::support::wait::until;

/// The test stage waits until somebody lets it through: the room is gone by then.
const TEST: &str = "echo testing; while [ ! -e /open ]; do sleep 0.1; done";

fn configured(daemons: &Lease) -> Program {
    let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
    let program = Program::new(&hosts, "");
    let targets: Vec<_> = daemons.iter().map(Daemon::name).collect();
    shop::configure(&program, &hosts, targets[0], &targets);
    shop::write(&program, "one", shop::STAYS, TEST);
    program
}

/// The test of the run, once it is there.
fn test_container(daemon: &Daemon) -> String {
    let running = "/containers/json?filters=%7B%22label%22%3A%5B%22pilothouse.role%3Dtest%22%5D%7D";
    until(Duration::from_mins(1), "the test runs", || {
        let list = daemon.ask("GET", running, &Value::Null);
        list[0]["Id"].as_str().map(str::to_owned)
    })
}

fn let_through(daemon: &Daemon) {
    let id = test_container(daemon);
    let touch = serde_json::json!({ "Cmd": ["touch", "/open"] });
    let exec = daemon.ask("POST", &format!("/containers/{id}/exec"), &touch);
    let start = format!("/exec/{}/start", exec["Id"].as_str().unwrap());
    daemon.ask("POST", &start, &serde_json::json!({ "Detach": true }));
}

/// Starts the pipeline by keys, the room away by `signal` while it tests, and what the next room says.
fn the_run_outlives_the_room(signal: Signal) {
    let daemons = fleet::lease(2);
    let program = configured(&daemons);
    let room = Terminal::open(&program, &[], 80, 24);
    room.press("1");
    room.until("the service", |screen| screen.contains("shop"));
    room.press("P");
    room.until("the plan, and its question", |screen| screen.contains("y yes"));
    room.answer("y", "the test stage goes", |screen| screen.contains("testing"));
    room.signal(signal);
    room.end();

    let runs = program.run(&["runs", "--json"]).exits(0).json();
    assert_eq!(runs[0]["status"]["state"], "running", "{runs:#}");
    let next = Terminal::open(&program, &[], 160, 50);
    next.until("the next room shows the run while it lives", |screen| {
        screen.contains("pipeline shop") && screen.contains("test unit")
    });
    let_through(&daemons[0]);
    next.until("and how it ended", |screen| screen.contains("r1 runs on"));
    next.press("q");
    assert_eq!(next.end(), 0);
    let id = runs[0]["id"].as_str().unwrap();
    program.run(&["follow", id]).exits(0);
    for daemon in &*daemons {
        let list = daemon.ask("GET", "/containers/json", &Value::Null);
        assert_eq!(list[0]["Labels"]["pilothouse.release"], "r1", "{list:#}");
        assert_eq!(list.as_array().unwrap().len(), 1, "{list:#}");
    }
}

#[test]
fn a_run_outlives_the_room_that_is_killed_with_9_and_the_next_room_shows_it() {
    the_run_outlives_the_room(Signal::KILL);
}

#[test]
fn a_run_outlives_the_terminal_that_is_hung_up_and_the_next_room_shows_it() {
    the_run_outlives_the_room(Signal::HUP);
}

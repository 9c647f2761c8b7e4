//! The room itself on three real daemons, in a terminal, by keys.

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::program::Program;
use crate::support::terminal::Terminal;
use crate::support::wait::until;

use std::time::Duration;

/// Escape in the way that cannot be taken for the beginning of another key.
const ESC: &str = "\x1b[27u";

/// The page of containers, whatever page one lands on.
fn containers(room: &Terminal) {
    room.press("2");
}

#[test]
fn rows_of_three_daemons_are_shown_and_change_as_they_do() {
    let daemons = fleet::lease(3);
    let ids: Vec<_> = daemons
        .iter()
        .map(|daemon| {
            daemon.run(
                &format!("web-of-{}", daemon.name()),
                "while :; do echo hello from $(hostname); sleep 1; done",
            )
        })
        .collect();
    let program = Program::new(&daemons.iter().map(Daemon::host).collect::<Vec<_>>(), "");
    let room = Terminal::open(&program, &[], 160, 50);
    containers(&room);
    room.until("all three rows", |screen| {
        daemons
            .iter()
            .all(|daemon| screen.contains(&format!("web-of-{}", daemon.name())))
    });
    daemons[1].ask(
        "POST",
        &format!("/containers/{}/kill", ids[1].as_str()),
        &Value::Null,
    );
    room.until("the killed one is shown with its exit code", |screen| {
        screen.contains("137")
    });
    daemons[2].kill_9();
    room.until("the lost host is told", |screen| screen.contains("lost"));
    daemons[2].start();
    room.resize(80, 24);
    room.until("the small screen is drawn", |screen| {
        screen.lines().count() <= 24 && screen.contains("web-of")
    });
    room.press("q");
    assert_eq!(room.end(), 0);
}

#[test]
fn logs_are_followed_and_a_container_is_restarted_by_keys() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let id = daemon.run("web", "while :; do echo hello from the log; sleep 1; done");
    let program = Program::new(&[daemon.host()], "");
    let room = Terminal::open(&program, &[], 80, 24);
    containers(&room);
    room.until("the row", |screen| screen.contains("web"));
    room.press("l");
    room.until("its log", |screen| screen.contains("hello from the log"));
    room.press("\x1b");
    room.until("back to the rows", |screen| {
        !screen.contains("hello from the log")
    });
    let before = daemon.inspect(&id)["State"]["StartedAt"].clone();
    room.press("r");
    room.until("a question that names target and host", |screen| {
        screen.contains("web")
            && screen.contains(daemon.name().as_str())
            && screen.to_lowercase().contains("restart")
    });
    let mut pressed = std::time::Instant::now();
    until(Duration::from_secs(20), "it was restarted", || {
        // What is typed in the first moment of a question is not taken for its answer, and makes that moment longer.
        if room.screen().contains("y yes") && pressed.elapsed() > Duration::from_millis(600) {
            room.press("y");
            pressed = std::time::Instant::now();
        }
        (daemon.inspect(&id)["State"]["StartedAt"] != before).then_some(())
    });
    room.press("q");
    assert_eq!(room.end(), 0);
}

#[test]
fn a_shell_is_opened_resized_and_gone_when_it_is_left() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let id = daemon.run("web", "sleep 1000");
    let program = Program::new(&[daemon.host()], "");
    let room = Terminal::open(&program, &[], 100, 30);
    containers(&room);
    room.until("the row", |screen| screen.contains("web"));
    room.press("e");
    room.until("a prompt", |screen| screen.contains('#'));
    room.press("echo $((6*7)) in $(hostname)\r");
    room.until("the shell answers", |screen| screen.contains("42 in"));
    room.resize(90, 33);
    // The new size travels beside what is typed, not before it: asked until the shell has heard.
    let mut asked = std::time::Instant::now();
    room.press("stty size\r");
    room.until("it knows its new size", |screen| {
        if asked.elapsed() > Duration::from_secs(1) {
            room.press("stty size\r");
            asked = std::time::Instant::now();
        }
        screen.contains("33 90")
    });
    room.press("exit 7\r");
    room.until("the room again", |screen| {
        screen.contains("l logs") && !screen.contains("exit 7")
    });
    until(
        Duration::from_secs(10),
        "only the container's own process",
        || (processes_in(daemon, id.as_str()) == 1).then_some(()),
    );

    room.press("e");
    room.until("a prompt", |screen| screen.contains('#'));
    let pid = room.pid();
    let hung_up = std::process::Command::new("kill")
        .args(["-HUP", &pid.to_string()])
        .status();
    assert!(hung_up.unwrap().success());
    room.end();
    until(Duration::from_secs(10), "the shell ended with its pane", || {
        (processes_in(daemon, id.as_str()) == 1).then_some(())
    });
}

#[test]
fn a_shell_ends_when_the_room_is_killed_with_9_and_so_does_what_was_started_in_it() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let id = daemon.run("web", "sleep 1000");
    let program = Program::new(&[daemon.host()], "");
    let room = Terminal::open(&program, &[], 100, 30);
    containers(&room);
    room.until("the row", |screen| screen.contains("web"));
    room.press("e");
    room.until("a prompt", |screen| screen.contains('#'));
    room.press("sleep 2000 & echo $((6*7)) in background\r");
    room.until("the shell answers", |screen| screen.contains("42 in"));
    let pid = rustix::process::Pid::from_raw(i32::try_from(room.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until(Duration::from_secs(30), "the shell ended with the room", || {
        (processes_in(daemon, id.as_str()) == 1).then_some(())
    });
}

#[test]
fn a_shell_on_a_daemon_that_hangs_is_left_with_words_and_ends_there_once_it_goes_on() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let id = daemon.run("web", "sleep 1000");
    let program = Program::new(&[daemon.host()], "");
    let room = Terminal::open(&program, &[], 100, 30);
    containers(&room);
    room.until("the row", |screen| screen.contains("web"));
    room.press("e");
    room.until("a prompt", |screen| screen.contains('#'));
    daemon.freeze();
    room.press("sleep 2000\r");
    room.until("the room again, which says why", |screen| {
        screen.contains("does not answer any more") && screen.contains("web")
    });
    daemon.thaw();
    until(Duration::from_secs(30), "the shell ended there", || {
        (processes_in(daemon, id.as_str()) == 1).then_some(())
    });
    room.press("q");
    assert_eq!(room.end(), 0);
}

#[test]
fn a_shell_on_a_daemon_that_hangs_does_not_hold_up_a_hangup() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    daemon.run("web", "sleep 1000");
    let program = Program::new(&[daemon.host()], "");
    let room = Terminal::open(&program, &[], 100, 30);
    containers(&room);
    room.until("the row", |screen| screen.contains("web"));
    room.press("e");
    room.until("a prompt", |screen| screen.contains('#'));
    daemon.freeze();
    // More than a socket holds: the write waits for the daemon.
    for _ in 0..64 {
        room.press(&"x".repeat(4_000));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(room.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let asked = std::time::Instant::now();
    room.end();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    daemon.thaw();
}

fn processes_in(daemon: &Daemon, id: &str) -> usize {
    let top = daemon.ask("GET", &format!("/containers/{id}/top"), &Value::Null);
    top["Processes"].as_array().unwrap().len()
}

#[test]
fn the_room_in_read_only_asks_for_nothing_that_changes_anything() {
    use crate::support::recorder::Recorder;
    use pilothouse::domain::endpoint::Endpoint;
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    daemon.run("web", "echo hello; sleep 1000");
    let recorder = Recorder::start(&daemon.socket(), &fleet::folder("recorder"));
    let host = daemon.host_at(Endpoint::Unix(recorder.socket().to_owned()));
    let program = Program::new(&[host], "");
    let room = Terminal::open(&program, &["--read-only"], 100, 30);
    containers(&room);
    room.until("the row", |screen| screen.contains("web"));
    for key in ["r", "s", "e", "D"] {
        let before = room.screen();
        room.press(key);
        room.until("an answer to the key", |screen| screen != before);
        room.press("y");
        room.press(ESC);
        room.press(ESC);
    }
    room.until("the row", |screen| screen.contains("web"));
    room.press("q");
    assert_eq!(room.end(), 0);
    assert_eq!(recorder.mutating(), Vec::<String>::new());
}

//! The control room on three real daemons, in a terminal, by keys.

use std::time::{Duration, Instant};

use pilothouse::domain::ids::ContainerId;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::program::Program;
use crate::support::terminal::Terminal;
use crate::support::wait::until;

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
    room.answer("y", "it was restarted", |_| {
        daemon.inspect(&id)["State"]["StartedAt"] != before
    });
    room.press("q");
    assert_eq!(room.end(), 0);
}

/// A room with a shell in its only container.
struct Shell {
    daemons: Lease,
    container: ContainerId,
    room: Terminal,
    /// Holds its folder.
    _program: Program,
}

impl Shell {
    fn open() -> Self {
        let daemons = fleet::lease(1);
        let container = daemons[0].run("web", "sleep 1000");
        let program = Program::new(&[daemons[0].host()], "");
        let room = Terminal::open(&program, &[], 100, 30);
        containers(&room);
        room.until("the row", |screen| screen.contains("web"));
        let shell = Self {
            daemons,
            container,
            room,
            _program: program,
        };
        shell.enter();
        shell
    }

    fn enter(&self) {
        self.room.press("e");
        self.room.until("a prompt", |screen| screen.contains('#'));
    }

    /// The command lines in its container.
    fn processes(&self) -> Vec<String> {
        let path = format!("/containers/{}/top?ps_args=-eo%20pid,args", self.container);
        let top = self.daemons[0].ask("GET", &path, &Value::Null);
        let processes = top["Processes"].as_array().unwrap().iter();
        processes
            .map(|process| process[1].as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    fn runs(&self, command: &str) {
        until(Duration::from_secs(30), "it runs in its container", || {
            self.processes()
                .iter()
                .any(|process| process == command)
                .then_some(())
        });
    }

    /// Nothing but the container's own process is left in it.
    #[track_caller]
    fn is_gone(&self) {
        until(
            Duration::from_secs(30),
            "the shell ended in its container",
            || (self.processes().len() == 1).then_some(()),
        );
    }
}

#[test]
fn a_shell_is_opened_resized_and_gone_when_it_is_left() {
    let shell = Shell::open();
    let room = &shell.room;
    room.press("echo $((6*7)) in $(hostname)\r");
    room.until("the shell answers", |screen| screen.contains("42 in"));
    room.resize(90, 33);
    // The new size travels beside what is typed, not before it: asked until the shell has heard.
    let mut asked = Instant::now();
    room.press("stty size\r");
    room.until("it knows its new size", |screen| {
        if asked.elapsed() > Duration::from_secs(1) {
            room.press("stty size\r");
            asked = Instant::now();
        }
        screen.contains("33 90")
    });
    room.press("sleep 1234\r");
    shell.runs("sleep 1234");
    room.press("\x03");
    room.press("echo ended with $?\r");
    room.until("Ctrl-C ended what ran in the shell, and only that", |screen| {
        screen.contains("ended with 130")
    });
    room.press("exit 7\r");
    room.until("the room again", |screen| {
        screen.contains("l logs") && !screen.contains("exit 7")
    });
    shell.is_gone();

    shell.enter();
    room.signal(Signal::HUP);
    room.end();
    shell.is_gone();
}

#[test]
fn a_shell_ends_when_the_room_is_killed_with_9_and_so_does_what_was_started_in_it() {
    let shell = Shell::open();
    shell.room.press("sleep 2000 & echo $((6*7)) in background\r");
    shell
        .room
        .until("the shell answers", |screen| screen.contains("42 in"));
    shell.room.signal(Signal::KILL);
    shell.is_gone();
}

#[test]
fn a_shell_on_a_daemon_that_hangs_is_left_with_words_and_ends_there_once_it_goes_on() {
    let shell = Shell::open();
    shell.daemons[0].freeze();
    shell.room.press("sleep 2000\r");
    shell.room.until("the room again, which says why", |screen| {
        screen.contains("no longer answers") && screen.contains("web")
    });
    shell.daemons[0].thaw();
    shell.is_gone();
    shell.room.press("q");
    assert_eq!(shell.room.end(), 0);
}

#[test]
fn a_shell_on_a_daemon_that_hangs_does_not_hold_up_a_hangup() {
    let shell = Shell::open();
    shell.daemons[0].freeze();
    // More than a socket holds: the write waits for the daemon.
    for _ in 0..64 {
        shell.room.press(&"x".repeat(4_000));
    }
    shell.room.signal(Signal::HUP);
    let asked = Instant::now();
    shell.room.end();
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    shell.daemons[0].thaw();
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

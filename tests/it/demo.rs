//! `pilothouse demo` in a terminal: a deploy by keys, a host that disconnects and comes back, and no leftovers however it
//! ends.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use crate::terminal::Room;

/// Its home and the folder for what is temporary are in a folder of the test's own.
fn demo() -> Room {
    let folder = tempfile::tempdir().unwrap();
    for name in ["home", "tmp"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let env = [
        ("TERM", "xterm-256color".to_owned()),
        ("HOME", path("home")),
        ("TMPDIR", path("tmp")),
    ];
    Room::run(folder, &["demo"], &env, (100, 30))
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[track_caller]
fn nothing_is_left(room: &Room) {
    for name in ["home", "tmp"] {
        assert!(is_empty(&room.folder().join(name)), "something is left in {name}");
    }
}

/// Says yes until the run has ended in these words. What is typed in the first moment of a question is not taken for its
/// answer, and makes that moment longer.
#[track_caller]
fn confirm(room: &mut Room, done: &str) {
    let begun = Instant::now();
    let mut pressed = begun;
    while !room.screen().contains(done) {
        if room.screen().contains("y yes") && pressed.elapsed() > Duration::from_millis(600) {
            room.press("y");
            pressed = Instant::now();
        }
        let asked = Instant::now();
        room.until("a moment passes, or it is done", |room| {
            asked.elapsed() > Duration::from_millis(700) || room.screen().contains(done)
        });
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "no {done:?}:\n{}",
            room.screen()
        );
    }
}

#[test]
fn a_service_is_built_tested_and_rolled_back_by_keys() {
    let mut room = demo();
    room.until_open();
    room.until("it says that it is a demo", |room| room.screen().contains("DEMO"));
    for (service, key, done) in [
        ("web", "b", "built"),
        ("web", "t", "tests passed"),
        ("worker", "R", "r22 runs again on"),
    ] {
        room.press("1");
        // The filter is changed from what it was.
        room.press(&format!("/{}{service}\r", "\x7f".repeat(8)));
        room.until("the service", |room| {
            room.screen().contains(&format!("filter: {service}"))
        });
        room.press(key);
        if key == "R" {
            room.until("the releases", |room| room.screen().contains("r22"));
            room.press("\r");
        }
        confirm(&mut room, done);
    }
    room.press("q");
    assert_eq!(room.ended(), 0);
    nothing_is_left(&room);
}

#[test]
fn a_service_is_deployed_and_the_host_on_a_bad_line_drops_and_comes_back() {
    let mut room = demo();
    room.until_open();
    room.until("it says that it is a demo", |room| room.screen().contains("DEMO"));
    room.press("1");
    room.press("/worker\r");
    room.until("the service", |room| room.screen().contains("r23"));
    room.press("d");
    room.until("the plan, and its question", |room| {
        room.screen().contains("y yes") && room.screen().contains("r24")
    });
    confirm(&mut room, "r24 runs on");
    room.press("5");
    let says = |room: &Room, word: &str| {
        let screen = room.screen();
        screen
            .lines()
            .any(|line| line.contains("lab-1") && line.contains(word))
    };
    room.until("the host on a bad line is lost", |room| says(room, "lost"));
    room.until("and found again", |room| says(room, "live"));
    assert!(is_empty(&room.folder().join("home")), "all is in its own folder");
    room.press("q");
    assert_eq!(room.ended(), 0);
    room.was_given_back();
    nothing_is_left(&room);
}

#[test]
fn a_demo_whose_terminal_is_hung_up_leaves_nothing() {
    let mut room = demo();
    room.until("it is open", |room| room.screen().contains("DEMO"));
    kill_process(room.pid(), Signal::HUP).unwrap();
    room.ended();
    nothing_is_left(&room);
}

//! The architecture, held up by reading the source: who may name whom, and how large a file may be.
//! Reads code as text; comments and test modules do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer files hold more than one idea.
const LONGEST_FILE: usize = 500;

/// A room, the rooms it may name, the outside names that only it and a few others may know.
struct Room {
    name: &'static str,
    may_name: &'static [&'static str],
}

/// `src/lib.rs` draws this; a room may always name itself.
const ROOMS: [Room; 13] = [
    Room {
        name: "domain",
        may_name: &[],
    },
    Room {
        name: "config",
        may_name: &["domain"],
    },
    Room {
        name: "release",
        may_name: &["domain", "config"],
    },
    Room {
        name: "app",
        may_name: &["domain", "config", "release", "panes"],
    },
    Room {
        name: "panes",
        may_name: &["domain", "config", "release", "app", "ui"],
    },
    Room {
        name: "ui",
        may_name: &["domain", "app", "panes", "config"],
    },
    Room {
        name: "hosts",
        may_name: &["domain", "config"],
    },
    Room {
        name: "runs",
        may_name: &["domain", "config", "release", "hosts"],
    },
    Room {
        name: "listen",
        may_name: &["domain", "config", "release", "runs"],
    },
    Room {
        name: "sim",
        may_name: &["domain", "config"],
    },
    Room {
        name: "term",
        may_name: &["domain", "config", "release", "app", "ui", "hosts", "runs"],
    },
    Room {
        name: "observe",
        may_name: &["domain", "config"],
    },
    Room {
        name: "cli",
        may_name: &[
            "domain", "config", "release", "app", "ui", "hosts", "runs", "listen", "sim", "term", "observe",
        ],
    },
];

/// Names from outside, and the paths (below `src/`) that may know them.
const OUTSIDE: [(&str, &[&str]); 7] = [
    ("bollard::", &["hosts/", "runs/step/", "sim/"]),
    ("ratatui::", &["ui/", "panes/*/view", "term/"]),
    (
        "crossterm::",
        &["term/", "hosts/shell", "app/keymap", "app/input"],
    ),
    (
        "tokio::",
        &["hosts/", "runs/", "listen/", "sim/", "term/", "cli/", "main"],
    ),
    ("clap::", &["cli/", "main"]),
    ("Instant::now", &["hosts/", "runs/", "term/", "sim/"]),
    (
        "SystemTime::now",
        &["hosts/", "runs/", "listen/", "term/", "sim/", "cli/", "observe/"],
    ),
];

#[derive(Debug)]
struct Source {
    /// Below `src/`, without `.rs`.
    path: String,
    /// Without comments and test modules, line by line, with line numbers.
    code: Vec<(usize, String)>,
}

impl Source {
    fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    files(&source_folder(), &mut found);
    // Test modules in files of their own are not shipped either.
    found.retain(|path| {
        let below = path.strip_prefix(source_folder()).unwrap();
        below.file_stem().is_none_or(|name| name != "tests")
            && !below.components().any(|part| part.as_os_str() == "tests")
    });
    assert!(found.len() > 10, "read too few files: {found:?}");
    found.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code = shipped
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default().to_owned()))
        .collect();
    let below = path.strip_prefix(source_folder()).unwrap().with_extension("");
    Source {
        path: below.to_str().unwrap().to_owned(),
        code,
    }
}

/// `crate::room` as it stands in a line, also inside `use crate::{a::…, b::…}` written on one line.
fn rooms_named(line: &str) -> Vec<&str> {
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(str::trim).collect(),
            None => vec![rest],
        })
        .map(|name| {
            name.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default()
        })
        .filter(|name| ROOMS.iter().any(|room| room.name == *name))
        .collect()
}

fn is_within(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| match place.split_once('*') {
        Some((before, after)) => path.starts_with(before) && path.contains(after),
        None => path == *place || path.starts_with(place) || format!("{path}/") == *place,
    })
}

fn check(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn nobody_names_a_room_they_may_not() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(room) = ROOMS.iter().find(|room| room.name == source.room()) else {
            assert!(
                ["main", "lib"].contains(&source.path.as_str()),
                "src/{}.rs is in no room",
                source.path
            );
            continue;
        };
        for (number, line) in &source.code {
            for named in rooms_named(line) {
                if named != room.name && !room.may_name.contains(&named) {
                    faults.push(format!(
                        "src/{}.rs:{number}: {} may not name {named}",
                        source.path, room.name
                    ));
                }
            }
        }
    }
    check(&faults);
}

#[test]
fn outside_names_stay_in_the_rooms_that_may_know_them() {
    let mut faults = Vec::new();
    for source in sources() {
        for (name, places) in OUTSIDE {
            if is_within(&source.path, places) {
                continue;
            }
            for (number, line) in source.code.iter().filter(|(_, line)| line.contains(name)) {
                faults.push(format!(
                    "src/{}.rs:{number}: {name} belongs in {places:?}: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    check(&faults);
}

#[test]
fn every_room_of_the_picture_exists_and_no_other() {
    let named: BTreeSet<&str> = ROOMS.iter().map(|room| room.name).collect();
    let lib = fs::read_to_string(source_folder().join("lib.rs")).unwrap();
    for room in lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
    {
        assert!(
            named.contains(room),
            "src/lib.rs has {room}, which has no rule here"
        );
    }
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|source| source.code.len() > LONGEST_FILE)
        .map(|source| {
            format!(
                "src/{}.rs has {} lines, at most {LONGEST_FILE}",
                source.path,
                source.code.len()
            )
        })
        .collect();
    check(&long);
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|source| {
            let text = fs::read_to_string(source_folder().join(format!("{}.rs", source.path))).unwrap();
            !text.starts_with("//! ")
        })
        .map(|source| format!("src/{}.rs does not begin with its module doc", source.path))
        .collect();
    check(&silent);
}

#[test]
fn the_rules_notice_a_breach() {
    assert_eq!(
        rooms_named("use crate::{app::Model, hosts::Daemon};"),
        ["app", "hosts"]
    );
    assert_eq!(rooms_named("let x = crate::ui::ansi::clean(y);"), ["ui"]);
    assert!(is_within("panes/logs/view", &["panes/*/view"]));
    assert!(!is_within("panes/logs/mod", &["panes/*/view"]));
}

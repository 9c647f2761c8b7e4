//! Architecture rules, checked on the source: which module may use which, and the maximum size of a file.
//! Reads code as text; comments and test modules are ignored.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer files hold more than one idea.
const LONGEST_FILE: usize = 500;

/// A row of the table in `src/lib.rs`; a room may always name itself.
struct Room {
    name: String,
    may_name: BTreeSet<String>,
}

/// The rooms as `src/lib.rs` draws them.
fn rooms() -> Vec<Room> {
    let rows: Vec<Vec<String>> = lib()
        .lines()
        .filter_map(|line| line.strip_prefix("//! | [`"))
        .map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    let name = |row: &[String]| row[0].trim_end_matches("`]").to_owned();
    let all: BTreeSet<String> = rows.iter().map(|row| name(row)).collect();
    rows.iter()
        .map(|row| Room {
            name: name(row),
            may_name: may_name(&row[2], &all),
        })
        .collect()
}

/// `nobody`, "`domain`, `config`", "all but `panes`"
fn may_name(cell: &str, all: &BTreeSet<String>) -> BTreeSet<String> {
    let listed: BTreeSet<String> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(listed.is_subset(all), "no such room in src/lib.rs: {cell}");
    if cell.starts_with("all but ") {
        return all - &listed;
    }
    assert_eq!(listed.is_empty(), cell == "nobody", "names no room: {cell}");
    listed
}

fn lib() -> String {
    fs::read_to_string(source_folder().join("lib.rs")).unwrap()
}

/// Rooms with side effects. All others decide: no environment, no processes, no threads, no randomness.
const DOING: &[&str] = &[
    "hosts/", "runs/", "listen/", "observe/", "sim/", "term/", "cli/", "main",
];

/// The same, and `config`, which reads files and knows addresses.
const READING: &[&str] = &[
    "config/", "hosts/", "runs/", "listen/", "observe/", "sim/", "term/", "cli/", "main",
];

/// Names from outside, and the paths (below `src/`) that may know them.
const OUTSIDE: [(&str, &[&str]); 13] = [
    ("std::fs", READING),
    ("std::env", DOING),
    ("std::net", READING),
    ("std::process", DOING),
    ("std::thread", DOING),
    ("fastrand", DOING),
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
    let below = path.strip_prefix(source_folder()).unwrap().with_extension("");
    parse(below.to_str().unwrap(), &fs::read_to_string(path).unwrap())
}

/// Every `use` with one path each, on the line where it begins; the crate's root is always called `crate::`.
fn parse(path: &str, text: &str) -> Source {
    let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let depth = path.split('/').filter(|part| *part != "mod").count();
    let root = "super::".repeat(depth);
    let mut code: Vec<(usize, String)> = Vec::new();
    // The line of the `use` that has not ended yet.
    let mut open: Option<usize> = None;
    for (index, line) in shipped.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        let began = if let Some(began) = open {
            code[began].1.push_str(line.trim());
            code.push((index + 1, String::new()));
            began
        } else {
            code.push((index + 1, line.to_owned()));
            index
        };
        let is_use = open.is_some() || line.starts_with("use ") || line.contains(" use ");
        open = (is_use && !line.contains(';')).then_some(began);
        if is_use && open.is_none() {
            code[began].1 = paths(&code[began].1).join("; ");
        }
        if open.is_none() {
            code[began].1 = code[began].1.replace(&root, "crate::");
        }
    }
    Source {
        path: path.to_owned(),
        code,
    }
}

/// `use a::{b, c::{d, e}};` → `use a::b`, `use a::c::d`, `use a::c::e`
fn paths(tree: &str) -> Vec<String> {
    let tree = tree.trim_end_matches(';');
    let Some((before, inside)) = tree.split_once('{') else {
        return vec![tree.to_owned()];
    };
    let mut depth = 0;
    let members = inside.strip_suffix('}').unwrap_or(inside).split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    members
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .flat_map(|member| paths(&format!("{before}{member}")))
        .collect()
}

/// `crate::room` as it stands in a line.
fn rooms_named<'a>(line: &'a str, rooms: &[Room]) -> Vec<&'a str> {
    line.split("crate::")
        .skip(1)
        .map(|name| {
            name.split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default()
        })
        .filter(|name| rooms.iter().any(|room| room.name == *name))
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
    let (rooms, mut faults) = (rooms(), Vec::new());
    for source in sources() {
        let Some(room) = rooms.iter().find(|room| room.name == source.room()) else {
            assert!(
                ["main", "lib"].contains(&source.path.as_str()),
                "src/{}.rs is in no room",
                source.path
            );
            continue;
        };
        for (number, line) in &source.code {
            for named in rooms_named(line, &rooms) {
                if named != room.name && !room.may_name.contains(named) {
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

/// The names from outside that a file may not know.
fn outsiders(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
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
    faults
}

#[test]
fn outside_names_stay_in_the_rooms_that_may_know_them() {
    check(&sources().iter().flat_map(outsiders).collect::<Vec<_>>());
}

#[test]
fn the_rooms_of_the_picture_are_the_folders() {
    let drawn: BTreeSet<String> = rooms().into_iter().map(|room| room.name).collect();
    let declared: BTreeSet<String> = lib()
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .map(str::to_owned)
        .collect();
    let folders: BTreeSet<String> = fs::read_dir(source_folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(drawn, declared);
    assert_eq!(drawn, folders);
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
    let rooms = rooms();
    let named = |path: &str, text: &str| -> Vec<String> {
        let code = parse(path, text).code;
        let lines = code.iter().flat_map(|(_, line)| rooms_named(line, &rooms));
        lines.map(str::to_owned).collect()
    };
    let of_ui = |text| named("ui/screen", text);
    assert_eq!(of_ui("use crate::{app::Model, hosts::Daemon};"), ["app", "hosts"]);
    assert_eq!(
        of_ui("pub(super) use crate::{\n    app::{Model, hosts}, // one\n    hosts,\n};"),
        ["app", "app", "hosts"]
    );
    assert_eq!(of_ui("let x = crate::ui::ansi::clean(y);"), ["ui"]);
    assert_eq!(of_ui("use super::super::hosts::Daemon;"), ["hosts"]);
    assert_eq!(named("ui/mod", "let x = super::hosts::connect(y);"), ["hosts"]);
    assert_eq!(of_ui("use super::hosts;"), [""; 0]);
    let from_outside = parse(
        "ui/screen",
        "use std::{\n    fmt,\n    fs::{self, File},\n};\nfn f() {}",
    );
    assert_eq!(
        from_outside.code[0].1,
        "use std::fmt; use std::fs::self; use std::fs::File"
    );
    assert_eq!(from_outside.code.len(), 5, "{from_outside:?}");
    let logs = read(&source_folder().join("panes/logs/mod.rs"));
    assert!(
        logs.code.len() > 300,
        "a test module in a file of its own ends no file: {}",
        logs.code.len()
    );
    assert!(is_within("panes/logs/view", &["panes/*/view"]));
    assert!(!is_within("panes/logs/mod", &["panes/*/view"]));
    assert!(is_within("config/read/host", READING));
    assert!(!is_within("config/read/host", DOING));
    let breaches = |path: &str, line: &str| {
        let source = Source {
            path: path.to_owned(),
            code: vec![(7, line.to_owned())],
        };
        outsiders(&source).len()
    };
    for (name, places) in OUTSIDE {
        let line = format!("use {name};");
        assert_eq!(
            breaches("domain/host", &line),
            1,
            "{name} is noticed in no room of {places:?}"
        );
        assert_eq!(breaches(&places[0].replace('*', "logs"), &line), 0, "{name}");
    }
    assert_eq!(breaches("config/read/host", "std::fs::read(path)"), 0);
    assert_eq!(breaches("config/read/host", "std::env::var(name)"), 1);
}

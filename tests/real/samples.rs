//! The four ways of testing in `assets/samples`, unchanged, built and tested on a real daemon.
//! Only the base image's name and the daemon's address are replaced: nothing is pulled.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::image::BUSYBOX;
use crate::support::program::{Said, finish};

struct Sample {
    daemons: Lease,
    folder: std::path::PathBuf,
    file: &'static str,
}

impl Sample {
    fn of(file: &'static str) -> Self {
        let daemons = fleet::lease(1);
        let folder = fleet::folder("samples");
        copy(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/samples")),
            &folder,
        );
        for name in [file, "notes/Dockerfile"] {
            let text = fs::read_to_string(folder.join(name)).unwrap();
            assert!(text.contains("busybox:1.36") || name == file);
            let text = text.replace("busybox:1.36", BUSYBOX).replace(
                "unix:///var/run/docker.sock",
                &daemons[0].host().endpoint.to_string(),
            );
            fs::write(folder.join(name), text).unwrap();
        }
        Self {
            daemons,
            folder,
            file,
        }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command
            .arg("--config")
            .arg(self.folder.join(self.file))
            .args(arguments)
            .env("HOME", &self.folder)
            .env("XDG_STATE_HOME", self.folder.join("state"))
            .stdin(std::process::Stdio::null());
        finish(&mut command)
    }

    /// What each test stage of the run found out.
    fn tested(&self, arguments: &[&str]) -> Vec<(String, Value)> {
        let said = self.run(arguments).exits(0);
        let view = said.json();
        assert_eq!(
            lists(&self.daemons[0]),
            ["bridge", "host", "none"],
            "{}",
            said.err
        );
        view["stages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|stage| stage.get("tested").is_some())
            .map(|stage| {
                (
                    stage["name"].as_str().unwrap().to_owned(),
                    stage["tested"].clone(),
                )
            })
            .collect()
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Containers and volumes by id, networks by name: what a test may not leave.
fn lists(daemon: &Daemon) -> Vec<String> {
    let mut found = Vec::new();
    for (path, key) in [
        ("/containers/json?all=1", "Id"),
        ("/volumes", "Name"),
        ("/networks", "Name"),
    ] {
        let answer = daemon.ask("GET", path, &Value::Null);
        let rows = answer.get("Volumes").unwrap_or(&answer);
        found.extend(
            rows.as_array()
                .into_iter()
                .flatten()
                .map(|row| row[key].as_str().unwrap().to_owned()),
        );
    }
    found.sort();
    found
}

#[track_caller]
fn all_passed(tested: &[(String, Value)], names: &[&str]) {
    let found: Vec<&str> = tested.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, names);
    for (name, tested) in tested {
        assert_eq!(tested["passed"], true, "{name}: {tested}");
        if let Some(report) = tested["report"].as_object() {
            assert_eq!(
                (&report["tests"], &report["failures"]),
                (&8.into(), &0.into()),
                "{name}"
            );
        }
    }
}

#[test]
fn from_outside_against_the_running_container() {
    let sample = Sample::of("1-outside.toml");
    sample.run(&["build", "notes"]).exits(0);
    let tested = sample.tested(&["test", "notes", "--json"]);
    all_passed(&tested, &["test api"]);
    assert_eq!(tested[0].1["report"]["tests"], 8);
    // A service that forgets how to delete is found out.
    let source = sample.folder.join("notes/src/notes.sh");
    let broken = fs::read_to_string(&source)
        .unwrap()
        .replace("&& rm -r", "&& echo rm -r");
    fs::write(&source, broken).unwrap();
    sample.run(&["build", "notes"]).exits(0);
    let said = sample.run(&["test", "notes"]).exits(1);
    assert!(
        said.err
            .contains("8 tests, 1 failed: notes.and is not there then"),
        "{}",
        said.err
    );
    assert_eq!(lists(&sample.daemons[0]), ["bridge", "host", "none"]);
}

#[test]
fn inside_the_image_that_is_shipped() {
    let sample = Sample::of("2-inside.toml");
    sample.run(&["build", "notes"]).exits(0);
    let tested = sample.tested(&["test", "notes", "--json"]);
    all_passed(&tested, &["test unit", "test api"]);
}

#[test]
fn in_a_stage_beside_it_so_that_what_is_shipped_stays_slim() {
    let sample = Sample::of("3-target.toml");
    sample.run(&["build", "notes"]).exits(0);
    let tested = sample.tested(&["test", "notes", "--json"]);
    all_passed(&tested, &["test unit", "test api"]);
    let image = &tested[0].1["image"];
    assert_eq!(image["reference"], "notes:last-build-whole");
    assert!(
        image["size"].as_u64().unwrap() > image["shipped"].as_u64().unwrap(),
        "{image}"
    );
    let shipped = sample.daemons[0].ask("GET", "/images/notes:last-build/json", &Value::Null);
    assert_eq!(shipped["Size"], image["shipped"]);
    // One that fails takes the tag that it gave with it.
    sample.daemons[0].ask("DELETE", "/images/notes:last-build-whole", &Value::Null);
    fs::write(sample.folder.join("notes/tests/unit"), "exit 3\n").unwrap();
    let said = sample.run(&["test", "notes"]).exits(1);
    assert!(said.err.contains("exit code 3"), "{}", said.err);
    let left = sample.daemons[0].try_ask("GET", "/images/notes:last-build-whole/json", &Value::Null);
    assert_eq!(left.status, 404, "{}", left.text());
}

#[test]
fn a_container_for_every_step_and_a_threshold_for_the_load() {
    let sample = Sample::of("4-steps.toml");
    let tested = sample.tested(&["pipeline", "notes", "--yes", "--json"]);
    all_passed(&tested, &["test unit", "test api", "test load"]);
    let file = sample.folder.join(sample.file);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        text.replace("SECONDS_AT_MOST = \"120\"", "SECONDS_AT_MOST = \"-1\""),
    )
    .unwrap();
    let said = sample.run(&["pipeline", "notes", "--yes"]).exits(1);
    assert!(
        said.err.contains("its last line is \"Result: FAILURE\"") || said.err.contains("exit code 1"),
        "{}",
        said.err
    );
    assert_eq!(lists(&sample.daemons[0]), ["bridge", "host", "none"]);
}

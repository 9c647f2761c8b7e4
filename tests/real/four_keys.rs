//! Build, test, deploy and roll back by the built program on three real daemons, as typed by a person or a CI.
//! After each, the running containers are verified through the daemons themselves.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::Daemon;
use crate::support::fleet::{self, Lease};
use crate::support::program::{Program, Said};
use crate::support::shop;
use crate::support::wait::until;

const GOOD: &str = "echo version $(cat /version) is up; while :; do sleep 1; done";

struct Shop {
    daemons: Lease,
    program: Program,
}

impl Shop {
    fn new() -> Self {
        let daemons = fleet::lease(3);
        let hosts: Vec<_> = daemons.iter().map(Daemon::host).collect();
        let program = Program::new(&hosts, "");
        let targets: Vec<_> = daemons.iter().map(Daemon::name).collect();
        shop::configure(&program, &hosts, targets[0], &targets);
        let shop = Self { daemons, program };
        shop.write("one", GOOD, "exit 0");
        shop
    }

    fn write(&self, version: &str, main: &str, test: &str) {
        let test = format!("echo testing $(cat /version)\n{test}\n");
        shop::write(&self.program, version, main, &test);
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.program.run(arguments)
    }

    /// On each host, what the running replicas of the service print of their version.
    fn versions(&self) -> Vec<Vec<String>> {
        self.daemons.iter().map(versions_on).collect()
    }

    #[track_caller]
    fn runs_everywhere(&self, version: &str) {
        let expected = vec![vec![version.to_owned()]; 3];
        assert_eq!(self.versions(), expected);
    }
}

fn versions_on(daemon: &Daemon) -> Vec<String> {
    let filter = "/containers/json?filters=%7B%22label%22%3A%5B%22pilothouse.service%3Dshop%22%5D%7D";
    let list = daemon.ask("GET", filter, &Value::Null);
    list.as_array()
        .into_iter()
        .flatten()
        .map(|container| {
            let path = format!(
                "/containers/{}/archive?path=/version",
                container["Id"].as_str().unwrap()
            );
            let archive = daemon.try_ask("GET", &path, &Value::Null).body;
            let mut archive = tar::Archive::new(&archive[..]);
            let mut text = String::new();
            for entry in archive.entries().unwrap() {
                std::io::Read::read_to_string(&mut entry.unwrap(), &mut text).unwrap();
            }
            text
        })
        .collect()
}

#[test]
fn a_service_is_built_tested_deployed_and_rolled_back_on_three_hosts() {
    let shop = Shop::new();
    shop.run(&["build", "shop"]).exits(0);
    let tested = shop.run(&["test", "shop"]).exits(0);
    assert!(tested.err.contains("testing one"), "{}", tested.err);

    let plan = shop.run(&["deploy", "shop", "--dry-run"]).exits(0);
    assert!(plan.out.contains("r1") || plan.err.contains("r1"), "{plan:?}");
    assert_eq!(
        shop.versions(),
        vec![Vec::<String>::new(); 3],
        "a dry run does nothing"
    );
    shop.run(&["deploy", "shop"]).exits(2);

    shop.run(&["deploy", "shop", "--yes", "--reason", "the first"])
        .exits(0);
    shop.runs_everywhere("one");
    let image = |daemon: &Daemon| daemon.ask("GET", "/containers/json", &Value::Null)[0]["ImageID"].clone();
    assert_eq!(
        image(&shop.daemons[0]),
        image(&shop.daemons[2]),
        "transferred under one id"
    );

    shop.write("two", GOOD, "exit 0");
    shop.run(&["build", "shop"]).exits(0);
    shop.run(&["test", "shop"]).exits(0);
    shop.run(&["deploy", "shop", "--yes"]).exits(0);
    shop.runs_everywhere("two");

    shop.run(&["rollback", "shop", "--yes"]).exits(0);
    shop.runs_everywhere("one");

    let runs = shop.run(&["runs", "--json"]).exits(0).json();
    let kinds: Vec<&str> = runs
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|run| run["kind"].as_str())
        .collect();
    assert_eq!(
        kinds.iter().filter(|kind| **kind == "deploy").count(),
        2,
        "{kinds:?}"
    );
    assert!(
        kinds.contains(&"rollback") && kinds.contains(&"build") && kinds.contains(&"test"),
        "{kinds:?}"
    );
}

#[test]
fn a_failed_test_and_a_failed_gate_leave_everything_as_it_was() {
    let shop = Shop::new();
    shop.run(&["build", "shop"]).exits(0);
    shop.run(&["deploy", "shop", "--yes"]).exits(0);
    shop.runs_everywhere("one");
    let before: Vec<Value> = shop.daemons.iter().map(running).collect();

    shop.write(
        "broken",
        "echo cannot start; exit 9",
        "echo it is broken >&2; exit 4",
    );
    shop.run(&["build", "shop"]).exits(0);
    let tested = shop.run(&["test", "shop"]).exits(1);
    assert!(tested.err.contains("it is broken"), "{}", tested.err);
    let deployed = shop.run(&["deploy", "shop", "--yes"]).exits(1);
    assert!(deployed.err.contains("as before"), "{}", deployed.err);
    shop.runs_everywhere("one");
    let after: Vec<Value> = shop.daemons.iter().map(running).collect();
    assert_eq!(before, after, "the very same containers");
    for daemon in shop.daemons.iter() {
        let all = daemon.ask("GET", "/containers/json?all=1", &Value::Null);
        let locks = all
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["Labels"]["pilothouse.role"] == "lock")
            .count();
        assert_eq!(locks, 0, "{all}");
    }
}

#[test]
fn a_pipeline_builds_tests_and_deploys_or_leaves_hosts_and_tags_as_they_were() {
    let shop = Shop::new();
    let plan = shop.run(&["pipeline", "shop", "--dry-run"]).exits(0);
    assert!(
        plan.out.contains("build") && plan.out.contains("test unit"),
        "{plan:?}"
    );
    shop.run(&["pipeline", "shop", "--yes"]).exits(0);
    shop.runs_everywhere("one");
    let before: Vec<Value> = shop.daemons.iter().map(running).collect();
    let tags = tags_on(&shop.daemons[0]);

    shop.write("broken", GOOD, "echo it is broken >&2; exit 4");
    let failed = shop.run(&["pipeline", "shop", "--yes"]).exits(1);
    assert!(failed.err.contains("it is broken"), "{}", failed.err);
    shop.runs_everywhere("one");
    let after: Vec<Value> = shop.daemons.iter().map(running).collect();
    assert_eq!(before, after, "the very same containers");
    assert_eq!(
        tags,
        tags_on(&shop.daemons[0]),
        "no tag of the failed build is left"
    );

    shop.write("two", GOOD, "exit 0");
    shop.run(&["pipeline", "shop", "--yes"]).exits(0);
    shop.runs_everywhere("two");
}

/// Every tag of the shop, with the image that it names.
fn tags_on(daemon: &Daemon) -> Vec<(String, String)> {
    let images = daemon.ask("GET", "/images/json", &Value::Null);
    let mut tags: Vec<(String, String)> = images
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|image| {
            let id = image["Id"].as_str().unwrap_or_default().to_owned();
            let tags = image["RepoTags"].as_array().cloned().unwrap_or_default();
            tags.into_iter()
                .map(move |tag| (tag.as_str().unwrap_or_default().to_owned(), id.clone()))
        })
        .filter(|(tag, _)| tag.starts_with("shop:"))
        .collect();
    tags.sort();
    tags
}

fn running(daemon: &Daemon) -> Value {
    let list = daemon.ask("GET", "/containers/json", &Value::Null);
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| one["Id"].clone())
        .collect()
}

#[test]
fn a_detached_run_goes_on_without_its_starter_and_is_followed_and_cancelled() {
    let shop = Shop::new();
    shop.run(&["build", "shop"]).exits(0);
    let started = shop.run(&["deploy", "shop", "--yes", "--detach"]).exits(0);
    let id = started.out.trim().to_owned();
    shop.run(&["follow", &id]).exits(0);
    shop.runs_everywhere("one");

    shop.write("two", "sleep 3600", "exit 0");
    let slow = fs::read_to_string(shop.program.config()).unwrap().replace(
        "for = \"1s\", within = \"20s\"",
        "for = \"15s\", within = \"60s\"",
    );
    fs::write(shop.program.config(), slow).unwrap();
    shop.run(&["build", "shop"]).exits(0);
    let id = shop
        .run(&["deploy", "shop", "--yes", "--detach"])
        .exits(0)
        .out
        .trim()
        .to_owned();
    until(Duration::from_secs(40), "the new release runs somewhere", || {
        shop.versions()
            .iter()
            .flatten()
            .any(|version| version == "two")
            .then_some(())
    });
    let second = shop.run(&["deploy", "shop", "--yes"]);
    assert_eq!(second.code, Some(4), "locked by the first: {second:?}");
    shop.run(&["cancel", &id]).exits(0);
    shop.run(&["follow", &id]).exits(130);
    shop.runs_everywhere("one");
}

#[test]
fn a_run_whose_runner_is_killed_is_recovered() {
    let shop = Shop::new();
    shop.run(&["build", "shop"]).exits(0);
    shop.run(&["deploy", "shop", "--yes"]).exits(0);
    shop.write("two", GOOD, "exit 0");
    shop.run(&["build", "shop"]).exits(0);
    let id = shop
        .run(&["deploy", "shop", "--yes", "--detach"])
        .exits(0)
        .out
        .trim()
        .to_owned();
    until(Duration::from_secs(40), "the new release runs somewhere", || {
        shop.versions()
            .iter()
            .flatten()
            .any(|version| version == "two")
            .then_some(())
    });
    shop.program.kill_runner();
    let shown = shop.run(&["runs", &id]).exits(0);
    assert!(shown.out.contains("dead"), "{}", shown.out);
    let recovered = shop.run(&["recover", &id]);
    assert!(matches!(recovered.code, Some(0 | 1)), "{recovered:?}");
    let versions: Vec<String> = shop.versions().into_iter().flatten().collect();
    assert!(versions == ["one"; 3] || versions == ["two"; 3], "{versions:?}");
}

//! Testing and moving images on real daemons; leftovers are searched on the daemon itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilothouse::config::service::{Build, Test};
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::{ImageId, RunId};
use pilothouse::domain::order::Access;
use pilothouse::hosts;
use pilothouse::runs::begin::logins::Logins;
use pilothouse::runs::step::build::{self, Order};
use pilothouse::runs::step::test::{TestResult, Trial};
use pilothouse::runs::step::{Progress, image, test};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::image::BUSYBOX;
use crate::support::podman::Podman;
use crate::support::raw;
use crate::support::wait::until;

/// What a build is given as `TOKEN`, if it asks for a secret.
pub(super) const SECRET: &str = "xyzzy-4711-plugh";

/// Keeps what a step tells, and cancels when a line holds a word.
#[derive(Clone, Default)]
pub(super) struct Told {
    texts: Arc<Mutex<Vec<String>>>,
    lines: Arc<Mutex<Vec<String>>>,
    cancel_at: Option<(&'static str, CancellationToken)>,
}

impl Told {
    pub(super) fn cancelling_at(word: &'static str, token: &CancellationToken) -> Self {
        Self {
            cancel_at: Some((word, token.clone())),
            ..Self::default()
        }
    }

    fn look(&self, text: &str) {
        if let Some((word, token)) = &self.cancel_at
            && text.contains(word)
        {
            token.cancel();
        }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap().clone()
    }
}

impl Progress for Told {
    fn text(&mut self, now: &str) {
        self.texts.lock().unwrap().push(now.to_owned());
        self.look(now);
    }

    fn line(&mut self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
        self.look(line);
    }
}

pub(super) async fn connect(daemon: &Daemon) -> hosts::Daemon {
    hosts::connect(&daemon.host(), Access::Full)
        .await
        .unwrap_or_else(|why| panic!("{}", why.fault()))
}

/// A folder with a Dockerfile.
pub(super) fn context(dockerfile: &str) -> PathBuf {
    let folder = fleet::folder("context");
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    folder
}

pub(super) fn plan(daemon: &Daemon, context: &Path) -> Build {
    Build::new(daemon.name().clone(), context.to_owned(), Duration::from_mins(1))
}

pub(super) async fn built(
    daemon: &Daemon,
    plan: &Build,
    told: &Told,
    cancel: &CancellationToken,
) -> Result<ImageId, Fault> {
    let tags = [
        "shop:one".to_owned(),
        "registry.internal:5000/shop:two".to_owned(),
    ];
    let secrets = BTreeMap::from([("TOKEN".to_owned(), SECRET.to_owned())]);
    let order = Order {
        build: plan,
        tags: &tags,
        labels: &BTreeMap::from([("pilothouse.service".to_owned(), "shop".to_owned())]),
        secrets: if plan.secrets.is_empty() {
            &BTreeMap::new()
        } else {
            &secrets
        },
        logins: &Logins::new(),
    };
    build::build(&connect(daemon).await, order, &mut told.clone(), cancel).await
}

/// Containers and images of the daemon but busybox: what a step left.
pub(super) fn left(daemon: &Daemon) -> Vec<String> {
    let mut left = Vec::new();
    for container in daemon
        .ask("GET", "/containers/json?all=1", &Value::Null)
        .as_array()
        .unwrap()
    {
        left.push(format!(
            "container {} {}",
            container["Names"][0], container["State"]
        ));
    }
    for image in daemon
        .ask("GET", "/images/json", &Value::Null)
        .as_array()
        .unwrap()
    {
        let tags = image["RepoTags"].to_string();
        if !tags.contains(BUSYBOX) {
            left.push(format!("image {tags}"));
        }
    }
    for volume in daemon.ask("GET", "/volumes", &Value::Null)["Volumes"]
        .as_array()
        .into_iter()
        .flatten()
    {
        left.push(format!("volume {}", volume["Name"]));
    }
    left
}

pub(super) fn nothing_left(daemon: &Daemon) {
    until(Duration::from_secs(20), "nothing is left", || {
        let left = left(daemon);
        if !left.is_empty() {
            eprintln!("{left:?}");
        }
        left.is_empty().then_some(())
    });
}

fn check(name: &str, script: &str) -> Test {
    Test {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::from([("COLOUR".to_owned(), "blue".to_owned())]),
        timeout: Duration::from_mins(1),
        ..Test::new(name, pilothouse::domain::ids::HostName::parse("host1").unwrap())
    }
}

async fn tested(
    daemon: &Daemon,
    what: &Test,
    told: &Told,
    cancel: &CancellationToken,
) -> Result<TestResult, Fault> {
    let image = daemon.ask("GET", &format!("/images/{BUSYBOX}/json"), &Value::Null)["Id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (image, run) = (ImageId::parse(&image).unwrap(), RunId::parse("run-1").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let trial = Trial {
        network: None,
        test: what,
        run: &run,
        image: &image,
        images: &BTreeMap::new(),
        folder: folder.path(),
    };
    let report = test::test(&connect(daemon).await, trial, &mut told.clone(), cancel).await?;
    Ok(report.result)
}

#[tokio::test]
async fn a_test_gives_its_exit_code_and_its_output_and_leaves_nothing() {
    let daemons = fleet::lease(1);
    let never = CancellationToken::new();
    let told = Told::default();
    let passes = check("passes", "echo $COLOUR; echo wrong >&2; printf unfinished");
    assert_eq!(
        tested(&daemons[0], &passes, &told, &never).await.unwrap(),
        TestResult::Passed
    );
    let mut lines = told.lines();
    lines.sort();
    assert_eq!(lines, ["blue", "unfinished", "wrong"]);
    nothing_left(&daemons[0]);
    let fails = tested(&daemons[0], &check("fails", "exit 3"), &told, &never)
        .await
        .unwrap();
    assert_eq!(fails, TestResult::Failed { code: 3 });
    nothing_left(&daemons[0]);
}

#[tokio::test]
async fn a_test_that_is_slow_hungry_or_without_program_is_told_apart() {
    let daemons = fleet::lease(1);
    let never = CancellationToken::new();
    let told = Told::default();
    let limit = Duration::from_secs(1);
    let slow = Test {
        timeout: limit,
        ..check("slow", "trap '' TERM; echo on; while :; do sleep 1; done")
    };
    assert_eq!(
        tested(&daemons[0], &slow, &told, &never).await.unwrap(),
        TestResult::TimedOut { limit }
    );
    assert_eq!(told.lines(), ["on"]);
    let hungry = Test {
        memory: Some(16 << 20),
        // Docker only notices it of a container that has lived for a moment.
        ..check("hungry", "sleep 1; x=a; while :; do x=$x$x; done")
    };
    let result = tested(&daemons[0], &hungry, &told, &never).await.unwrap();
    assert!(matches!(result, TestResult::OutOfMemory { .. }), "{result:?}");
    let absent = Test {
        command: vec!["/none".to_owned()],
        ..check("absent", "")
    };
    let fault = tested(&daemons[0], &absent, &told, &never).await.unwrap_err();
    assert!(
        fault.hint.as_deref().is_some_and(|hint| hint.contains("command")),
        "{fault:?}"
    );
    nothing_left(&daemons[0]);
}

#[tokio::test]
async fn a_cancelled_test_is_stopped_and_removed() {
    let daemons = fleet::lease(1);
    let cancel = CancellationToken::new();
    let told = Told::cancelling_at("begun", &cancel);
    let fault = tested(
        &daemons[0],
        &check("long", "echo begun; sleep 1000"),
        &told,
        &cancel,
    )
    .await
    .unwrap_err();
    assert_eq!(fault.why, "it was cancelled");
    nothing_left(&daemons[0]);
}

#[tokio::test]
async fn ten_thousand_lines_of_a_test_all_arrive_in_order() {
    let daemons = fleet::lease(1);
    let told = Told::default();
    let never = CancellationToken::new();
    let result = tested(&daemons[0], &check("loud", "seq 10000"), &told, &never)
        .await
        .unwrap();
    assert_eq!(result, TestResult::Passed);
    let expected: Vec<String> = (1..=10_000).map(|number| number.to_string()).collect();
    assert!(told.lines() == expected, "{} lines", told.lines().len());
}

#[tokio::test]
async fn what_a_dead_run_left_is_swept_and_nothing_else() {
    let daemons = fleet::lease(1);
    let labels = |run: &str| json!({ "Labels": { "pilothouse.role": "test", "pilothouse.run": run } });
    daemons[0].run_with("ours", "sleep 1000", labels("run-1"));
    daemons[0].run_with("other", "sleep 1000", labels("run-2"));
    daemons[0].run("stranger", "sleep 1000");
    let daemon = connect(&daemons[0]).await;
    let swept = test::sweep(&daemon, &RunId::parse("run-1").unwrap())
        .await
        .unwrap();
    assert_eq!(swept, ["ours"]);
    assert_eq!(left(&daemons[0]).len(), 2);
}

/// An image that only the first daemon has: so many MiB that do not compress.
async fn made(daemon: &Daemon, mebibytes: u32) -> ImageId {
    let folder = context(&format!(
        "FROM {BUSYBOX}\nRUN dd if=/dev/urandom of=/big bs=1M count={mebibytes} 2>/dev/null\n"
    ));
    built(
        daemon,
        &plan(daemon, &folder),
        &Told::default(),
        &CancellationToken::new(),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn an_image_is_brought_to_other_hosts_with_its_id_and_its_names() {
    let daemons = fleet::lease(3);
    let id = made(&daemons[0], 20).await;
    // A name that is another image's there stays with it.
    daemons[2].ask(
        "POST",
        &format!("/images/{BUSYBOX}/tag?repo=shop&tag=one"),
        &Value::Null,
    );
    let from = connect(&daemons[0]).await;
    let (to, third) = (connect(&daemons[1]).await, connect(&daemons[2]).await);
    let never = CancellationToken::new();
    let (told, other) = (Told::default(), Told::default());
    assert!(!image::present(&to, &id).await.unwrap());
    let (mut one, mut two) = (told.clone(), other.clone());
    let both = tokio::join!(
        image::transfer(&from, &to, &id, &mut one, &never),
        image::transfer(&from, &third, &id, &mut two, &never)
    );
    both.0.unwrap();
    both.1.unwrap();
    assert!(image::present(&to, &id).await.unwrap() && image::present(&third, &id).await.unwrap());
    let named = |daemon: &Daemon| daemon.ask("GET", "/images/shop:one/json", &Value::Null)["Id"].clone();
    assert_eq!(named(&daemons[1]), id.as_str());
    assert_ne!(named(&daemons[2]), id.as_str());
    assert!(
        other
            .lines()
            .iter()
            .any(|line| line.starts_with("shop:one is another image on ")),
        "{:?}",
        other.lines()
    );
    let second = daemons[2].ask(
        "GET",
        "/images/registry.internal:5000/shop:two/json",
        &Value::Null,
    )["Id"]
        .clone();
    assert_eq!(second, id.as_str());
    // Once more is nothing to do.
    image::transfer(&from, &to, &id, &mut told.clone(), &never)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_image_that_is_nowhere_or_whose_source_dies_midway_is_a_clear_fault_and_leaves_nothing() {
    let daemons = fleet::lease(2);
    let (from, to) = (connect(&daemons[0]).await, connect(&daemons[1]).await);
    let never = CancellationToken::new();
    let nowhere = ImageId::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
    let fault = image::transfer(&from, &to, &nowhere, &mut Told::default(), &never)
        .await
        .unwrap_err();
    assert!(fault.why.contains("it is not on "), "{fault}");

    let id = made(&daemons[0], 200).await;
    let mut told = Told::default();
    let moving = image::transfer(&from, &to, &id, &mut told, &never);
    tokio::pin!(moving);
    // It is on its way when it is polled first; the source needs longer than this for 200 MiB.
    let early = tokio::time::timeout(Duration::from_millis(100), &mut moving).await;
    assert!(early.is_err(), "too fast to be cut: {early:?}");
    daemons[0].kill_9();
    let fault = moving.await.unwrap_err();
    assert!(fault.why.contains("source failed"), "{fault}");
    nothing_left(&daemons[1]);
    assert!(!image::present(&to, &id).await.unwrap());
}

#[tokio::test]
async fn a_cancelled_transfer_leaves_nothing_on_the_target() {
    let daemons = fleet::lease(2);
    let id = made(&daemons[0], 300).await;
    let (from, to) = (connect(&daemons[0]).await, connect(&daemons[1]).await);
    let cancel = CancellationToken::new();
    let mut told = Told::cancelling_at("of about", &cancel);
    let outcome = image::transfer(&from, &to, &id, &mut told, &cancel).await;
    assert_eq!(outcome.unwrap_err().why, "it was cancelled");
    nothing_left(&daemons[1]);
}

#[tokio::test]
async fn an_image_of_another_architecture_is_refused_before_a_byte_is_sent() {
    let daemons = fleet::lease(2);
    let foreign = if cfg!(target_arch = "aarch64") {
        "amd64"
    } else {
        "arm64"
    };
    let settings = json!({ "architecture": foreign, "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": [] } });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["foreign:1"], "Layers": [] }]);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in [
        ("config.json", settings.to_string()),
        ("manifest.json", manifest.to_string()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let archive = archive.into_inner().unwrap();
    let answer = raw::request(
        &daemons[0].socket(),
        "POST",
        "/images/load",
        "application/x-tar",
        &archive,
    )
    .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = daemons[0].ask("GET", "/images/foreign:1/json", &Value::Null);
    assert_eq!(id["Architecture"], foreign);
    let id = ImageId::parse(id["Id"].as_str().unwrap()).unwrap();
    let (from, to) = (connect(&daemons[0]).await, connect(&daemons[1]).await);
    let never = CancellationToken::new();
    let fault = image::transfer(&from, &to, &id, &mut Told::default(), &never)
        .await
        .unwrap_err();
    assert!(
        fault.why.contains(&format!("it is made for {foreign}, but ")),
        "{fault}"
    );
    nothing_left(&daemons[1]);
}

#[tokio::test]
async fn podman_builds_tests_and_takes_images_as_docker_does() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let host = daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned()));
    let there = hosts::connect(&host, Access::Full).await.unwrap();
    let never = CancellationToken::new();
    let told = Told::default();

    let folder = context(&format!("FROM {BUSYBOX}\nRUN echo built by $(id -un)\n"));
    let tags = ["localhost/shop:one".to_owned()];
    let plan = plan(&daemons[0], &folder);
    let order = Order {
        build: &plan,
        tags: &tags,
        labels: &BTreeMap::new(),
        secrets: &BTreeMap::new(),
        logins: &Logins::new(),
    };
    let id = build::build(&there, order, &mut told.clone(), &never)
        .await
        .unwrap();
    assert!(
        told.lines().iter().any(|line| line.contains("built by root")),
        "{:?}",
        told.lines()
    );

    let run = RunId::parse("run-1").unwrap();
    let none = BTreeMap::new();
    let trial = |test| Trial {
        network: None,
        test,
        run: &run,
        image: &id,
        images: &none,
        folder: &folder,
    };
    let passes = check("passes", "echo $COLOUR; exit 0");
    let good = test::test(&there, trial(&passes), &mut told.clone(), &never)
        .await
        .unwrap();
    assert_eq!(good.result, TestResult::Passed);
    assert!(told.lines().contains(&"blue".to_owned()), "{:?}", told.lines());
    let fails = check("fails", "exit 4");
    let bad = test::test(&there, trial(&fails), &mut told.clone(), &never)
        .await
        .unwrap();
    assert_eq!(bad.result, TestResult::Failed { code: 4 });

    let moved = made(&daemons[0], 5).await;
    let docker = connect(&daemons[0]).await;
    image::transfer(&docker, &there, &moved, &mut told.clone(), &never)
        .await
        .unwrap();
    assert!(image::present(&there, &moved).await.unwrap());
}

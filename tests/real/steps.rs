//! Building, testing and moving images on real daemons: what is left afterwards is looked for on the daemon itself.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilothouse::config::service::{Build, Test};
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::{ImageId, RunId, ServiceName};
use pilothouse::domain::order::Access;
use pilothouse::domain::units::Stamp;
use pilothouse::hosts;
use pilothouse::runs::step::test::{TestResult, Trial};
use pilothouse::runs::step::{Progress, build, image, test};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::daemon::Daemon;
use crate::support::fleet;
use crate::support::image::BUSYBOX;
use crate::support::podman::Podman;
use crate::support::raw;
use crate::support::wait::until;

/// Keeps what a step tells, and cancels when a line holds a word.
#[derive(Clone, Default)]
struct Told {
    texts: Arc<Mutex<Vec<String>>>,
    lines: Arc<Mutex<Vec<String>>>,
    cancel_at: Option<(&'static str, CancellationToken)>,
}

impl Told {
    fn cancelling_at(word: &'static str, token: &CancellationToken) -> Self {
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

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn texts(&self) -> Vec<String> {
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

async fn connect(daemon: &Daemon) -> hosts::Daemon {
    hosts::connect(&daemon.host(), Access::Full)
        .await
        .unwrap_or_else(|why| panic!("{}", why.fault()))
}

/// A folder with a Dockerfile.
fn context(dockerfile: &str) -> PathBuf {
    let folder = fleet::folder("context");
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    folder
}

fn plan(daemon: &Daemon, context: &Path) -> Build {
    Build {
        host: daemon.name().clone(),
        context: context.to_owned(),
        dockerfile: "Dockerfile".into(),
        target: None,
        args: BTreeMap::new(),
        labels: BTreeMap::new(),
        tag: "{time}".to_owned(),
        timeout: Duration::from_mins(1),
    }
}

async fn built(
    daemon: &Daemon,
    plan: &Build,
    told: &Told,
    cancel: &CancellationToken,
) -> Result<ImageId, Fault> {
    let labels = BTreeMap::from([("pilothouse.service".to_owned(), "shop".to_owned())]);
    let tags = [
        "shop:one".to_owned(),
        "registry.internal:5000/shop:two".to_owned(),
    ];
    build::build(
        &connect(daemon).await,
        plan,
        &tags,
        &labels,
        &mut told.clone(),
        cancel,
    )
    .await
}

/// Containers and images of the daemon but busybox: what a step left.
fn left(daemon: &Daemon) -> Vec<String> {
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

fn nothing_left(daemon: &Daemon) {
    until(Duration::from_secs(20), "nothing is left", || {
        let left = left(daemon);
        if !left.is_empty() {
            eprintln!("{left:?}");
        }
        left.is_empty().then_some(())
    });
}

#[tokio::test]
async fn an_image_is_built_with_its_tags_labels_arguments_and_target() {
    let daemons = fleet::lease(1);
    let folder = context(&format!(
        "FROM {BUSYBOX} AS first\nARG VERSION\nRUN echo version $VERSION\nRUN echo wrong >&2\nFROM first AS second\nRUN exit 9\n"
    ));
    let mut plan = plan(&daemons[0], &folder);
    plan.target = Some("first".to_owned());
    plan.args.insert("VERSION".to_owned(), "17".to_owned());
    plan.labels.insert("team".to_owned(), "web".to_owned());
    let told = Told::default();
    let id = built(&daemons[0], &plan, &told, &CancellationToken::new())
        .await
        .unwrap();
    for name in [id.as_str(), "shop:one", "registry.internal:5000/shop:two"] {
        let image = daemons[0].ask("GET", &format!("/images/{name}/json"), &Value::Null);
        assert_eq!(image["Id"], id.as_str());
        assert_eq!(
            image["Config"]["Labels"],
            json!({ "team": "web", "pilothouse.service": "shop" })
        );
    }
    assert!(
        told.lines().iter().any(|line| line == "version 17"),
        "{:?}",
        told.lines()
    );
    assert!(
        told.texts()
            .iter()
            .any(|text| text.starts_with("step 3 of ") && text.ends_with(": RUN echo version $VERSION")),
        "{:?}",
        told.texts()
    );
    assert_eq!(
        daemons[0].ask("GET", "/containers/json?all=1", &Value::Null),
        json!([])
    );
}

#[tokio::test]
async fn a_failing_instruction_is_said_in_the_builders_words_and_leaves_nothing() {
    let daemons = fleet::lease(1);
    let folder = context(&format!("FROM {BUSYBOX}\nRUN echo here it comes; exit 9\n"));
    let told = Told::default();
    let fault = built(
        &daemons[0],
        &plan(&daemons[0], &folder),
        &told,
        &CancellationToken::new(),
    )
    .await
    .unwrap_err();
    assert!(
        fault
            .to_string()
            .starts_with(&format!("could not build shop:one on {}: ", daemons[0].name())),
        "{fault}"
    );
    assert!(fault.why.contains("non-zero code: 9"), "{fault}");
    assert!(told.lines().iter().any(|line| line == "here it comes"));
    nothing_left(&daemons[0]);
}

#[tokio::test]
async fn a_build_without_dockerfile_or_from_outside_or_with_a_bad_pattern_is_refused_before_anything_is_sent()
{
    let daemons = fleet::lease(1);
    let folder = context("FROM scratch\n");
    let outside = fleet::folder("outside");
    std::fs::write(outside.join("Dockerfile"), "FROM scratch\n").unwrap();
    symlink(outside.join("Dockerfile"), folder.join("Linked")).unwrap();
    let with = |dockerfile: &str| Build {
        dockerfile: dockerfile.into(),
        ..plan(&daemons[0], &folder)
    };
    let told = Told::default();
    let never = CancellationToken::new();
    let missing = built(&daemons[0], &with("None"), &told, &never)
        .await
        .unwrap_err();
    assert!(missing.to_string().contains("/None: no such file"), "{missing}");
    let linked = built(&daemons[0], &with("Linked"), &told, &never)
        .await
        .unwrap_err();
    assert!(linked.why.contains("out of the context"), "{linked}");
    std::fs::write(folder.join(".dockerignore"), "ok\n[\n").unwrap();
    let pattern = built(&daemons[0], &with("Dockerfile"), &told, &never)
        .await
        .unwrap_err();
    assert!(pattern.why.contains("line 2"), "{pattern}");
    let nowhere = plan(&daemons[0], Path::new("/nowhere/shop"));
    assert!(
        built(&daemons[0], &nowhere, &told, &never)
            .await
            .unwrap_err()
            .to_string()
            .contains("/nowhere/shop")
    );
}

#[tokio::test]
async fn a_cancelled_build_and_one_that_takes_too_long_leave_nothing() {
    let daemons = fleet::lease(1);
    let folder = context(&format!("FROM {BUSYBOX}\nRUN echo sleeping now; sleep 1000\n"));
    let cancel = CancellationToken::new();
    let told = Told::cancelling_at("sleeping now", &cancel);
    let fault = built(&daemons[0], &plan(&daemons[0], &folder), &told, &cancel)
        .await
        .unwrap_err();
    assert_eq!(fault.why, "it was cancelled");
    nothing_left(&daemons[0]);
    let hasty = Build {
        timeout: Duration::from_secs(2),
        ..plan(&daemons[0], &folder)
    };
    let fault = built(&daemons[0], &hasty, &Told::default(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(fault.why.contains("longer than 2 s"), "{fault}");
    nothing_left(&daemons[0]);
}

#[tokio::test]
async fn a_build_cancelled_while_its_context_goes_out_ends_at_once() {
    let daemons = fleet::lease(1);
    let folder = context(&format!("FROM {BUSYBOX}\nCOPY . /\n"));
    let big = std::fs::File::create(folder.join("big")).unwrap();
    big.set_len(8 << 30).unwrap();
    let cancel = CancellationToken::new();
    let told = Told::cancelling_at("sending the context", &cancel);
    let began = std::time::Instant::now();
    let fault = built(&daemons[0], &plan(&daemons[0], &folder), &told, &cancel)
        .await
        .unwrap_err();
    assert_eq!(fault.why, "it was cancelled");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    nothing_left(&daemons[0]);
}

/// A tree in which every rule of the ignore file matters.
fn tricky(folder: &Path) {
    let files = [
        "node_modules/a/index.js",
        "app/node_modules/b/index.js",
        "app/main.rs",
        "app/notes.md",
        "README.md",
        "CHANGES.md",
        "docs/keep/this.txt",
        "docs/keep/not.tmp",
        "docs/other.txt",
        "logs/a.log",
        "logs/deep/b.log",
        "c.log",
        "temp1",
        "tempab",
        "x1.txt",
        "xa.txt",
        "with space/file name",
        "#hash",
        "[brackets]",
        "build/cache/one",
        "build/keep.bin",
        ".git/HEAD",
        ".hidden",
        "vendor/lib/a.c",
        "vendor/lib/a.h",
    ];
    for file in files {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, file).unwrap();
    }
    std::fs::create_dir(folder.join("empty")).unwrap();
    symlink("nowhere", folder.join("dangling")).unwrap();
    symlink("../app", folder.join("docs/link")).unwrap();
    std::fs::set_permissions(folder.join("xa.txt"), std::fs::Permissions::from_mode(0o750)).unwrap();
    std::fs::write(
        folder.join(".dockerignore"),
        "# a comment\n\nnode_modules\n*.md\n!README.md\n**/*.log\n temp? \nx[0-9].txt\n/with space\ndocs\n!docs/keep\ndocs/keep/*.tmp\n\\[brackets\\]\nbuild/**\n!build/keep.bin\n.git\nvendor/*/*.h\nDockerfile\n.dockerignore\n./app//notes.md\n",
    )
    .unwrap();
}

const SHOW: &str =
    "RUN cd /ctx && find . -exec ls -ld {} + | awk '{print \"ENTRY\", $1, $3, $9, $10, $11, $12}'";

fn entries(lines: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut entries: Vec<String> = lines
        .into_iter()
        .filter(|line| line.starts_with("ENTRY"))
        .collect();
    entries.sort();
    entries
}

#[tokio::test]
async fn the_context_is_what_dockers_own_command_sends() {
    let daemons = fleet::lease(1);
    let folder = context(&format!("FROM {BUSYBOX}\nCOPY . /ctx\n{SHOW}\n"));
    tricky(&folder);
    let told = Told::default();
    built(
        &daemons[0],
        &plan(&daemons[0], &folder),
        &told,
        &CancellationToken::new(),
    )
    .await
    .unwrap();
    let ours = entries(told.lines());
    let theirs = Command::new("docker")
        .env("DOCKER_BUILDKIT", "0")
        .arg("-H")
        .arg(format!("unix://{}", daemons[0].socket().display()))
        .args(["build", "--no-cache"])
        .arg(&folder)
        .output()
        .unwrap();
    let theirs = entries(String::from_utf8_lossy(&theirs.stdout).lines().map(str::to_owned));
    assert!(
        ours.len() > 15 && ours.iter().any(|entry| entry.contains("-rwxr-x---")),
        "{ours:#?}"
    );
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn what_cannot_be_copied_is_skipped_and_said_and_a_dockerfile_may_have_its_own_ignore_file() {
    let daemons = fleet::lease(1);
    let folder = context("");
    std::fs::write(
        folder.join("Other"),
        format!("FROM {BUSYBOX}\nCOPY . /ctx\n{SHOW}\n"),
    )
    .unwrap();
    std::fs::write(folder.join("Other.dockerignore"), "secret\n").unwrap();
    std::fs::write(folder.join(".dockerignore"), "wanted\n").unwrap();
    std::fs::write(folder.join("secret"), "").unwrap();
    std::fs::write(folder.join("wanted"), "").unwrap();
    let made = Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap();
    assert!(
        made.success()
            && std::fs::metadata(folder.join("pipe"))
                .unwrap()
                .file_type()
                .is_fifo()
    );
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    let told = Told::default();
    let plan = Build {
        dockerfile: "Other".into(),
        ..plan(&daemons[0], &folder)
    };
    built(&daemons[0], &plan, &told, &CancellationToken::new())
        .await
        .unwrap();
    let lines = told.lines();
    assert!(lines.contains(&"not sent: pipe (a pipe)".to_owned()), "{lines:?}");
    assert!(
        lines.contains(&"not sent: socket (a socket)".to_owned()),
        "{lines:?}"
    );
    let entries = entries(lines).join("\n");
    assert!(
        entries.contains("wanted") && !entries.contains("secret"),
        "{entries}"
    );
}

#[tokio::test]
async fn a_tag_knows_its_revision_and_says_when_the_tree_is_dirty() {
    let folder = context("FROM scratch\n");
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C"])
            .arg(&folder)
            .args(arguments)
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
        String::from_utf8_lossy(&status.stdout).trim().to_owned()
    };
    let shop = ServiceName::parse("shop").unwrap();
    let daemons = fleet::lease(1);
    let plan = Build {
        tag: "{git.branch}-{git.short}-{run.number}".to_owned(),
        ..plan(&daemons[0], &folder)
    };
    let without = build::name(&plan, &shop, 7, Stamp::from_seconds(0))
        .await
        .unwrap_err();
    assert!(without.why.contains("not a git repository"), "{without}");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    let clean = build::name(&plan, &shop, 7, Stamp::from_seconds(0))
        .await
        .unwrap();
    let full = git(&["rev-parse", "HEAD"]);
    assert_eq!(
        clean.tag,
        format!("main-{}-7", git(&["rev-parse", "--short", "HEAD"]))
    );
    assert_eq!(
        (clean.labels["pilothouse.git"].as_str(), clean.notes.len()),
        (full.as_str(), 0)
    );
    std::fs::write(folder.join("more"), "").unwrap();
    let dirty = build::name(&plan, &shop, 7, Stamp::from_seconds(0))
        .await
        .unwrap();
    assert_eq!(dirty.labels["pilothouse.git"], format!("{full}-dirty"));
    assert_eq!(dirty.notes.len(), 1);
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
        ..check("hungry", "x=a; while :; do x=$x$x; done")
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
    assert!(fault.why.contains("source broke off"), "{fault}");
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
    let id = build::build(&there, &plan, &tags, &BTreeMap::new(), &mut told.clone(), &never)
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

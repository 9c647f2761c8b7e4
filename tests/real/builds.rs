//! Building images on real daemons, with `BuildKit` and with the classic builder; leftovers are searched on the daemon itself.

use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pilothouse::config::service::{Build, Builder, Secret};
use pilothouse::domain::ids::ServiceName;
use pilothouse::domain::units::Stamp;
use pilothouse::runs::step::build;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::steps::{SECRET, Told, built, context, nothing_left, plan};
use crate::support::daemon::{Daemon, processes};
use crate::support::fleet;
use crate::support::image::BUSYBOX;
use crate::support::wait::until;

const BOTH: [Builder; 2] = [Builder::Classic, Builder::BuildKit];

/// Is this among the lines, under a step's number or without one?
fn said(told: &Told, wanted: &str) -> bool {
    told.lines().iter().any(|line| bare(line) == wanted)
}

/// A line without the number of its step.
fn bare(line: &str) -> &str {
    match line.split_once(' ') {
        Some((number, rest)) if number.starts_with('#') => rest,
        _ => line,
    }
}

#[tokio::test]
async fn an_image_is_built_with_its_tags_labels_arguments_and_target() {
    for builder in BOTH {
        let daemons = fleet::lease(1);
        let folder = context(&format!(
            "FROM {BUSYBOX} AS first\nARG VERSION\nRUN echo version $VERSION\nRUN echo wrong >&2\nFROM first AS second\nRUN exit 9\n"
        ));
        let mut plan = plan(&daemons[0], &folder);
        plan.builder = builder;
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
            said(&told, "version 17") && told.lines().iter().any(|line| line.ends_with("wrong")),
            "{:?}",
            told.lines()
        );
        let text = match builder {
            Builder::BuildKit => "2/3] RUN echo version ",
            Builder::Classic | Builder::Auto => ": RUN echo version $VERSION",
        };
        assert!(
            told.texts().iter().any(|told| told.contains(text)),
            "{:?}",
            told.texts()
        );
        assert_eq!(
            daemons[0].ask("GET", "/containers/json?all=1", &Value::Null),
            json!([])
        );
    }
}

#[tokio::test]
async fn buildkit_is_taken_where_the_daemon_has_it_and_a_cached_step_is_said_to_be_cached() {
    let daemons = fleet::lease(1);
    let mark = format!("mark {}", std::process::id());
    let folder = context(&format!("FROM {BUSYBOX}\nCOPY . /ctx\nRUN echo {mark}\n"));
    let plan = plan(&daemons[0], &folder);
    let (first, second) = (Told::default(), Told::default());
    let never = CancellationToken::new();
    let one = built(&daemons[0], &plan, &first, &never).await.unwrap();
    let two = built(&daemons[0], &plan, &second, &never).await.unwrap();
    assert_eq!(one, two);
    assert!(
        said(&first, &format!("[3/3] RUN echo {mark}")),
        "{:?}",
        first.lines()
    );
    assert!(
        said(&first, &mark) && !said(&second, &mark),
        "{:?}",
        second.lines()
    );
    assert!(
        said(&second, "CACHED") && !said(&first, "CACHED"),
        "{:?}",
        second.lines()
    );
    // What changed is seen, although nothing else is sent again.
    std::fs::write(folder.join("more"), "").unwrap();
    let third = Told::default();
    assert_ne!(built(&daemons[0], &plan, &third, &never).await.unwrap(), one);
}

#[tokio::test]
async fn a_daemon_that_is_set_to_the_classic_builder_builds_with_it() {
    let daemons = fleet::lease(1);
    daemons[0].stop();
    daemons[0].start_with_settings(&json!({ "features": { "buildkit": false } }));
    let folder = context(&format!("FROM {BUSYBOX}\nRUN echo hello\n"));
    let mut plan = plan(&daemons[0], &folder);
    let told = Told::default();
    let never = CancellationToken::new();
    built(&daemons[0], &plan, &told, &never).await.unwrap();
    assert!(
        told.lines().iter().any(|line| line.starts_with("Step 1/")),
        "{:?}",
        told.lines()
    );
    // Secrets are not left to it.
    plan.secrets
        .insert("TOKEN".to_owned(), Secret::Env("X".to_owned()));
    let fault = built(&daemons[0], &plan, &told, &never).await.unwrap_err();
    assert!(fault.why.contains("`secrets` need BuildKit"), "{fault}");
}

#[tokio::test]
async fn a_failing_instruction_is_said_in_the_builders_words_and_leaves_nothing() {
    for builder in BOTH {
        let daemons = fleet::lease(1);
        let folder = context(&format!("FROM {BUSYBOX}\nRUN echo here it comes; exit 9\n"));
        let told = Told::default();
        let plan = Build {
            builder,
            ..plan(&daemons[0], &folder)
        };
        let fault = built(&daemons[0], &plan, &told, &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(
            fault
                .to_string()
                .starts_with(&format!("could not build shop:one on {}: ", daemons[0].name())),
            "{fault}"
        );
        assert!(fault.why.contains("code: 9"), "{fault}");
        assert!(said(&told, "here it comes"), "{:?}", told.lines());
        nothing_left(&daemons[0]);
    }
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
    assert!(linked.why.contains("outside the context"), "{linked}");
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
    for builder in BOTH {
        let daemons = fleet::lease(1);
        // What it prints is not what it is called.
        let folder = context(&format!("FROM {BUSYBOX}\nRUN echo slee''ping now; sleep 1000\n"));
        let cancel = CancellationToken::new();
        let told = Told::cancelling_at("sleeping now", &cancel);
        let patient = Build {
            builder,
            ..plan(&daemons[0], &folder)
        };
        let fault = built(&daemons[0], &patient, &told, &cancel).await.unwrap_err();
        assert_eq!(fault.why, "it was cancelled");
        nothing_left(&daemons[0]);
        let hasty = Build {
            timeout: Duration::from_secs(2),
            ..patient
        };
        let fault = built(&daemons[0], &hasty, &Told::default(), &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(fault.why.contains("longer than 2 s"), "{fault}");
        nothing_left(&daemons[0]);
        nothing_runs_with("sleep 1000", &daemons[0]);
    }
}

/// No process of the daemon's containers has this on its command line.
fn nothing_runs_with(command: &str, daemon: &Daemon) {
    let words: Vec<&str> = command.split(' ').collect();
    let line = format!("{}\0", words.join("\0"));
    let space = namespace(daemon.pid());
    until(Duration::from_secs(20), format!("no `{command}` runs"), || {
        let runs = processes().any(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|found| found == line.as_bytes())
                && namespace(pid) == space
        });
        (!runs).then_some(())
    });
}

/// What a daemon and its builds share: the host name.
fn namespace(pid: u32) -> String {
    std::fs::read_link(format!("/proc/{pid}/ns/net"))
        .map(|link| link.display().to_string())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_build_cancelled_while_its_context_goes_out_ends_at_once() {
    for builder in BOTH {
        let daemons = fleet::lease(1);
        let folder = context(&format!("FROM {BUSYBOX}\nCOPY . /\n"));
        let big = std::fs::File::create(folder.join("big")).unwrap();
        big.set_len(8 << 30).unwrap();
        let cancel = CancellationToken::new();
        let told = Told::cancelling_at("sending the context", &cancel);
        let plan = Build {
            builder,
            ..plan(&daemons[0], &folder)
        };
        let began = std::time::Instant::now();
        let fault = built(&daemons[0], &plan, &told, &cancel).await.unwrap_err();
        assert_eq!(fault.why, "it was cancelled");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        nothing_left(&daemons[0]);
    }
}

#[tokio::test]
async fn tens_of_thousands_of_files_behind_a_large_one_arrive() {
    for builder in BOTH {
        let daemons = fleet::lease(1);
        let folder = context(&format!(
            "FROM {BUSYBOX}\nCOPY . /ctx\nRUN find /ctx -type f | wc -l && stat -c %s /ctx/0\n"
        ));
        // What is wanted of the others is said while this one goes out.
        let large = std::fs::File::create(folder.join("0")).unwrap();
        large.set_len(64 << 20).unwrap();
        for number in 0..20_000 {
            let inside = folder.join(format!("d{}", number % 40));
            if number < 40 {
                std::fs::create_dir(&inside).unwrap();
            }
            std::fs::write(inside.join(number.to_string()), number.to_string()).unwrap();
        }
        let plan = Build {
            builder,
            ..plan(&daemons[0], &folder)
        };
        let told = Told::default();
        built(&daemons[0], &plan, &told, &CancellationToken::new())
            .await
            .unwrap_or_else(|fault| panic!("{builder:?}: {fault}\n{:?}", told.lines().last()));
        let lines = told.lines();
        assert!(
            lines.iter().any(|line| line.contains("20002")),
            "{builder:?}: {lines:?}"
        );
        assert!(
            lines.iter().any(|line| line.contains("67108864")),
            "{builder:?}: {lines:?}"
        );
    }
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
        .filter_map(|line| {
            line.find("ENTRY ")
                .and_then(|at| line.get(at..).map(str::to_owned))
        })
        .filter(|line| !line.contains("$1"))
        .collect();
    entries.sort();
    entries
}

#[tokio::test]
async fn the_context_is_what_dockers_own_command_sends() {
    for builder in BOTH {
        let daemons = fleet::lease(1);
        let folder = context(&format!("FROM {BUSYBOX}\nCOPY . /ctx\n{SHOW}\n"));
        tricky(&folder);
        let told = Told::default();
        let plan = Build {
            builder,
            ..plan(&daemons[0], &folder)
        };
        built(&daemons[0], &plan, &told, &CancellationToken::new())
            .await
            .unwrap();
        let ours = entries(told.lines());
        // Debian's own command builds with BuildKit without a plug-in.
        let theirs = Command::new("/usr/bin/docker")
            .env(
                "DOCKER_BUILDKIT",
                if builder == Builder::BuildKit { "1" } else { "0" },
            )
            .arg("-H")
            .arg(format!("unix://{}", daemons[0].socket().display()))
            .args(["build", "--no-cache"])
            .args((builder == Builder::BuildKit).then_some("--progress=plain"))
            .arg(&folder)
            .output()
            .unwrap();
        let theirs = [theirs.stdout, theirs.stderr].concat();
        let theirs = entries(String::from_utf8_lossy(&theirs).lines().map(str::to_owned));
        assert!(
            ours.len() > 15 && ours.iter().any(|entry| entry.contains("-rwxr-x---")),
            "{ours:#?}"
        );
        assert_eq!(ours, theirs);
    }
}

#[tokio::test]
async fn what_cannot_be_copied_is_skipped_and_said_and_a_dockerfile_may_have_its_own_ignore_file() {
    let daemons = fleet::lease(1);
    for builder in BOTH {
        skipping(&daemons[0], builder).await;
    }
}

async fn skipping(daemon: &Daemon, builder: Builder) {
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
        builder,
        ..plan(daemon, &folder)
    };
    built(daemon, &plan, &told, &CancellationToken::new())
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
        tags: vec!["{git.branch}-{git.short}-{run.number}".to_owned()],
        ..plan(&daemons[0], &folder)
    };
    let without = build::name(&plan, &shop, NAMING).await.unwrap_err();
    assert!(without.why.contains("not a git repository"), "{without}");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    let clean = build::name(&plan, &shop, NAMING).await.unwrap();
    let full = git(&["rev-parse", "HEAD"]);
    assert_eq!(
        clean.tags,
        [format!("main-{}-7", git(&["rev-parse", "--short", "HEAD"]))]
    );
    assert_eq!(
        (clean.labels["pilothouse.git"].as_str(), clean.notes.len()),
        (full.as_str(), 0)
    );
    std::fs::write(folder.join("more"), "").unwrap();
    let dirty = build::name(&plan, &shop, NAMING).await.unwrap();
    assert_eq!(dirty.labels["pilothouse.git"], format!("{full}-dirty"));
    assert_eq!(dirty.notes.len(), 1);
}

#[tokio::test]
async fn a_revision_is_built_exactly_and_recorded_whatever_the_work_tree_holds() {
    let daemons = fleet::lease(1);
    let folder = context(&format!(
        "FROM {BUSYBOX}\nCOPY . /ctx\nRUN cat /ctx/which\n{SHOW}\n"
    ));
    std::fs::write(folder.join("which"), "committed").unwrap();
    std::fs::write(folder.join(".dockerignore"), "ignored\n").unwrap();
    std::fs::write(folder.join("ignored"), "").unwrap();
    let git = |arguments: &[&str]| git(&folder, arguments);
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["tag", "v1"]);
    let full = git(&["rev-parse", "HEAD"]);
    git(&["update-ref", "refs/remotes/origin/release/1", "HEAD"]);
    std::fs::write(folder.join("which"), "changed").unwrap();
    std::fs::write(folder.join("new"), "").unwrap();
    std::fs::remove_file(folder.join(".dockerignore")).unwrap();
    for builder in BOTH {
        let named = Build {
            builder,
            git: Some("v1".to_owned()),
            tags: vec!["{git.short}".to_owned(), "of-{git.branch}".to_owned()],
            ..plan(&daemons[0], &folder)
        };
        let shop = ServiceName::parse("shop").unwrap();
        // A tag is no branch.
        let fault = build::name(&named, &shop, NAMING).await.unwrap_err();
        assert!(fault.why.contains("on a branch"), "{fault}");
        let of_remote = Build {
            git: Some("origin/release/1".to_owned()),
            ..named.clone()
        };
        let name = build::name(&of_remote, &shop, NAMING).await.unwrap();
        assert_eq!(name.tags[1], "of-release-1");
        let named = Build {
            git: Some("main".to_owned()),
            ..named
        };
        let name = build::name(&named, &shop, NAMING).await.unwrap();
        assert_eq!(name.tags[1], "of-main");
        assert_eq!(name.labels["pilothouse.git"], full);
        assert!(
            name.notes[0].contains("is built without them"),
            "{:?}",
            name.notes
        );
        let exact = Build {
            git: Some(full.clone()),
            ..named
        };
        let told = Told::default();
        built(&daemons[0], &exact, &told, &CancellationToken::new())
            .await
            .unwrap();
        let lines = told.lines();
        assert!(lines.iter().any(|line| line.contains("committed")), "{lines:?}");
        let entries = entries(lines).join("\n");
        assert!(
            entries.contains("which") && !entries.contains("new") && !entries.contains("ignored"),
            "{entries}"
        );
    }
    let nowhere = Build {
        git: Some("v2".to_owned()),
        ..plan(&daemons[0], &folder)
    };
    let shop = ServiceName::parse("shop").unwrap();
    let fault = build::name(&nowhere, &shop, NAMING).await.unwrap_err();
    assert!(fault.why.contains("no commit called v2"), "{fault}");
}

const NAMING: build::Naming<'_> = build::Naming {
    branch: None,
    run_number: 7,
    now: Stamp(0),
};

fn git(folder: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C"])
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_secret_reaches_the_instruction_that_mounts_it_and_stands_nowhere_in_the_image() {
    let daemons = fleet::lease(1);
    let folder = context(&format!(
        "FROM {BUSYBOX}\nRUN --mount=type=secret,id=TOKEN,required=true wc -c < /run/secrets/TOKEN > /length\nRUN --mount=type=secret,id=OTHER test ! -e /run/secrets/OTHER\nRUN cat /length\n"
    ));
    let mut plan = plan(&daemons[0], &folder);
    plan.secrets
        .insert("TOKEN".to_owned(), Secret::Env("TOKEN".to_owned()));
    let told = Told::default();
    let id = built(&daemons[0], &plan, &told, &CancellationToken::new())
        .await
        .unwrap();
    assert!(said(&told, &SECRET.len().to_string()), "{:?}", told.lines());
    let whole = daemons[0].try_ask("GET", &format!("/images/{}/get", id.as_str()), &Value::Null);
    let history = daemons[0].ask("GET", &format!("/images/{}/history", id.as_str()), &Value::Null);
    let image = daemons[0].ask("GET", &format!("/images/{}/json", id.as_str()), &Value::Null);
    for bytes in [
        whole.body.as_slice(),
        history.to_string().as_bytes(),
        image.to_string().as_bytes(),
        told.lines().join("\n").as_bytes(),
    ] {
        assert!(bytes.len() > 100, "there is something to search");
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    }
    // One that is not configured is missed by name.
    std::fs::write(
        folder.join("Dockerfile"),
        format!("FROM {BUSYBOX}\nRUN --mount=type=secret,id=NONE,required=true true\n"),
    )
    .unwrap();
    let fault = built(&daemons[0], &plan, &Told::default(), &CancellationToken::new())
        .await
        .unwrap_err();
    assert!(fault.why.contains("NONE"), "{fault}");
}

#[tokio::test]
async fn what_a_dockerfile_asks_for_in_vain_is_said_with_what_helps() {
    let daemons = fleet::lease(1);
    let never = CancellationToken::new();
    let mounting = context(&format!(
        "FROM {BUSYBOX}\nRUN --mount=type=cache,target=/c true\n"
    ));
    let classic = Build {
        builder: Builder::Classic,
        ..plan(&daemons[0], &mounting)
    };
    let fault = built(&daemons[0], &classic, &Told::default(), &never)
        .await
        .unwrap_err();
    assert!(fault.why.contains("--mount"), "{fault}");
    assert!(fault.hint.unwrap().contains("this is the classic builder"));
    built(
        &daemons[0],
        &plan(&daemons[0], &mounting),
        &Told::default(),
        &never,
    )
    .await
    .unwrap();

    for builder in BOTH {
        let folder = context(&format!("FROM {BUSYBOX} AS one\n"));
        let unknown = Build {
            builder,
            target: Some("two".to_owned()),
            ..plan(&daemons[0], &folder)
        };
        let fault = built(&daemons[0], &unknown, &Told::default(), &never)
            .await
            .unwrap_err();
        assert_eq!(
            fault.hint.as_deref(),
            Some("the Dockerfile has no stage called two"),
            "{fault}"
        );
        let broken = context("FROM\n");
        let broken = Build {
            builder,
            ..plan(&daemons[0], &broken)
        };
        let fault = built(&daemons[0], &broken, &Told::default(), &never)
            .await
            .unwrap_err();
        assert!(fault.why.contains("FROM"), "{fault}");
    }

    let foreign = context(&format!("# syntax=registry.invalid/frontend:1\nFROM {BUSYBOX}\n"));
    let fault = built(
        &daemons[0],
        &plan(&daemons[0], &foreign),
        &Told::default(),
        &never,
    )
    .await
    .unwrap_err();
    assert!(
        fault
            .hint
            .as_deref()
            .is_some_and(|hint| hint.contains("# syntax=registry.invalid/frontend:1")),
        "{fault:?}"
    );
}

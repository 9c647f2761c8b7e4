//! Builds as runs of the built program: what is stored, what never is, and the effects of a full disk or a flood of output.
//! Searches everything that a run leaves on the machine and on the daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use pilothouse::config::service::{Build, Builder};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::steps::{Told, built, context, nothing_left, plan};
use crate::support::daemon::{Daemon, processes};
use crate::support::fleet::{self, Lease};
use crate::support::image::BUSYBOX;
use crate::support::program::{Program, Said, finish};
use crate::support::wait::until;

const SECRET: &str = "xyzzy-4711-plugh";

struct Shop {
    daemons: Lease,
    program: Program,
}

impl Shop {
    /// With these lines in `[services.build]`, and this Dockerfile behind its `FROM`.
    fn new(build: &str, dockerfile: &str) -> Self {
        let daemons = fleet::lease(1);
        let hosts = [daemons[0].host()];
        let program = Program::new(&hosts, "");
        fs::create_dir(program.dir().join("context")).unwrap();
        fs::write(
            program.dir().join("context/Dockerfile"),
            format!("FROM {BUSYBOX}\n{dockerfile}\n"),
        )
        .unwrap();
        let service = format!(
            "[[services]]\nname = \"shop\"\nimage = \"shop\"\n[services.build]\ncontext = \"context\"\n{build}\n"
        );
        program.configure(&hosts, &service);
        Self { daemons, program }
    }

    fn context(&self) -> PathBuf {
        self.program.dir().join("context")
    }

    fn state(&self) -> PathBuf {
        self.program.dir().join("state")
    }

    fn run(&self, arguments: &[&str]) -> Said {
        finish(self.program.command(arguments).env("SHOP_TOKEN", SECRET))
    }
}

fn read(path: &str) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// All files in a folder, at any depth.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_secret_stands_in_no_file_no_process_no_output_and_no_image() {
    let shop = Shop::new(
        "secrets = { TOKEN = { env = \"SHOP_TOKEN\" }, KEY = { file = \"key\" } }",
        "RUN --mount=type=secret,id=TOKEN --mount=type=secret,id=KEY cd /run/secrets; wc -c TOKEN KEY; cat TOKEN; sleep 4; cat KEY TOKEN >&2",
    );
    let key = "line-one-of-it\nline-two-of-it";
    fs::write(shop.program.dir().join("key"), format!("{key}\n")).unwrap();
    shop.run(&["build", "shop", "--detach"]).exits(0);
    // The run sleeps for seconds now; what anybody sees of it meanwhile:
    let runner = until(Duration::from_secs(10), "the run is there", || {
        shop.program.runner()
    });
    assert!(!holds(&read(&format!("/proc/{runner}/environ")), SECRET));
    for pid in processes() {
        assert!(
            !holds(&read(&format!("/proc/{pid}/cmdline")), SECRET),
            "process {pid}"
        );
    }
    let run = shop.run(&["runs", "--json"]).exits(0).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let followed = shop.run(&["follow", &run]).exits(0);
    let shown = shop.run(&["runs", &run]).exits(0);
    let kept: Vec<(String, Vec<u8>)> = files(&shop.state())
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    assert!(
        kept.iter().any(|(_, bytes)| holds(bytes, "••••••")),
        "the output that holds it is kept, without it: {kept:?}"
    );
    let daemon = &shop.daemons[0];
    let image = daemon
        .try_ask("GET", "/images/shop:last-build/get", &Value::Null)
        .body;
    let history = daemon
        .try_ask("GET", "/images/shop:last-build/history", &Value::Null)
        .body;
    let inspected = daemon
        .try_ask("GET", "/images/shop:last-build/json", &Value::Null)
        .body;
    assert!(holds(&history, "/run/secrets") && image.len() > 10_000);
    let mut searched = kept;
    searched.extend([
        ("image".to_owned(), image),
        ("history".to_owned(), history),
        ("inspect".to_owned(), inspected),
        ("followed".to_owned(), format!("{followed:?}").into_bytes()),
        ("shown".to_owned(), format!("{shown:?}").into_bytes()),
    ]);
    for (name, bytes) in searched {
        for secret in [SECRET, "line-one-of-it", "line-two-of-it"] {
            assert!(!holds(&bytes, secret), "{secret} stands in {name}");
        }
    }
}

#[test]
fn a_secret_that_does_not_resolve_ends_it_before_a_run_is_there() {
    let shop = Shop::new(
        "secrets = { TOKEN = { command = [\"sh\", \"-c\", \"echo hunter22; echo hunter22 >&2; exit 3\"] } }",
        "RUN --mount=type=secret,id=TOKEN true",
    );
    let said = shop.run(&["build", "shop"]);
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!(
        said.err.contains("TOKEN") && said.err.contains("exit"),
        "{said:?}"
    );
    assert!(!format!("{said:?}").contains("hunter22"), "{said:?}");
    assert_eq!(
        shop.run(&["runs", "--json"]).exits(0).json(),
        serde_json::json!([])
    );
    nothing_left(&shop.daemons[0]);
}

#[test]
fn a_revision_of_the_command_line_is_what_is_built_planned_and_recorded() {
    let shop = Shop::new("tag = \"{git.short}\"", "COPY which /which\nRUN cat /which");
    let git = |arguments: &[&str]| {
        let done = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-C"])
            .arg(shop.context())
            .args(arguments)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    fs::write(shop.context().join("which"), "the first\n").unwrap();
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["tag", "v1"]);
    let (full, short) = (
        git(&["rev-parse", "HEAD"]),
        git(&["rev-parse", "--short", "HEAD"]),
    );
    fs::write(shop.context().join("which"), "the second\n").unwrap();
    git(&["commit", "-q", "-a", "-m", "two"]);

    let planned = shop
        .run(&["build", "shop", "--revision", "v1", "--dry-run"])
        .exits(0);
    assert!(
        format!("{planned:?}").contains(&format!("as of {}", full.get(..12).unwrap())),
        "{planned:?}"
    );
    let done = shop.run(&["build", "shop", "--revision", "v1"]).exits(0);
    assert!(done.err.contains("the first"), "{done:?}");
    let image = shop.daemons[0].ask("GET", &format!("/images/shop:{short}/json"), &Value::Null);
    assert_eq!(image["Config"]["Labels"]["pilothouse.git"], full.as_str());
    let journals: Vec<PathBuf> = files(&shop.state())
        .into_iter()
        .filter(|path| path.ends_with("journal.ndjson"))
        .collect();
    assert!(journals.iter().any(|path| holds(&fs::read(path).unwrap(), &full)));

    let none = shop.run(&["build", "shop", "--revision", "v9"]);
    assert!(
        none.code != Some(0) && none.err.contains("no commit called v9"),
        "{none:?}"
    );
    let test = shop.run(&["test", "shop", "--revision", "v1"]);
    assert_ne!(test.code, Some(0), "{test:?}");
}

/// What a build of this Dockerfile came to.
struct Flood {
    /// Of the runner, in MiB.
    peak: f64,
    /// Bytes in the state folder.
    kept: u64,
    output: Vec<u8>,
    said: Said,
}

fn flood(builder: &str, dockerfile: &str, limit: Duration) -> Flood {
    let shop = Shop::new(&format!("builder = \"{builder}\""), dockerfile);
    shop.run(&["build", "shop", "--detach"]).exits(0);
    let peak = shop.program.peak(limit);
    let run = shop.run(&["runs", "--json"]).exits(0).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let said = shop.run(&["follow", &run]).exits(0);
    assert!(!said.err.contains('\u{1b}') && !said.out.contains('\u{1b}'));
    let kept = files(&shop.state());
    Flood {
        peak,
        kept: kept.iter().map(|path| fs::metadata(path).unwrap().len()).sum(),
        output: kept
            .iter()
            .filter(|path| path.to_string_lossy().contains("output"))
            .flat_map(|path| fs::read(path).unwrap())
            .collect(),
        said,
    }
}

#[test]
fn a_flood_of_output_is_kept_in_bounds_and_what_was_skipped_is_said() {
    for builder in ["classic", "buildkit"] {
        let flood = flood(
            builder,
            "RUN printf '\\033[2J\\033]0;title\\007'; head -c 3000000 /dev/zero | tr '\\0' x; echo; seq 400000; echo the end",
            Duration::from_mins(2),
        );
        assert!(flood.peak < 64.0, "{builder}: {} MiB", flood.peak);
        assert!(flood.kept < 6 << 20, "{builder}: {}", flood.kept);
        let output = flood.output;
        match builder {
            // Docker's own bound, and its words.
            "buildkit" => assert!(holds(&output, "output clipped"), "{}", output.len()),
            _ => assert!(holds(&output, "skipped") && holds(&output, "the end")),
        }
    }
}

#[test]
fn five_million_lines_of_half_a_gigabyte_from_a_build_take_bounded_memory_and_disk() {
    let line = "x".repeat(99);
    let dockerfile = format!("RUN yes {line} | head -n 5000000; echo the end");
    for builder in ["classic", "buildkit"] {
        let begun = Instant::now();
        let flood = flood(builder, &dockerfile, Duration::from_mins(5));
        println!(
            "{builder}: {:.1} MiB at most, {} bytes kept, {:.1} s",
            flood.peak,
            flood.kept,
            begun.elapsed().as_secs_f64()
        );
        assert!(flood.peak < 64.0, "{builder}: {} MiB", flood.peak);
        assert!(flood.kept < 6 << 20, "{builder}: {}", flood.kept);
        match builder {
            "buildkit" => assert!(holds(&flood.output, "output clipped")),
            _ => assert!(
                flood.said.err.contains("lines skipped") && flood.said.err.contains("the end"),
                "{} bytes were said",
                flood.said.err.len()
            ),
        }
    }
}

/// A daemon whose data lie on a small file system of their own, until this is dropped.
struct Small {
    daemons: Lease,
    place: PathBuf,
}

impl Small {
    fn new(mebibytes: u32) -> Self {
        let daemons = fleet::lease(1);
        let place = fleet::folder("small");
        let image = place.with_extension("image");
        let (at, file) = (place.display(), image.display());
        // Where there are no loop devices, memory is as small.
        let line = format!(
            "truncate -s {mebibytes}M {file} && mkfs.ext4 -q -F {file} && mount -o loop {file} {at} \
             || {{ echo no loop device: a tmpfs is as small; mount -t tmpfs -o size={mebibytes}m tmpfs {at}; }}"
        );
        let mounted = daemons[0].inside("sh").args(["-c", &line]).output().unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
        println!("{}", String::from_utf8_lossy(&mounted.stdout));
        daemons[0].stop();
        daemons[0].start_with(&[&format!("--data-root={at}")]);
        daemons[0].load_busybox();
        Self { daemons, place }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        self.daemons[0].stop();
        let unmounted = self.daemons[0].inside("umount").arg(&self.place).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted until its namespace goes", self.place.display());
        }
    }
}

#[tokio::test]
async fn a_full_disk_on_the_builder_is_said_and_nothing_is_left_on_it() {
    let small = Small::new(220);
    let daemon: &Daemon = &small.daemons[0];
    let folder = context(&format!("FROM {BUSYBOX}\nCOPY . /\n"));
    fs::File::create(folder.join("big"))
        .unwrap()
        .set_len(400 << 20)
        .unwrap();
    for builder in [Builder::Classic, Builder::BuildKit] {
        let plan = Build {
            builder,
            ..plan(daemon, &folder)
        };
        let fault = built(daemon, &plan, &Told::default(), &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(fault.why.contains("no space left on device"), "{fault}");
        assert!(
            fault
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("disk of the build host is full")),
            "{fault:?}"
        );
        nothing_left(daemon);
    }
    // It is usable again as soon as BuildKit has given the space back, which it does by itself, later.
    fs::remove_file(folder.join("big")).unwrap();
    let full_until = Instant::now() + Duration::from_mins(1);
    let (plan, never) = (plan(daemon, &folder), CancellationToken::new());
    loop {
        match built(daemon, &plan, &Told::default(), &never).await {
            Ok(_) => break,
            Err(fault) => assert!(
                fault.why.contains("no space left") && Instant::now() < full_until,
                "{fault}"
            ),
        }
    }
}

#[test]
fn a_run_on_a_builder_whose_disk_is_full_says_so_and_puts_its_tags_back() {
    let small = Small::new(220);
    let daemon: &Daemon = &small.daemons[0];
    let hosts = [daemon.host()];
    let program = Program::new(&hosts, "");
    let context = program.dir().join("context");
    fs::create_dir(&context).unwrap();
    fs::write(
        context.join("Dockerfile"),
        format!("FROM {BUSYBOX}\nCOPY . /all\n"),
    )
    .unwrap();
    let service = "[[services]]\nname = \"shop\"\nimage = \"shop\"\n\
                   [services.build]\ncontext = \"context\"\ntag = \"v1\"\nbuilder = \"classic\"\n";
    program.configure(&hosts, service);
    program.run(&["build", "shop"]).exits(0);
    let named = |tag: &str| {
        let image = daemon.ask("GET", &format!("/images/shop:{tag}/json"), &Value::Null);
        image["Id"].as_str().unwrap().to_owned()
    };
    let (first, last) = (named("v1"), named("last-build"));
    fs::File::create(context.join("big"))
        .unwrap()
        .set_len(400 << 20)
        .unwrap();
    let said = program.run(&["build", "shop", "--json"]).exits(1);
    let view = said.json();
    let status = view["status"].clone();
    assert_eq!(status["result"], "reverted", "{view:#}");
    assert!(
        status["why"]
            .as_str()
            .unwrap()
            .contains("no space left on device"),
        "{view:#}"
    );
    assert_eq!((named("v1"), named("last-build")), (first, last));
    let containers = daemon.ask("GET", "/containers/json?all=1", &Value::Null);
    assert_eq!(containers, Value::Array(Vec::new()));
}

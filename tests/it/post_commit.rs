//! The README's line for a post-commit hook, in a real git repository, with real commits, against a simulated engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pilothouse::domain::ids::RunId;
use pilothouse::sim::{BOX_IMAGE, Fleet, Scenario};
use tokio_util::sync::CancellationToken;

const README: &str = include_str!("../../README.md");

/// The line as it stands there.
fn documented() -> &'static str {
    README
        .lines()
        .find(|line| line.contains(".git/hooks/post-commit"))
        .unwrap()
}

struct Desk {
    home: tempfile::TempDir,
    stop: CancellationToken,
    fleet: Option<std::thread::JoinHandle<()>>,
}

impl Desk {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let (stopped, sockets) = (stop.clone(), home.path().join("sockets"));
        std::fs::create_dir(&sockets).unwrap();
        let (tell, ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let fleet = Fleet::start(Scenario::empty(1), &sockets).unwrap();
                tell.send(()).unwrap();
                stopped.cancelled().await;
                fleet.stop().await;
            });
        });
        ready.recv().unwrap();
        let desk = Self {
            home,
            stop,
            fleet: Some(thread),
        };
        let config = desk.path(".config/pilothouse");
        std::fs::create_dir_all(&config).unwrap();
        let text = format!(
            "[[hosts]]\nname = \"host-1\"\nurl = \"unix://{0}/sockets/host-1.sock\"\n[[services]]\nname = \"shop\"\nimage = \"shop\"\n\
             [services.build]\ncontext = \"{0}/repository/app\"\ntag = \"{{git.short}}\"\n\
             [[services.tests]]\nname = \"unit\"\ncommand = [\"true\"]\n",
            desk.home.path().display()
        );
        std::fs::write(config.join("config.toml"), text).unwrap();
        let bin = desk.path("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pilothouse"), bin.join("pilothouse")).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, folder: &Path, argv: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        let output = Command::new(argv[0])
            .args(&argv[1..])
            .current_dir(folder)
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("LANG", "C.UTF-8")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{argv:?}: {output:?}");
        output
    }

    fn git(&self, folder: &Path, arguments: &[&str]) -> String {
        let mut argv = vec!["git", "-c", "user.name=Ann", "-c", "user.email=ann@acme.test"];
        argv.extend(arguments);
        let output = self.command(folder, &argv);
        [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat()
    }

    /// The run that a commit says it has started, followed to its end: it is of exactly this commit.
    fn follow(&self, folder: &Path, said: &str) {
        let run = run_of(said);
        self.command(folder, &["pilothouse", "follow", run.as_str()]);
        let output = self.command(folder, &["pilothouse", "runs", run.as_str(), "--json"]);
        let view: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let short = self.git(folder, &["rev-parse", "--short", "HEAD"]);
        let image = view[0]["image"].as_str().unwrap();
        let expected = format!("shop:{} ", short.trim());
        assert!(
            image.starts_with(&expected),
            "{image:?} is not {expected:?}: {view}"
        );
    }
}

/// The one that a commit says it has started.
fn run_of(said: &str) -> RunId {
    let run = said.lines().find_map(|line| RunId::parse(line.trim()).ok());
    run.unwrap_or_else(|| panic!("no run in {said:?}"))
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(fleet) = self.fleet.take() {
            fleet.join().unwrap();
        }
    }
}

#[test]
fn every_commit_starts_the_pipeline_by_the_documented_line() {
    let desk = Desk::new();
    let repository = desk.path("repository");
    std::fs::create_dir_all(repository.join("app")).unwrap();
    std::fs::write(
        repository.join("app/Dockerfile"),
        format!("FROM {BOX_IMAGE}\nRUN echo one\n"),
    )
    .unwrap();
    desk.git(&repository, &["init", "-q", "-b", "main"]);
    desk.command(&repository, &["sh", "-c", documented()]);
    desk.git(&repository, &["add", "."]);
    desk.follow(
        &repository,
        &desk.git(&repository, &["commit", "-q", "-m", "The first"]),
    );
    // Of one file: git gives its hooks an index of their own for it.
    std::fs::write(
        repository.join("app/Dockerfile"),
        format!("FROM {BOX_IMAGE}\nRUN echo two\n"),
    )
    .unwrap();
    let said = desk.git(
        &repository,
        &["commit", "-q", "-m", "The second", "--", "app/Dockerfile"],
    );
    desk.follow(&repository, &said);
    // From a second work tree git gives its hooks the repository's folder; what is built is still what is configured.
    let second = desk.path("second");
    let place = second.to_str().unwrap();
    desk.git(&repository, &["worktree", "add", "-q", "-b", "other", place]);
    std::fs::write(second.join("note"), "a note\n").unwrap();
    desk.git(&second, &["add", "."]);
    let said = desk.git(&second, &["commit", "-q", "-m", "A note"]);
    desk.follow(&repository, &said);
    // One after the other, faster than a pipeline: none of them is lost.
    let commits = ["three", "four", "five"].map(|text| {
        std::fs::write(repository.join("note"), text).unwrap();
        desk.git(&repository, &["add", "."]);
        desk.git(&repository, &["commit", "-q", "-m", text])
    });
    for said in commits {
        let run = run_of(&said);
        desk.command(&repository, &["pilothouse", "follow", run.as_str()]);
    }
}

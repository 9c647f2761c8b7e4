//! Several people and programs with one state folder: real processes of the built program on a simulated fleet.
//! Their commands are typed as a person or a hook would.

mod ending;
mod headless;
mod history;
mod places;
mod protected;
mod standing;
mod dependants;
mod queue;
mod unreadable;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pilothouse::config::{Config, Request, load};
use pilothouse::domain::ids::RunId;
use pilothouse::domain::run::RunView;
use pilothouse::release::record::Record;
use pilothouse::runs::{self, State};
use pilothouse::sim::{Fleet, Scenario};
use tokio::process::Command;

/// What any one command may take.
const LIMIT: Duration = Duration::from_mins(2);

struct Desk {
    folder: tempfile::TempDir,
    fleet: Fleet,
}

/// How a command ended and what it said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }
}

impl Desk {
    /// `more` TOML follows the hosts; `{dir}` in it is the desk's folder.
    fn new(hosts: usize, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fleet = Fleet::start(Scenario::empty(hosts), folder.path()).unwrap();
        let desk = Self { folder, fleet };
        desk.configure(more);
        desk
    }

    fn configure(&self, more: &str) {
        let hosts: Vec<String> = self
            .fleet
            .config()
            .hosts
            .iter()
            .map(|host| {
                format!(
                    "[[hosts]]\nname = \"{}\"\nurl = \"{}\"\n",
                    host.name, host.endpoint
                )
            })
            .collect();
        let dir = self.dir().display().to_string();
        let text = format!("{}\n{}", hosts.join("\n"), more.replace("{dir}", &dir));
        std::fs::write(self.config_file(), text).unwrap();
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    fn config_file(&self) -> PathBuf {
        self.dir().join("config.toml")
    }

    fn config(&self) -> Config {
        let request = Request {
            explicit: Some(self.config_file()),
            env: &|_| None,
        };
        load(&request).unwrap_or_else(|faults| panic!("{faults:?}"))
    }

    fn state(&self) -> State {
        let home = self.dir().display().to_string();
        State::open(&self.config().state, &|name| {
            (name == "HOME").then(|| home.clone())
        })
        .unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command
            .arg("--config")
            .arg(self.config_file())
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.dir())
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        finish(self.command(arguments)).await
    }

    /// Starts it and gives its id.
    async fn begin(&self, arguments: &[&str]) -> RunId {
        let said = self.run(&[arguments, &["--detach"]].concat()).await.exits(0);
        RunId::parse(said.out.trim()).unwrap()
    }

    fn view(&self, run: &RunId) -> Option<RunView> {
        runs::view(&self.state(), run).ok()
    }

    /// The run as soon as it is as wanted.
    async fn until(&self, run: &RunId, what: &str, wanted: impl Fn(&RunView) -> bool) -> RunView {
        let end = tokio::time::Instant::now() + LIMIT;
        loop {
            let seen = self.view(run);
            if let Some(view) = seen.as_ref().filter(|view| wanted(view)) {
                return view.clone();
            }
            assert!(tokio::time::Instant::now() < end, "in vain: {what}\n{seen:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its exit code.
    async fn ended(&self, run: &RunId) -> u8 {
        let state = self.state();
        let follow = runs::follow(&state, run, |_| {});
        tokio::time::timeout(LIMIT, follow)
            .await
            .unwrap_or_else(|_| panic!("it did not end: {:#?}", self.view(run)))
            .unwrap()
            .into()
    }

    fn records(&self, run: &RunId) -> Vec<Record> {
        runs::disk::journal::read(&self.state().dir(run)).unwrap()
    }

    /// The process that carries a run out is ended with -9.
    fn kill(&self, run: &RunId) {
        let wanted = format!("__run\0{}\0", self.state().dir(run).display());
        let pid = std::fs::read_dir("/proc").unwrap().find_map(|entry| {
            let path = entry.unwrap().path();
            let line = std::fs::read(path.join("cmdline")).ok()?;
            let pid = path.file_name()?.to_str()?.parse().ok()?;
            String::from_utf8_lossy(&line).ends_with(&wanted).then_some(pid)
        });
        let pid = rustix::process::Pid::from_raw(pid.expect("its process is there")).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

async fn finish(command: Command) -> Said {
    finish_within(command, LIMIT).await
}

async fn finish_within(mut command: Command, limit: Duration) -> Said {
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output())
        .await
        .unwrap_or_else(|_| panic!("{command:?} did not end"))
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said {
        code: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

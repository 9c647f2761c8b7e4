//! The built program, run like by a person: with its own configuration file, state folder and home.
//! Everything is in a folder of the fleet, so that leftover processes end with the tests.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use pilothouse::config::Host;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::daemon::processes;
use super::fleet;
use super::wait::until;

/// What a command may take that deploys to three hosts.
const LIMIT: Duration = Duration::from_mins(2);

pub(crate) struct Program {
    dir: PathBuf,
    /// Where it looks for other programs.
    path: OsString,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Its standard output as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

impl Program {
    /// With these hosts, and `more` TOML after them.
    pub(crate) fn new(hosts: &[Host], more: &str) -> Self {
        let program = Self {
            dir: fleet::folder("program"),
            path: std::env::var_os("PATH").unwrap_or_default(),
        };
        program.configure(hosts, more);
        program
    }

    /// What is in this folder is found before what is on the machine: the tests' ssh.
    pub(crate) fn finding(mut self, first: &Path) -> Self {
        let paths = std::env::split_paths(&self.path);
        self.path = std::env::join_paths(std::iter::once(first.to_owned()).chain(paths)).unwrap();
        self
    }

    /// What it is started with as `PATH`.
    pub(crate) fn path(&self) -> &OsStr {
        &self.path
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, hosts: &[Host], more: &str) {
        use std::fmt::Write;
        let mut text = String::new();
        for host in hosts {
            writeln!(
                text,
                "[[hosts]]\nname = \"{}\"\nurl = \"{}\"\nprotected = {}\n",
                host.name, host.endpoint, host.protected
            )
            .unwrap();
        }
        write!(text, "{more}\n[state]\ndir = \"{}/state\"\n", self.dir.display()).unwrap();
        fs::write(self.config(), text).unwrap();
    }

    /// Its folder: for build contexts and the like.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("config.toml")
    }

    /// The program with this command line, not started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        command
            .arg("--config")
            .arg(self.config())
            .args(arguments)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.dir)
            .env("USER", "tester")
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    /// The runner of its one run, as long as it is there.
    pub(crate) fn runner(&self) -> Option<u32> {
        runner_of(&self.state())
    }

    /// SIGKILL, until it is gone.
    pub(crate) fn kill_runner(&self) {
        kill_runner(&self.state());
    }

    fn state(&self) -> String {
        self.dir.join("state").display().to_string()
    }

    /// Waits for the end of its one run; the most memory that its runner held meanwhile, in MiB.
    pub(crate) fn peak(&self, limit: Duration) -> f64 {
        let mut peak = 0.0_f64;
        until(limit, "the run ends", || {
            let runner = self.runner();
            peak = peak.max(runner.map_or(0.0, resident));
            runner.is_none().then_some(())
        });
        peak
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        finish(&mut self.command(arguments))
    }
}

/// The most memory that a process held so far, in MiB.
fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0.0);
    kib / 1024.0
}

/// Runs any command to its end, with a limit.
pub(crate) fn finish(command: &mut Command) -> Said {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let pid = child.id();
    let waiting = std::thread::spawn(move || child.wait_with_output());
    until(LIMIT, format!("{command:?} (process {pid}) ends"), || {
        waiting.is_finished().then_some(())
    });
    let Output {
        status,
        stdout,
        stderr,
    } = waiting.join().unwrap().unwrap();
    Said {
        code: status.code(),
        out: String::from_utf8_lossy(&stdout).into_owned(),
        err: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// The runner that has this in its folder's path.
fn runner_of(path: &str) -> Option<u32> {
    processes().find(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("__run") && line.contains(path)
    })
}

/// SIGKILL to the runner that has this in its folder's path, until it is gone.
pub(crate) fn kill_runner(path: &str) {
    let pid = runner_of(path).expect("the run is a process of its own");
    let process = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
    until(Duration::from_secs(10), "the runner is gone", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // One of its threads may hold its lock for a moment longer.
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        (stat.is_empty() || (stat.contains(") Z ") && threads <= 1)).then_some(())
    });
}

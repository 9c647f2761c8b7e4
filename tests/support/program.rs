//! The built program, run as a person would: with a configuration file, a state folder and a home of its own.
//! Everything lies in a folder of the fleet, so that what it leaves running is ended with the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use pilothouse::config::Host;
use serde_json::Value;

use super::fleet;
use super::wait::until;

/// What a command may take that deploys to three hosts.
const LIMIT: Duration = Duration::from_mins(2);

pub(crate) struct Program {
    dir: PathBuf,
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
        };
        program.configure(hosts, more);
        program
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
        std::fs::write(self.config(), text).unwrap();
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
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.dir)
            .env("USER", "tester")
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        finish(&mut self.command(arguments))
    }
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

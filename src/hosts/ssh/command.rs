//! The ssh commands that are run, as argument lists; this process holds each of them.
//! Adds no option that trusts, forwards or asks more than the user's own configuration.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::folder::Folder;
use super::hold::{self, Terminal};
use crate::domain::endpoint::Ssh;
use crate::domain::fault::Fault;

/// Said to every connection that is made:
/// * reaching it has a limit (seconds), and a dead one is noticed within fifteen;
/// * what the user's configuration forwards, runs or shows for *their* sessions is not ours: their ports stay free;
/// * no agent, no X11, no local command. `LogLevel` only so that ssh says why when it ends.
const CONNECTION: [&str; 9] = [
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=2",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "LogLevel=INFO",
];

/// A lent connection that nobody uses ends after this many seconds; ours is used as long as we live.
const LENT_FOR: &str = "ControlPersist=20";

/// Who runs the commands for one host.
pub(super) struct Commands<'a> {
    folder: &'a Folder,
    ssh: &'a Ssh,
    program: std::path::PathBuf,
}

impl<'a> Commands<'a> {
    pub(super) fn new(folder: &'a Folder, ssh: &'a Ssh) -> Result<Self, Fault> {
        let program = hold::ssh().ok_or_else(|| {
            Fault::new("run ssh", "there is no ssh on the PATH")
                .hint("install OpenSSH's client (openssh-client)")
        })?;
        Ok(Self { folder, ssh, program })
    }

    /// A connection of our own, without a session: others go through its control socket.
    pub(super) fn connection(&self, control: &Path) -> Command {
        let mut command = self.begin(Terminal::Away);
        command.args(["-N", "-T", "-M", "-S"]).arg(control);
        command.args(["-o", "ControlPersist=no"]);
        Self::options(&mut command, &CONNECTION);
        self.destination(&mut command);
        command
    }

    /// The same made by a person at the terminal; it goes to the background once they are through.
    pub(super) fn lent(&self, control: &Path) -> Command {
        let mut command = self.begin_free(Terminal::Kept);
        command.args(["-f", "-N", "-M", "-S"]).arg(control);
        Self::options(&mut command, &[LENT_FOR]);
        Self::options(&mut command, &CONNECTION);
        self.destination(&mut command);
        command
    }

    /// The user's own control master, made where and for as long as their configuration says.
    pub(super) fn own_master(&self) -> Command {
        let mut command = self.begin_free(Terminal::Kept);
        command.args(["-f", "-N", "-M"]);
        self.destination(&mut command);
        command
    }

    /// Prints what the user's configuration makes of this host; connects nowhere.
    pub(super) fn settings(&self, of: Option<&str>) -> Command {
        let mut command = self.begin(Terminal::Away);
        command.arg("-G");
        match of {
            Some(jump) => {
                command.arg("--").arg(jump);
            }
            None => self.destination(&mut command),
        }
        command
    }

    /// Asks the connection behind a control socket whether it lives.
    pub(super) fn check(&self, control: &Path) -> Command {
        self.through(control, &["-O", "check"])
    }

    /// Makes `local` lead to the daemon's socket, listening in the connection itself.
    pub(super) fn forward(&self, control: &Path, local: &Path) -> Command {
        let mut command = self.begin(Terminal::Away);
        command
            .args(["-F", "/dev/null", "-S"])
            .arg(control)
            .args(["-O", "forward", "-L"]);
        command.arg(self.pair(local)).args(["--", "through"]);
        command
    }

    /// The same over a connection that is not ours: `local` listens in this command, and nothing stays behind in the connection.
    pub(super) fn forward_beside(&self, control: &Path, local: &Path) -> Command {
        let mut command = self.begin(Terminal::Away);
        command
            .args(["-F", "/dev/null", "-S"])
            .arg(control)
            .args(["-O", "proxy", "-N", "-T", "-L"]);
        command.arg(self.pair(local)).args(["--", "through"]);
        command
    }

    /// Ends a connection that was lent.
    pub(super) fn exit(&self, control: &Path) -> Command {
        self.through(control, &["-O", "exit"])
    }

    /// Runs `line` by the far side's `sh` in a session of the connection.
    /// Without the connection it fails at once: it never makes one of its own.
    pub(super) fn session(&self, control: &Path, line: &str) -> Option<Command> {
        let mut command = self.begin(Terminal::Away);
        command
            .args(["-F", "/dev/null", "-T", "-a", "-x", "-S"])
            .arg(control);
        Self::options(&mut command, &["BatchMode=yes", "ProxyCommand=false"]);
        command.args(["--", "through"]);
        command.arg(format!("exec sh -c {}", hold::quoted(line.as_ref())?));
        Some(command)
    }

    /// Over a known control socket the user's configuration has no say: nothing is connected to.
    fn through(&self, control: &Path, what: &[&str]) -> Command {
        let mut command = self.begin(Terminal::Away);
        command
            .args(["-F", "/dev/null", "-S"])
            .arg(control)
            .args(what)
            .args(["--", "through"]);
        command
    }

    fn pair(&self, local: &Path) -> OsString {
        let mut pair = local.as_os_str().to_owned();
        pair.push(":");
        pair.push(self.ssh.socket.as_os_str());
        pair
    }

    fn begin(&self, terminal: Terminal) -> Command {
        let mut command = self.begin_free(terminal);
        command.args(["-o", "BatchMode=yes"]);
        command
            .env("SSH_ASKPASS_REQUIRE", "never")
            .env_remove("SSH_ASKPASS");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Without the promise that nobody is asked.
    fn begin_free(&self, terminal: Terminal) -> Command {
        let mut command = hold::begin(terminal, &self.program);
        if let Some(path) = self.path_with_held() {
            command.env("PATH", path);
        }
        command
    }

    /// What ssh starts by the name of `ssh` (jump hosts, proxy commands) is held by that ssh.
    fn path_with_held(&self) -> Option<OsString> {
        let first = self.folder.held(&hold::script(&self.program)?)?;
        let path = std::env::var_os("PATH")?;
        std::env::join_paths(std::iter::once(first).chain(std::env::split_paths(&path))).ok()
    }

    fn options(command: &mut Command, options: &[&str]) {
        for option in options {
            command.args(["-o", option]);
        }
    }

    fn destination(&self, command: &mut Command) {
        if let Some(port) = self.ssh.port {
            command.arg("-p").arg(port.to_string());
        }
        if let Some(user) = &self.ssh.user {
            command.arg("-l").arg(user);
        }
        command.arg("--").arg(&self.ssh.host);
    }
}

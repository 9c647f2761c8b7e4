//! `pilothouse __ssh`: becomes ssh and ends with its parent, even if that is killed with SIGKILL.
//! Passes all of ssh's arguments on unchanged.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

/// As ssh itself ends when it could not connect.
const REFUSED: u8 = 255;

/// What the process that is held may do with the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Terminal {
    /// In a session of its own, without one: neither it nor what it starts can prompt into the screen.
    Away,
    /// As `Away`, for a program that is no ssh and keeps its own name.
    Session,
    /// The caller's: it was lent, or the process is started by one that has none.
    Kept,
}

impl Terminal {
    fn word(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Session => "session",
            Self::Kept => "kept",
        }
    }
}

/// The programs that take part, where they are not this one and the `ssh` on the `PATH`: for tests.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Has the hidden subcommand `__ssh`.
    pub pilothouse: PathBuf,
    pub ssh: PathBuf,
}

static TOOLS: OnceLock<Tools> = OnceLock::new();

/// Once a process, before the first tunnel; later calls change nothing.
pub fn use_tools(tools: Tools) {
    TOOLS.get_or_init(|| tools);
}

/// The user's ssh: the first on the `PATH`.
pub(super) fn ssh() -> Option<PathBuf> {
    if let Some(tools) = TOOLS.get() {
        return Some(tools.ssh.clone());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("ssh"))
        .find(|ssh| ssh.is_file() && rustix::fs::access(ssh, rustix::fs::Access::EXEC_OK).is_ok())
}

/// Runs `ssh` in place of this process: `PARENT away|kept SSH ARGUMENTS…`.
///
/// 1. It gets SIGTERM when the thread that started it ends, however that happens.
/// 2. It does not start if its parent was gone before that could be arranged.
pub fn hold(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let (Some(parent), Some(terminal), Some(ssh)) = (arguments.next(), arguments.next(), arguments.next())
    else {
        return say("this is started by pilothouse itself");
    };
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
    {
        return say(&format!("could not tie ssh to its parent: {error}"));
    }
    let is_there = rustix::process::getppid()
        .is_some_and(|now| parent.to_str() == Some(&now.as_raw_nonzero().to_string()));
    if !is_there {
        return ExitCode::from(REFUSED);
    }
    let is_ssh = terminal != Terminal::Session.word();
    if terminal != Terminal::Kept.word()
        && let Err(error) = rustix::process::setsid()
    {
        return say(&format!("could not leave the terminal: {error}"));
    }
    // Called `ssh` without a path, it calls its jump hosts' ssh by the `PATH`, too, and so through this again.
    let mut command = Command::new(&ssh);
    if is_ssh {
        command.arg0("ssh");
    }
    let error = command.args(arguments).exec();
    say(&format!("could not run {}: {error}", ssh.display()))
}

#[expect(
    clippy::print_stderr,
    reason = "its parent reads what it says as ssh's own words"
)]
fn say(what: &str) -> ExitCode {
    eprintln!("pilothouse __ssh: {what}");
    ExitCode::from(REFUSED)
}

/// The beginning of a command that runs `ssh` held by this process; ssh's arguments follow.
pub(super) fn begin(terminal: Terminal, ssh: &Path) -> Command {
    // Not its path: the binary may have been replaced by a newer one while this one runs.
    let program = TOOLS.get().map_or_else(running, |tools| tools.pilothouse.clone());
    let mut command = Command::new(program);
    command
        .arg("__ssh")
        .arg(std::process::id().to_string())
        .arg(terminal.word())
        .arg(ssh);
    command
}

/// A program that is no ssh, in a session of its own, held in the same way; its arguments follow.
#[must_use]
pub fn held(program: &Path) -> Command {
    begin(Terminal::Session, program)
}

/// What a jump host's or a proxy command's `ssh` is replaced by: the same ssh, held by the ssh that starts it.
pub(super) fn script(ssh: &Path) -> Option<String> {
    let program = match TOOLS.get() {
        Some(tools) => tools.pilothouse.clone(),
        None if cfg!(target_os = "linux") => PathBuf::from(format!("/proc/{}/exe", std::process::id())),
        None => running(),
    };
    Some(format!(
        "#!/bin/sh\nexec {} __ssh \"$PPID\" {} {} \"$@\"\n",
        quoted(program.as_os_str())?,
        Terminal::Kept.word(),
        quoted(ssh.as_os_str())?
    ))
}

fn running() -> PathBuf {
    if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap_or_else(|_| PathBuf::from("pilothouse"))
    }
}

/// One word of a POSIX shell; nothing in it is special.
pub(super) fn quoted(text: &OsStr) -> Option<String> {
    Some(format!("'{}'", text.to_str()?.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_the_shell_survives_quotes() {
        assert_eq!(quoted(OsStr::new("it's $x")).unwrap(), r"'it'\''s $x'");
    }

    #[test]
    fn a_proxys_ssh_is_the_same_ssh_held_by_its_own_parent() {
        let script = script(Path::new("/usr/bin/ssh")).unwrap();
        assert!(script.starts_with("#!/bin/sh\nexec '/"), "{script}");
        assert!(
            script.ends_with("__ssh \"$PPID\" kept '/usr/bin/ssh' \"$@\"\n"),
            "{script}"
        );
    }
}

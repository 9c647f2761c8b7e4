//! A command on the machine of the run: arguments without a shell; its output is the stage's.
//! It ends with the run's process: SIGTERM first, SIGKILL after a grace period, also for processes it started. If the
//! run's process was killed, the recovery ends them.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio_util::sync::CancellationToken;

use super::{Lines, Progress, cancelled, orphans};
use crate::domain::fault::Fault;

/// The time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// The limit for reading its last output.
const DRAIN: Duration = Duration::from_secs(2);

pub struct Asked<'a> {
    /// The stage's name.
    pub name: &'a str,
    pub argv: &'a [String],
    pub env: &'a BTreeMap<String, String>,
    pub folder: &'a Path,
    pub timeout: Duration,
    /// The run's folder: what is left of the command when the run's process is killed is found by it. `None`: nobody looks.
    pub dir: Option<&'a Path>,
    /// Its standard input; may be empty.
    pub input: &'a [u8],
}

/// Runs the command; the fault says how it ended, if not with 0.
pub async fn run(
    asked: &Asked<'_>,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Fault> {
    let what = format!("pass the stage {}", asked.name);
    let Some((program, arguments)) = asked.argv.split_first() else {
        return Err(Fault::new(what, "its command is empty"));
    };
    let found = find(program, asked.folder).ok_or_else(|| {
        Fault::new(&what, format!("{program} is not on the PATH of this machine"))
            .hint("the command runs on the machine of the run, not on a host")
    })?;
    let mut command = tokio::process::Command::from(crate::hosts::ssh::held(&found));
    command
        .args(arguments)
        .envs(asked.env)
        .current_dir(asked.folder)
        .stdin(if asked.input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| Fault::new(&what, format!("{program}: {error}")))?;
    if let (Some(dir), Some(group)) = (asked.dir, child.id()) {
        orphans::note(dir, group)
            .map_err(|error| Fault::new(&what, format!("its process cannot be recorded: {error}")))?;
    }
    progress.text("running");
    let out = child.stdout.take();
    let err = child.stderr.take();
    let input = child.stdin.take();
    let ended = {
        let talk = async {
            tokio::join!(talk(out, err, progress), feed(input, asked.input));
        };
        let limit = tokio::time::sleep(asked.timeout);
        tokio::pin!(talk, limit);
        let mut has_talked = false;
        loop {
            tokio::select! {
                ended = child.wait() => {
                    if !has_talked {
                        // Something that it left in the background may hold the pipe: that is not waited for.
                        drop(tokio::time::timeout(DRAIN, talk).await);
                    }
                    break Some(ended);
                }
                () = &mut talk, if !has_talked => has_talked = true,
                () = &mut limit => break None,
                () = cancel.cancelled() => break None,
            }
        }
    };
    let Some(ended) = ended else {
        end(&mut child).await;
        return Err(if cancel.is_cancelled() {
            cancelled(&what)
        } else {
            Fault::new(
                what,
                format!("still running after {} s: stopped", asked.timeout.as_secs()),
            )
        });
    };
    let status = ended.map_err(|error| Fault::new(&what, error))?;
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Fault::new(what, format!("{program} ended with exit code {code}"))),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            Err(Fault::new(
                what,
                format!("{program} was ended by signal {signal}"),
            ))
        }
    }
}

async fn feed(input: Option<ChildStdin>, bytes: &[u8]) {
    if let Some(mut pipe) = input {
        // What it does not read it does not want.
        drop(pipe.write_all(bytes).await);
        drop(pipe.shutdown().await);
    }
}

/// Reads both outputs until both are closed.
async fn talk(
    mut out: Option<impl AsyncRead + Unpin>,
    mut err: Option<impl AsyncRead + Unpin>,
    progress: &mut dyn Progress,
) {
    let (mut of_out, mut of_err) = (Lines::default(), Lines::default());
    let (mut one, mut two) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    while out.is_some() || err.is_some() {
        tokio::select! {
            read = piece(&mut out, &mut one), if out.is_some() => match read {
                0 => out = None,
                count => of_out.push(one.get(..count).unwrap_or_default(), progress),
            },
            read = piece(&mut err, &mut two), if err.is_some() => match read {
                0 => err = None,
                count => of_err.push(two.get(..count).unwrap_or_default(), progress),
            },
        }
    }
    of_out.finish(progress);
    of_err.finish(progress);
}

/// 0 at its end, also where it cannot be read any more.
async fn piece(from: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(into).await.unwrap_or(0),
        None => 0,
    }
}

/// Ends the command's process group, including processes it started.
async fn end(child: &mut Child) {
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let Some(group) = group else { return };
    // It may have ended in this very moment.
    kill_process_group(group, Signal::TERM).ok();
    let has_ended = tokio::time::timeout(GRACE, child.wait()).await.is_ok();
    // Also what it started and left behind when it was asked.
    kill_process_group(group, Signal::KILL).ok();
    if !has_ended {
        drop(child.wait().await);
    }
}

/// Finds the program like a shell: a path relative to the folder, or a name on the `PATH`.
fn find(program: &str, folder: &Path) -> Option<PathBuf> {
    let runs =
        |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if program.contains('/') {
        return Some(folder.join(program)).filter(runs);
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(runs)
}

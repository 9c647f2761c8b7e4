//! What the git repository around a build context says: revision, branch, and whether the tree is dirty.
//! Asks the user's own `git`; never writes to the repository.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// A status of a large tree on a cold disk takes seconds; longer is a network folder that hangs.
const LIMIT: Duration = Duration::from_secs(20);
/// A revision and a branch are short; of the status only "is there anything" counts.
const LONGEST_ANSWER: u64 = 4 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub full: String,
    pub short: String,
    /// Absent with a detached head.
    pub branch: Option<String>,
    /// Something in the context differs from the revision, or is not known to git.
    pub dirty: bool,
}

/// The revision that a folder is at, or in words why there is none.
pub async fn revision(folder: &Path) -> Result<Revision, String> {
    let full = ask(folder, &["rev-parse", "--verify", "HEAD^{commit}"]).await?;
    let short = ask(folder, &["rev-parse", "--short", "HEAD"]).await?;
    // A detached head has no branch: that is its answer, not a failure.
    let branch = ask(folder, &["symbolic-ref", "--quiet", "--short", "HEAD"])
        .await
        .ok();
    let changes = ask(folder, &["status", "--porcelain", "--", "."]).await?;
    Ok(Revision {
        full,
        short,
        branch,
        dirty: !changes.is_empty(),
    })
}

async fn ask(folder: &Path, question: &[&str]) -> Result<String, String> {
    // Neither hooks nor a file system monitor of the repository are run for a question.
    let mut child = Command::new("git")
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .arg("-C")
        .arg(folder)
        .args(question)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "git is not installed".to_owned(),
            _ => format!("git cannot be run: {error}"),
        })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let answered = tokio::time::timeout(LIMIT, async {
        let mut answer = Vec::new();
        let mut words = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        }
        // A longer status is cut off: git is told so by its closed pipe.
        if answer.len() as u64 == LONGEST_ANSWER {
            return Ok((true, answer, words));
        }
        if let Some(stderr) = stderr {
            stderr.take(LONGEST_ANSWER).read_to_end(&mut words).await?;
        }
        let status = child.wait().await?;
        Ok((status.success(), answer, words))
    })
    .await;
    let (succeeded, answer, words) = match answered {
        Ok(Ok(outcome)) => outcome,
        Ok(Err::<_, std::io::Error>(error)) => return Err(format!("git cannot be asked: {error}")),
        Err(_elapsed) => return Err(format!("git did not answer within {} s", LIMIT.as_secs())),
    };
    if succeeded {
        return Ok(String::from_utf8_lossy(&answer).trim().to_owned());
    }
    let words = String::from_utf8_lossy(&words);
    let first = words.lines().next().unwrap_or("git said nothing");
    Err(first.trim_start_matches("fatal: ").to_owned())
}

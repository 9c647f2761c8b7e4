//! What the git repository around a build context says: revision, branch, and whether the tree is dirty.
//! Asks the user's own `git`; never writes to the repository.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// A status of a large tree on a cold disk takes seconds; longer is a network folder that hangs.
const LIMIT: Duration = Duration::from_secs(20);
/// A revision and a branch are short; of the status only "is there anything" counts.
const LONGEST_ANSWER: u64 = 4 << 10;
/// Of half a million files.
const LONGEST_LISTING: u64 = 64 << 20;

/// What git sets for its hooks, and what would have another repository answer: `git rev-parse --local-env-vars`.
pub(super) const OF_HOOKS: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub full: String,
    pub short: String,
    /// `None` with a detached head.
    pub branch: Option<String>,
    /// Whether the context has uncommitted changes or untracked files.
    pub dirty: bool,
}

/// A folder in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// Where git runs: the folder itself, or the existing part of its path.
    pub(super) place: PathBuf,
    /// `3f2a91c…:services/shop`, as git names a tree.
    pub(super) name: String,
    /// Of the commit, in seconds.
    pub(super) committed: i64,
}

/// The revision that a folder is at, or that is called so there; or in words why there is none.
pub async fn revision(folder: &Path, named: Option<&str>) -> Result<Revision, String> {
    let (folder, _missing) = &standing(folder);
    let name = named.unwrap_or("HEAD");
    if name.starts_with('-') {
        return Err(format!("{name:?} is not a revision"));
    }
    let commit = format!("{name}^{{commit}}");
    let full = ask(folder, &["rev-parse", "--verify", &commit])
        .await
        .map_err(|why| match named {
            Some(named) if why.contains("Needed a single revision") => {
                format!("git knows no commit called {named}")
            }
            Some(_) | None => why,
        })?;
    let short = ask(folder, &["rev-parse", "--short", &full]).await?;
    // A detached head and a commit have no branch: that is their answer, not a failure.
    let branch = ask(folder, &["rev-parse", "--symbolic-full-name", name])
        .await
        .ok()
        .and_then(|reference| branch_of(&reference).map(str::to_owned));
    let changes = ask(folder, &["status", "--porcelain", "--", "."]).await?;
    Ok(Revision {
        full,
        short,
        branch,
        dirty: !changes.is_empty(),
    })
}

/// `main` of `refs/heads/main`, and of what a remote's was when it was fetched last.
fn branch_of(reference: &str) -> Option<&str> {
    let of_remote = || reference.strip_prefix("refs/remotes/")?.split_once('/');
    reference
        .strip_prefix("refs/heads/")
        .or_else(|| of_remote().map(|(_remote, branch)| branch))
        .filter(|branch| *branch != "HEAD")
}

/// The tree that stands for `folder` in a commit; that it has one is seen when it is listed.
pub(super) async fn tree(folder: &Path, commit: &str) -> Result<Tree, String> {
    let (place, missing) = standing(folder);
    let prefix = ask(&place, &["rev-parse", "--show-prefix"]).await?;
    let inside = format!("{prefix}{}", missing.to_string_lossy());
    let seconds = ask(&place, &["show", "--no-patch", "--format=%ct", commit]).await?;
    Ok(Tree {
        place,
        name: format!("{commit}:{}", inside.trim_matches('/')),
        committed: seconds.parse().unwrap_or(0),
    })
}

/// `git ls-tree` of all in it: `100644 blob OID SIZE\tPATH\0`.
pub(super) async fn listing(tree: &Tree) -> Result<Vec<u8>, String> {
    let question = ["ls-tree", "-r", "-z", "-l", "--full-tree", tree.name.as_str()];
    let (whole, answer) = answer(&tree.place, &question, LONGEST_LISTING).await?;
    if whole {
        Ok(answer)
    } else {
        Err(format!(
            "it holds more files than {LONGEST_LISTING} bytes can name"
        ))
    }
}

/// What of a path is there, and what is not: the work tree may lack a folder that a commit has.
fn standing(folder: &Path) -> (PathBuf, PathBuf) {
    folder
        .ancestors()
        .find_map(|there| {
            let real = std::fs::canonicalize(there).ok().filter(|real| real.is_dir())?;
            Some((real, folder.strip_prefix(there).ok()?.to_owned()))
        })
        .unwrap_or_else(|| (folder.to_owned(), PathBuf::new()))
}

/// Neither hooks nor a file system monitor of the repository are run for a question, and nothing is fetched.
pub(super) const CALM: [&str; 4] = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
pub(super) const QUIET: [(&str, &str); 4] = [
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("LC_ALL", "C"),
];

async fn ask(folder: &Path, question: &[&str]) -> Result<String, String> {
    let (_whole, answer) = answer(folder, question, LONGEST_ANSWER).await?;
    Ok(String::from_utf8_lossy(&answer).trim().to_owned())
}

/// The answer, and whether it is whole: a longer one than `longest` is cut off.
async fn answer(folder: &Path, question: &[&str], longest: u64) -> Result<(bool, Vec<u8>), String> {
    let mut command = Command::new("git");
    // Started by a hook, the questions are still about this folder.
    for name in OF_HOOKS {
        command.env_remove(name);
    }
    let mut child = command
        .args(CALM)
        .arg("-C")
        .arg(folder)
        .args(question)
        .envs(QUIET)
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
            stdout.take(longest).read_to_end(&mut answer).await?;
        }
        // Git is told by its closed pipe.
        if answer.len() as u64 == longest {
            return Ok((None, answer, words));
        }
        if let Some(stderr) = stderr {
            stderr.take(LONGEST_ANSWER).read_to_end(&mut words).await?;
        }
        let status = child.wait().await?;
        Ok((Some(status), answer, words))
    })
    .await;
    let (status, answer, words) = match answered {
        Ok(Ok(outcome)) => outcome,
        Ok(Err::<_, std::io::Error>(error)) => return Err(format!("git failed: {error}")),
        Err(_elapsed) => return Err(format!("git did not answer within {} s", LIMIT.as_secs())),
    };
    if status.is_none_or(|status| status.success()) {
        return Ok((status.is_some(), answer));
    }
    let words = String::from_utf8_lossy(&words);
    let first = words.lines().next().unwrap_or("git said nothing");
    Err(first.trim_start_matches("fatal: ").to_owned())
}

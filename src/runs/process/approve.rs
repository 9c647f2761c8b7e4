//! A person's answer to an approval stage: a file in the run's folder that the runner polls.
//! One answer per stage; the first one counts.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::runs::disk::state::{State, hand_over, is_alive, may_end};

/// The limit of a reason.
const LONGEST: u64 = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    pub yes: bool,
    pub by: String,
    pub reason: Option<String>,
}

fn path(dir: &Path, stage: &str) -> PathBuf {
    // A stage's name holds letters, digits, `-` and `_` only.
    dir.join(format!("word-{stage}"))
}

/// Allowed for the user who started the run and root. `wanted`: the stage; `None`: the first that waits.
pub fn approve(state: &State, run: &RunId, wanted: Option<&str>, word: &Word) -> Result<(), Fault> {
    let dir = state.dir(run);
    let what = || format!("answer run {run}");
    if !dir.is_dir() {
        return Err(Fault::new(what(), "there is no such run here"));
    }
    may_end(&dir, &what())?;
    let asks = crate::runs::view(state, run)?.asks;
    let found = match wanted {
        None => asks.first(),
        Some(name) => asks.iter().find(|asked| asked.stage == name),
    };
    let Some(asked) = found.filter(|_| is_alive(&dir)) else {
        return Err(Fault::new(what(), "it does not wait for a person"));
    };
    let clean = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).collect() };
    let word = Word {
        yes: word.yes,
        by: clean(&word.by),
        reason: word.reason.as_deref().map(clean),
    };
    let text = serde_json::to_vec(&word).map_err(|error| Fault::new(what(), error))?;
    let fault = |error: std::io::Error| Fault::new(what(), error);
    let mut file = tempfile::NamedTempFile::new_in(&dir).map_err(fault)?;
    file.write_all(&text).map_err(fault)?;
    hand_over(file.as_file(), &dir).map_err(fault)?;
    match file.persist_noclobber(path(&dir, &asked.stage)) {
        Ok(_file) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Fault::new(what(), "it was already answered"))
        }
        Err(error) => Err(fault(error.error)),
    }
}

/// The answer, if there is one; an error if it cannot be read.
pub(in crate::runs) fn word(dir: &Path, stage: &str) -> Option<Result<Word, Fault>> {
    let path = path(dir, stage);
    let fault = |why: &dyn std::fmt::Display| Fault::new(format!("read {}", path.display()), why);
    let size = std::fs::metadata(&path).ok()?.len();
    if size > LONGEST {
        return Some(Err(fault(&"it is too long")));
    }
    let read = std::fs::read(&path).map_err(|error| fault(&error));
    Some(read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| fault(&error))))
}

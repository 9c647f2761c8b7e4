//! Cancels a run: the first request makes it undo its changes in order, the second one stops it without undoing the rest.
//! A file in the run's folder that the runner polls; no signals are used.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::runs::disk::state::{State, is_alive, may_end};

fn path(dir: &Path) -> PathBuf {
    dir.join("cancel")
}

/// Adds a cancel request; allowed for the user who started the run and root.
pub fn cancel(state: &State, run: &RunId, by: &str) -> Result<(), Fault> {
    let dir = state.dir(run);
    let what = || format!("cancel run {run}");
    if !dir.is_dir() {
        return Err(Fault::new(what(), "there is no such run here"));
    }
    may_end(&dir, &what())?;
    if !is_alive(&dir) {
        return Err(
            Fault::new(what(), "it has no running process").hint("pilothouse recover undoes what it left")
        );
    }
    let by: String = by.chars().filter(|c| !c.is_control()).collect();
    crate::runs::disk::state::open_private(&path(&dir))
        .and_then(|mut file| writeln!(file, "{by}"))
        .map_err(|error| Fault::new(what(), error))
}

/// Who cancelled, one entry per request.
pub(in crate::runs) fn wishes(dir: &Path) -> Vec<String> {
    // No file: nobody asked.
    let text = std::fs::read_to_string(path(dir)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Removes cancel requests to an earlier process, which do not apply to the recovery.
pub(in crate::runs) fn forget(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path(dir)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

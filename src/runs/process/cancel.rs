//! Asking a run to end: the first time it undoes in order, the second time it stops where it is.
//! A file in the run's folder; the runner looks for it, nobody sends a signal.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::runs::disk::state::{State, is_alive, may_end};

fn path(dir: &Path) -> PathBuf {
    dir.join("cancel")
}

/// Adds one wish; only who started the run can, or root.
pub fn cancel(state: &State, run: &RunId, by: &str) -> Result<(), Fault> {
    let dir = state.dir(run);
    let what = || format!("cancel run {run}");
    if !dir.is_dir() {
        return Err(Fault::new(what(), "there is no such run here"));
    }
    may_end(&dir, &what())?;
    if !is_alive(&dir) {
        return Err(
            Fault::new(what(), "no process carries it out").hint("pilothouse recover undoes what it left")
        );
    }
    let by: String = by.chars().filter(|c| !c.is_control()).collect();
    crate::runs::disk::state::open_private(&path(&dir))
        .and_then(|mut file| writeln!(file, "{by}"))
        .map_err(|error| Fault::new(what(), error))
}

/// Who asked, once for every time.
pub(in crate::runs) fn wishes(dir: &Path) -> Vec<String> {
    // No file: nobody asked.
    let text = std::fs::read_to_string(path(dir)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// What was asked of an earlier process does not concern the one that recovers.
pub(in crate::runs) fn forget(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path(dir)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

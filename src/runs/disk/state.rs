//! The state folder: one directory per run, readable by its owner only, or by a group.
//! Its permissions are checked by `folder`; the order of runs is in `queue`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder;
use crate::config::{Host, StateDir};
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::plan::Wait;
use crate::release::plan::Plan;

/// The state folder, which can be used.
#[derive(Clone, Debug)]
pub struct State {
    root: PathBuf,
    /// Whether the group may read: run folders are 2750 and their files 0640.
    pub(in crate::runs) shared: bool,
    /// How long finished runs are kept, and how many per service.
    pub(in crate::runs) keep: (std::time::Duration, usize),
    /// The program started as `PROGRAM __run DIR`.
    program: PathBuf,
}

/// The input of a runner besides the journal; written before it is started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunFile {
    pub plan: Plan,
    /// The hosts of the plan.
    pub hosts: Vec<Host>,
    /// All configured hosts, for recovering unfinished runs on other hosts.
    #[serde(default)]
    pub known: Vec<Host>,
    /// What to do while another run of the service is in progress.
    #[serde(default)]
    pub wait: Wait,
    /// Runs that must succeed before this one begins: those of the services it depends on.
    #[serde(default)]
    pub behind: Vec<RunId>,
}

impl State {
    /// `[state] dir`, or `$XDG_STATE_HOME/pilothouse`, or `~/.local/state/pilothouse`; made if it is not there. Fails if it
    /// cannot be used: hosts can be watched without it.
    pub fn open(config: &StateDir, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let root = match &config.dir {
            Some(dir) => dir.clone(),
            None => env("XDG_STATE_HOME")
                .map(PathBuf::from)
                .filter(|dir| dir.is_absolute())
                .or_else(|| env("HOME").map(|home| PathBuf::from(home).join(".local/state")))
                .map(|dir| dir.join("pilothouse"))
                .ok_or_else(|| {
                    Fault::new("find the state folder", "neither XDG_STATE_HOME nor HOME is set")
                        .hint("set it with: [state] dir = \"…\"")
                })?,
        };
        let program = std::env::current_exe().map_err(|error| Fault::new("find this program", error))?;
        let state = Self {
            shared: config.group.is_some(),
            keep: (config.keep_for, config.keep_runs),
            root,
            program,
        };
        folder::prepare(&state, config.group.as_deref())?;
        Ok(state)
    }

    /// The state folder that a run's own folder is in, as its runner sees it.
    pub fn around(dir: &Path) -> Result<Self, Fault> {
        let fault = |why: &dyn std::fmt::Display| {
            Fault::new(format!("find the state folder of {}", dir.display()), why)
        };
        let dir = fs::canonicalize(dir).map_err(|error| fault(&error))?;
        let root = dir
            .parent()
            .and_then(Path::parent)
            .ok_or_else(|| fault(&"it is not inside a state folder"))?;
        let seen = fs::metadata(&dir).map_err(|error| fault(&error))?;
        Ok(Self {
            root: root.to_path_buf(),
            shared: seen.mode() & 0o2000 != 0,
            keep: (std::time::Duration::MAX, usize::MAX),
            program: std::env::current_exe().map_err(|error| fault(&error))?,
        })
    }

    /// Uses another program for runs; for tests.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self
    }

    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    #[must_use]
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    #[must_use]
    pub fn dir(&self, run: &RunId) -> PathBuf {
        self.runs().join(run.as_str())
    }

    /// Creates the folder of a run with its runner's input.
    pub fn create(&self, file: &RunFile) -> Result<PathBuf, Fault> {
        let dir = self.dir(&file.plan.run);
        let fault = |error: &dyn std::fmt::Display| Fault::new(format!("make {}", dir.display()), error);
        DirBuilder::new()
            .mode(if self.shared { 0o2750 } else { 0o700 })
            .create(&dir)
            .map_err(|error| fault(&error))?;
        if self.shared {
            // The umask may have taken the group's bits.
            fs::set_permissions(&dir, Permissions::from_mode(0o2750)).map_err(|error| fault(&error))?;
        }
        let text = serde_json::to_vec_pretty(file).map_err(|error| fault(&error))?;
        let path = dir.join("run.json");
        let written = open_private(&path).and_then(|mut target| {
            io::Write::write_all(&mut target, &text)?;
            target.sync_all()
        });
        written.map_err(|error| fault(&error))?;
        Ok(dir)
    }
}

/// Opens a file of a run: readable by the group if the folder is, and owned by the run's owner.
pub fn open_private(path: &Path) -> io::Result<File> {
    let dir = path.parent().unwrap_or(path);
    let shared = fs::metadata(dir).is_ok_and(|dir| dir.mode() & 0o2050 == 0o2050);
    let mode = if shared { 0o640 } else { 0o600 };
    // Not in one request: in a sticky folder the kernel refuses even root to "create" what is another's.
    let file = match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let fresh = OpenOptions::new()
                .create(true)
                .append(true)
                .mode(mode)
                .open(path)?;
            hand_over(&fresh, dir)?;
            fresh
        }
        other => other?,
    };
    let seen = file.metadata()?;
    if shared && seen.mode() & 0o777 != mode && seen.uid() == rustix::process::geteuid().as_raw() {
        // The umask took the group's bit.
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// Gives a file created by root in another user's run to that user.
pub(in crate::runs) fn hand_over(file: &File, dir: &Path) -> io::Result<()> {
    let own = rustix::process::geteuid();
    let owner = fs::metadata(dir)?.uid();
    if own.is_root() && owner != own.as_raw() {
        std::os::unix::fs::fchown(file, Some(owner), None)?;
    }
    Ok(())
}

/// The owner of the run, if that is another user and this process is not root.
#[must_use]
pub fn of_another(dir: &Path) -> Option<String> {
    let own = rustix::process::geteuid();
    let owner = fs::metadata(dir).ok()?.uid();
    (!own.is_root() && owner != own.as_raw())
        .then(|| crate::runs::begin::actor::name_of(owner).unwrap_or_else(|| format!("account {owner}")))
}

/// Only the user who started a run and root may cancel, approve or recover it.
pub fn may_end(dir: &Path, what: &str) -> Result<(), Fault> {
    match of_another(dir) {
        None => Ok(()),
        Some(owner) => Err(
            Fault::new(what, format!("{owner} started it, and only {owner} or root may")).hint(format!(
                "ask {owner}; `pilothouse follow` shows it to everybody of the group"
            )),
        ),
    }
}

/// Reads a runner's input.
pub fn read_run_file(dir: &Path) -> Result<RunFile, Fault> {
    let path = dir.join("run.json");
    let fault = |why: &dyn std::fmt::Display| Fault::new(format!("read {}", path.display()), why);
    let text = fs::read(&path).map_err(|error| fault(&error))?;
    serde_json::from_slice(&text).map_err(|error| fault(&error))
}

/// The liveness lock, held by the runner while it lives; `None` while another process holds it.
pub fn hold_alive(dir: &Path) -> io::Result<Option<File>> {
    let file = open_private(&dir.join("alive"))?;
    Ok(lock(&file)?.then_some(file))
}

/// Retries, because a process that checks a lock holds it for a moment.
const LOOKS: u32 = 20;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// Locks it exclusively; `false` if another process holds it, after 200 ms at most.
pub(in crate::runs) fn lock(file: &File) -> io::Result<bool> {
    for look in 1..=LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(fs::TryLockError::WouldBlock) if look < LOOKS => std::thread::sleep(PAUSE),
            Err(fs::TryLockError::WouldBlock) => {}
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Whether the run has a living process, according to the lock.
#[must_use]
pub fn is_alive(dir: &Path) -> bool {
    // Read-only: a colleague of the group may not write here.
    let Ok(file) = File::open(dir.join("alive")) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Result<State, Fault> {
        let config = StateDir {
            dir: Some(dir.to_path_buf()),
            ..StateDir::default()
        };
        State::open(&config, &|_| None)
    }

    #[test]
    fn the_folder_is_made_for_its_owner_only() {
        let temp = tempfile::tempdir().unwrap();
        let state = open(&temp.path().join("state")).unwrap();
        assert_eq!(fs::metadata(state.root()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(state.runs()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_anybody_may_write_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("state");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        let fault = open(&dir).unwrap_err();
        assert!(fault.to_string().contains("world-writable"), "{fault}");
    }

    #[test]
    fn who_looks_whether_a_run_is_alive_keeps_nobody_from_carrying_it_out() {
        let temp = tempfile::tempdir().unwrap();
        drop(hold_alive(temp.path()).unwrap());
        let looker = File::open(temp.path().join("alive")).unwrap();
        looker.lock_shared().unwrap();
        let ended = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            drop(looker);
        });
        assert!(hold_alive(temp.path()).unwrap().is_some());
        ended.join().unwrap();
    }

    #[test]
    fn a_run_is_alive_while_its_lock_is_held() {
        let temp = tempfile::tempdir().unwrap();
        assert!(!is_alive(temp.path()));
        let held = hold_alive(temp.path()).unwrap();
        assert!(held.is_some() && is_alive(temp.path()));
        assert!(hold_alive(temp.path()).unwrap().is_none());
        drop(held);
        // A command that another test starts in this moment has the file for an instant, too.
        let since = std::time::Instant::now();
        while is_alive(temp.path()) {
            assert!(since.elapsed().as_secs() < 10, "nobody holds it");
            std::thread::sleep(PAUSE);
        }
    }
}

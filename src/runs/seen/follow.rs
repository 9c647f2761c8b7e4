//! Reads runs: one, all of a state folder, or one while it is in progress.
//! Reads only what was appended; a run with a damaged journal is skipped and logged.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::estimate::Figures;
use super::tail::Tail;
use super::view::Fold;
use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::run::RunView;
use crate::runs::disk::chain::Chain;
use crate::runs::disk::journal;
use crate::runs::disk::state;
use crate::runs::disk::state::{State, is_alive};
use crate::runs::process::cancel;

/// How often a followed run is read; costs a few system calls.
pub(in crate::runs) const LOOK: Duration = Duration::from_millis(25);
/// The number of runs loaded at first; older ones are loaded on request.
pub const SHOWN: usize = 100;

/// One run being read.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    offset: u64,
    chain: Chain,
    fold: Option<Fold>,
    /// Its output, if requested.
    tail: Option<Tail>,
    was_alive: bool,
}

impl Reader {
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            offset: 0,
            chain: Chain::default(),
            fold: None,
            tail: Some(Tail::default()),
            was_alive: false,
        }
    }

    /// Reads what was appended; returns whether anything changed.
    pub fn read(&mut self) -> Result<bool, Fault> {
        let path = journal::path(&self.dir);
        let fault = |error: std::io::Error| Fault::new(format!("read {}", path.display()), error);
        if !self.is_open() && std::fs::metadata(&path).is_ok_and(|seen| seen.len() == self.offset) {
            // Closed: only a recovery could write to it again.
            return Ok(false);
        }
        let mut changed = false;
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(mut file) => {
                let length = file.metadata().map_err(fault)?.len();
                if length > self.offset {
                    file.seek(SeekFrom::Start(self.offset)).map_err(fault)?;
                    file.read_to_end(&mut bytes).map_err(fault)?;
                }
            }
            // Its runner has not begun yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(fault(error)),
        }
        let (records, whole) = self.chain.read(&bytes, &path)?;
        self.offset += whole;
        for record in &records {
            changed = true;
            match &mut self.fold {
                None => self.fold = Fold::open(record),
                Some(fold) => fold.apply(record),
            }
        }
        changed |= self.tail.as_mut().is_some_and(|tail| tail.read(&self.dir));
        let alive = self.is_open() && is_alive(&self.dir);
        changed |= alive != self.was_alive;
        self.was_alive = alive;
        Ok(changed)
    }

    /// Whether it is not closed yet.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.fold.as_ref().is_none_or(|fold| fold.exit().is_none())
    }

    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.was_alive
    }

    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.fold.as_ref()?.exit()
    }

    #[must_use]
    pub fn fold(&self) -> Option<&Fold> {
        self.fold.as_ref()
    }

    /// `None` until its first record exists.
    #[must_use]
    pub fn view(&self) -> Option<RunView> {
        let mut view = self.fold.as_ref()?.view(self.was_alive);
        view.theirs = state::of_another(&self.dir);
        view.cancels = cancel::wishes(&self.dir).len();
        if let Some(tail) = &self.tail {
            view.output = tail.lines.iter().cloned().collect();
            view.output_skipped = tail.skipped();
        }
        Some(view)
    }
}

/// The folders of all runs, newest first.
#[must_use]
pub fn folders(state: &State) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(state.runs()) else {
        return Vec::new();
    };
    let mut dirs: Vec<PathBuf> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            RunId::parse(entry.file_name().to_str()?).ok()?;
            Some(entry.path())
        })
        .collect();
    // Ids sort by time.
    dirs.sort_unstable_by(|one, two| two.cmp(one));
    dirs
}

/// All runs, newest first, without output; read lazily to save memory.
pub fn all(state: &State) -> impl Iterator<Item = RunView> {
    folders(state).into_iter().filter_map(|dir| {
        let mut reader = Reader {
            tail: None,
            ..Reader::new(dir)
        };
        // Damaged ones are told of where runs are listed.
        reader.read().ok()?;
        reader.view()
    })
}

/// The last runs, newest first.
#[must_use]
pub fn list(state: &State) -> Vec<RunView> {
    list_of(state, SHOWN, |_| true).runs
}

/// Runs, newest first, and the reasons for those that cannot be read.
#[derive(Debug, Default)]
pub struct Listed {
    pub runs: Vec<RunView>,
    pub unreadable: Vec<Fault>,
}

/// The last `most` runs that are wanted.
#[must_use]
pub fn list_of(state: &State, most: usize, wanted: impl Fn(&RunView) -> bool) -> Listed {
    let mut listed = Listed::default();
    let mut earlier: Vec<Reader> = Vec::new();
    for dir in folders(state) {
        if listed.runs.len() >= most && earlier.len() >= SHOWN {
            break;
        }
        let mut reader = Reader::new(dir);
        if let Err(fault) = reader.read() {
            tracing::warn!(%fault, "a run is not shown");
            listed.unreadable.push(fault);
            continue;
        }
        let view = reader.view();
        listed
            .runs
            .extend(view.filter(|view| listed.runs.len() < most && wanted(view)));
        if earlier.len() < SHOWN {
            earlier.push(reader);
        }
    }
    let figures = Figures::of(earlier.iter());
    for view in &mut listed.runs {
        figures.estimate(view);
    }
    listed
}

pub fn view(state: &State, run: &RunId) -> Result<RunView, Fault> {
    let mut reader = Reader::new(state.dir(run));
    reader.read()?;
    reader
        .view()
        .ok_or_else(|| Fault::new(format!("show run {run}"), "there is no such run here"))
}

/// Shows the run whenever it changed, until it is closed or its process is gone; the exit is the run's, or that it needs a human.
pub async fn follow(state: &State, run: &RunId, mut show: impl FnMut(&RunView)) -> Result<Exit, Fault> {
    let dir = state.dir(run);
    if !dir.is_dir() {
        return Err(Fault::new(
            format!("follow run {run}"),
            "there is no such run here",
        ));
    }
    let mut reader = Reader::new(dir.clone());
    let mut quiet: u32 = 0;
    loop {
        if reader.read()?
            && let Some(view) = reader.view()
        {
            show(&view);
        }
        if let Some(exit) = reader.exit() {
            return Ok(exit);
        }
        // A runner takes its lock before it writes its first record: some patience at the very start only.
        quiet = if reader.is_alive() { 0 } else { quiet + 1 };
        if quiet > 20 && !state::is_alive(&dir) {
            return Ok(Exit::NeedsHuman);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The folder's own name is the run's id.
#[must_use]
pub fn id_of(dir: &Path) -> Option<RunId> {
    RunId::parse(dir.file_name()?.to_str()?).ok()
}

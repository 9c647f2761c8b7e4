//! The state folder as facts: a run is told whenever its journal grew, its output grew, or its process ended.
//! Looks often while something runs and once a second otherwise; reads only what was appended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::estimate::Figures;
use super::follow::{Reader, recent};
use super::state::State;
use crate::domain::event::Event;

/// While a run is alive: live text changes twice a second at most.
const BUSY: Duration = Duration::from_millis(100);
/// A run that another terminal started shows up within this.
const QUIET: Duration = Duration::from_secs(1);

/// Ends with `shutdown` or when nobody listens any more.
pub async fn watch(state: &State, facts: mpsc::Sender<Event>, shutdown: CancellationToken) {
    let mut seen = Seen::default();
    loop {
        let changed = seen.look(state);
        for event in changed {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                sent = facts.send(event) => if sent.is_err() { return },
            }
        }
        let pause = if seen.is_busy() { BUSY } else { QUIET };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[derive(Default)]
struct Seen {
    readers: BTreeMap<PathBuf, Reader>,
    /// Of the folder of runs: other when a run was added.
    modified: Option<SystemTime>,
    /// When closed runs were looked at last: they hardly ever change.
    all: Option<Instant>,
}

impl Seen {
    fn is_busy(&self) -> bool {
        self.readers
            .values()
            .any(|reader| reader.is_open() && reader.is_alive())
    }

    /// Oldest first, so that the newest is told last.
    fn look(&mut self, state: &State) -> Vec<Event> {
        let modified = std::fs::metadata(state.runs())
            .and_then(|seen| seen.modified())
            .ok();
        if modified != self.modified || self.modified.is_none() {
            self.modified = modified;
            let dirs = recent(state);
            self.readers.retain(|dir, _| dirs.contains(dir));
            for dir in dirs {
                self.readers
                    .entry(dir.clone())
                    .or_insert_with(|| Reader::new(dir));
            }
        }
        let all = self.all.is_none_or(|at| at.elapsed() >= QUIET);
        if all {
            self.all = Some(Instant::now());
        }
        let mut changed: Vec<PathBuf> = Vec::new();
        let mut damaged: Vec<PathBuf> = Vec::new();
        for (dir, reader) in &mut self.readers {
            // A closed run changes only when it is recovered: its journal grows then.
            if !all && !reader.is_open() {
                continue;
            }
            match reader.read() {
                Ok(true) => changed.push(dir.clone()),
                Ok(false) => {}
                Err(fault) => {
                    tracing::warn!(%fault, "a run is not shown");
                    damaged.push(dir.clone());
                }
            }
        }
        for dir in damaged {
            self.readers.remove(&dir);
        }
        if changed.is_empty() {
            return Vec::new();
        }
        let figures = Figures::of(self.readers.values().rev());
        changed
            .iter()
            .filter_map(|dir| self.readers.get(dir)?.view())
            .map(|mut view| {
                figures.estimate(&mut view);
                Event::Run(Box::new(view))
            })
            .collect()
    }
}

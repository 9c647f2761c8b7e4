//! Watches the state folder: reports a run when its journal grew, its output grew, or its process ended.
//! Polls often while a run is in progress and rarely otherwise; reads only what was appended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::estimate::Figures;
use super::follow::{LOOK, Reader, folders, id_of};
use crate::domain::event::Event;
use crate::runs::disk::state::State;

/// A run that was started, here or in another terminal, shows up within this.
const GLANCE: Duration = Duration::from_millis(250);
/// How often runs are looked at that hardly ever change.
const QUIET: Duration = Duration::from_secs(1);

/// Ends with `shutdown` or when nobody listens any more.
pub async fn watch(
    state: &State,
    mut shown: watch::Receiver<usize>,
    facts: mpsc::Sender<Event>,
    shutdown: CancellationToken,
) {
    let mut seen = Seen::default();
    loop {
        let most = *shown.borrow_and_update();
        let changed = seen.look(state, most);
        for event in changed {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                sent = facts.send(event) => if sent.is_err() { return },
            }
        }
        let pause = if seen.is_busy() { LOOK } else { GLANCE };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            Ok(()) = shown.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[derive(Default)]
struct Seen {
    readers: BTreeMap<PathBuf, Reader>,
    /// Told of as such; not read again.
    damaged: BTreeSet<PathBuf>,
    /// Runs that were asked for the last time, and how many there were besides.
    most: usize,
    older: usize,
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
    fn look(&mut self, state: &State, most: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let modified = std::fs::metadata(state.runs())
            .and_then(|seen| seen.modified())
            .ok();
        if modified != self.modified || self.modified.is_none() || most != self.most {
            self.modified = modified;
            self.most = most;
            let mut dirs = folders(state);
            let older = dirs.len().saturating_sub(most);
            if std::mem::replace(&mut self.older, older) != older {
                events.push(Event::OlderRuns(older));
            }
            dirs.truncate(most);
            let dirs: BTreeSet<PathBuf> = dirs.into_iter().collect();
            self.readers.retain(|dir, _| dirs.contains(dir));
            self.damaged.retain(|dir| dirs.contains(dir));
            for dir in dirs.difference(&self.damaged) {
                self.readers
                    .entry(dir.clone())
                    .or_insert_with(|| Reader::new(dir.clone()));
            }
        }
        let all = self.all.is_none_or(|at| at.elapsed() >= QUIET);
        if all {
            self.all = Some(Instant::now());
        }
        let mut changed: Vec<PathBuf> = Vec::new();
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
                    self.damaged.insert(dir.clone());
                    events.extend(id_of(dir).map(|run| Event::Unreadable(run, fault)));
                }
            }
        }
        let damaged = &self.damaged;
        self.readers.retain(|dir, _| !damaged.contains(dir));
        if changed.is_empty() {
            return events;
        }
        let figures = Figures::of(self.readers.values().rev());
        let views = changed.iter().filter_map(|dir| self.readers.get(dir)?.view());
        events.extend(views.map(|mut view| {
            figures.estimate(&mut view);
            Event::Run(Box::new(view))
        }));
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StateDir;
    use crate::domain::ids::RunId;

    fn state(dir: &std::path::Path) -> State {
        let config = StateDir {
            dir: Some(dir.to_path_buf()),
            ..StateDir::default()
        };
        State::open(&config, &|_| None).unwrap()
    }

    fn journal(state: &State, run: &str, text: &str) {
        let dir = state.dir(&RunId::parse(run).unwrap());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(crate::runs::disk::journal::path(&dir), text).unwrap();
    }

    /// In words: which runs cannot be read, and how many are older.
    fn told(events: Vec<Event>) -> Vec<String> {
        let word = |event| match event {
            Event::Unreadable(run, why) => format!("{run}: {}", why.why),
            Event::OlderRuns(count) => format!("{count} older"),
            other => format!("{other:?}"),
        };
        events.into_iter().map(word).collect()
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_told_of_once_and_older_runs_when_they_are_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        journal(&state, "20260101-000000-a", "{\"schema\":99,\"n\":1}\n");
        journal(&state, "20260102-000000-b", "no journal\n");
        // Torn: its first record is not there yet.
        journal(&state, "20260103-000000-c", "{\"schema\":1,\"n\"");
        let mut seen = Seen::default();
        let first = told(seen.look(&state, 2));
        assert_eq!(first.len(), 2, "{first:?}");
        assert_eq!(first[0], "1 older");
        assert!(first[1].starts_with("20260102-000000-b: expected"), "{first:?}");
        assert_eq!(told(seen.look(&state, 2)), Vec::<String>::new());
        let more = told(seen.look(&state, 4));
        assert_eq!(
            more,
            [
                "0 older",
                "20260101-000000-a: it was written by another version of Pilothouse"
            ]
        );
    }
}

//! The queue of a service in one state folder: its runs are carried out one after the other, in the order they were made.
//! A place in the queue and the turn are file locks, so a dead process holds neither; process numbers are not used.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::state::{State, open_private};
use crate::domain::fault::Fault;
use crate::domain::ids::{RunId, ServiceName};
use crate::domain::units::Stamp;
use crate::release::plan::Plan;
use crate::release::subject::Subject;
use crate::runs::begin::draft::new_id;

/// Assigning a place takes a millisecond; a process that holds the door lock this long hangs.
const DOOR_LIMIT: Duration = Duration::from_secs(10);
/// A lock seen held this often is not merely held by a reader checking it.
const LOOKS: u32 = 4;
const INSTANT: Duration = Duration::from_millis(2);
/// Ids keep growing if the clock is set back, but not forever if it was years ahead.
const AHEAD: i64 = 3_600_000;

/// The queue of one service and environment.
#[derive(Clone, Debug)]
pub struct Queue {
    dir: PathBuf,
}

/// A run's place in the queue, held by the launcher and then by the run itself, until dropped.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    held: File,
}

/// Held while a run is in progress.
#[derive(Debug)]
pub struct Turn {
    _held: File,
}

/// A run ahead in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    pub run: RunId,
    /// `ops-a on bastion-1 (deploy shop)`
    pub by: String,
}

impl std::fmt::Display for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run {} by {}", self.run, self.by)
    }
}

/// A run's id, its number within its service, and its place, assigned together.
#[derive(Debug)]
pub struct Entered {
    pub run: RunId,
    pub number: u64,
    pub place: Place,
}

impl State {
    #[must_use]
    pub fn queue_of(&self, subject: &Subject) -> Queue {
        Queue {
            dir: self.queue().join(subject.to_string()),
        }
    }

    /// Appends a run, with an id that sorts after all earlier ones.
    pub fn enter(&self, plan: &Plan, now: Stamp) -> Result<Entered, Fault> {
        let subject = &plan.subject;
        let fault = |why: &dyn std::fmt::Display| Fault::new(format!("queue the run of {subject}"), why);
        let queue = self.queue_of(subject);
        let counted = self.queue().join(subject.service.as_str());
        for dir in [&queue.dir, &counted] {
            self.make_common(dir).map_err(|error| fault(&error))?;
        }
        let mut door = self
            .open_common(&self.queue().join("order"))
            .map_err(|error| fault(&error))?;
        lock_soon(&door).map_err(|error| fault(&error))?;
        let last = read_number(&mut door).map_err(|error| fault(&error))?;
        let millis = now.0 / 1_000_000;
        let millis = match i64::try_from(last) {
            Ok(last) if last < millis + AHEAD => millis.max(last + 1),
            Ok(_) | Err(_) => millis,
        };
        write_number(&mut door, u64::try_from(millis).unwrap_or(0)).map_err(|error| fault(&error))?;
        let run = new_id(Stamp(millis.saturating_mul(1_000_000)))?;
        let number = self.count(&counted).map_err(|error| fault(&error))?;
        queue.tidy();
        let place = queue.place(&run).map_err(|error| fault(&error))?;
        let (by, kind) = (&plan.by, plan.kind.word());
        let words = format!("{} on {} ({kind} {subject})", by.login, by.machine);
        fs::write(&place.path, words).map_err(|error| fault(&error))?;
        Ok(Entered { run, number, place })
    }

    /// Takes over a run's place; the launcher's lock and this one overlap briefly.
    pub fn place(&self, subject: &Subject, run: &RunId) -> io::Result<Place> {
        let queue = self.queue_of(subject);
        self.make_common(&queue.dir)?;
        queue.place(run)
    }

    /// The presumable number of the service's next run.
    #[must_use]
    pub fn next_number(&self, service: &ServiceName) -> u64 {
        let path = self.queue().join(service.as_str()).join("number");
        let last = fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse::<u64>().ok());
        last.unwrap_or(0).saturating_add(1)
    }

    fn count(&self, dir: &Path) -> io::Result<u64> {
        let mut file = self.open_common(&dir.join("number"))?;
        let number = read_number(&mut file)?.saturating_add(1);
        write_number(&mut file, number)?;
        Ok(number)
    }
}

impl Queue {
    fn path(&self, run: &RunId) -> PathBuf {
        self.dir.join(run.as_str())
    }

    fn place(&self, run: &RunId) -> io::Result<Place> {
        let path = self.path(run);
        let held = open_private(&path)?;
        // Whoever looks whether it is held holds it himself for an instant.
        held.lock_shared()?;
        Ok(Place { path, held })
    }

    /// The nearest living run ahead of this one.
    #[must_use]
    pub fn ahead(&self, run: &RunId) -> Option<Ahead> {
        self.runs()
            .into_iter()
            .rev()
            .find(|other| other < run && self.is_held(other))
            .map(|other| self.told(other))
    }

    /// The last living run of the queue.
    #[must_use]
    pub fn last(&self) -> Option<Ahead> {
        let last = self.runs().into_iter().rev().find(|run| self.is_held(run));
        last.map(|run| self.told(run))
    }

    /// The oldest other living run.
    #[must_use]
    pub fn other(&self, run: &RunId) -> Option<Ahead> {
        let other = self
            .runs()
            .into_iter()
            .find(|other| other != run && self.is_held(other));
        other.map(|run| self.told(run))
    }

    #[must_use]
    pub fn is_held(&self, run: &RunId) -> bool {
        let Ok(file) = File::open(self.path(run)) else {
            return false;
        };
        for _ in 1..LOOKS {
            if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                return false;
            }
            // Another one who looks holds it for an instant, too.
            std::thread::sleep(INSTANT);
        }
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// `None` while another run has it.
    pub fn turn(&self, state: &State) -> io::Result<Option<Turn>> {
        state.make_common(&self.dir)?;
        let file = state.open_common(&self.dir.join("turn"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Turn { _held: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn told(&self, run: RunId) -> Ahead {
        let by = fs::read_to_string(self.path(&run)).unwrap_or_default();
        let by: String = by.chars().filter(|c| !c.is_control()).take(140).collect();
        Ahead { run, by }
    }

    /// Oldest first.
    fn runs(&self) -> Vec<RunId> {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return Vec::new();
        };
        let mut runs: Vec<RunId> = entries
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                let name = name.to_str()?;
                // `turn` and `number` are here, too.
                name.starts_with(|c: char| c.is_ascii_digit())
                    .then(|| RunId::parse(name).ok())?
            })
            .collect();
        runs.sort_unstable();
        runs
    }

    /// Removes the places of dead runs, if permitted.
    fn tidy(&self) {
        for run in self.runs() {
            if !self.is_held(&run)
                && let Err(error) = fs::remove_file(self.path(&run))
            {
                tracing::debug!(%run, %error, "a place stays");
            }
        }
    }
}

impl Place {
    /// Leaves the queue after the run has ended.
    pub fn leave(self) {
        // One that cannot be removed counts for nothing once it is not held.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "a place stays");
        }
        drop(self.held);
    }
}

fn lock_soon(file: &File) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() > DOOR_LIMIT => {
                return Err(io::Error::other(
                    "another process holds the queue's door and does nothing",
                ));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Anything but a number counts as 0.
fn read_number(file: &mut File) -> io::Result<u64> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(32).read_to_string(&mut text)?;
    Ok(text.trim().parse().unwrap_or(0))
}

/// One line of fixed width, so that a shorter number overwrites a longer one completely.
fn write_number(file: &mut File, number: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{number:>20}\n").as_bytes())
}

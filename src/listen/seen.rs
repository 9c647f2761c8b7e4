//! Which deliveries were accepted: a bounded memory that survives restarts, as lines appended to a file.
//! A mark is on disk before anything is started, removed if nothing was, and confirmed once a run exists. A delivery that an
//! earlier listener only marked may be repeated, unless it has a run.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::domain::fault::Fault;

/// Years of pushes; half a megabyte.
const MOST: usize = 16_384;

/// The first half of a mark's SHA-256.
type Mark = u128;

/// Who began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    /// It was ended before anything came of it, or before that was written.
    AnEarlierOnes,
}

pub(super) struct Seen {
    path: PathBuf,
    file: File,
    /// Of the file; it is written anew when most of them are forgotten.
    lines: usize,
    known: HashSet<Mark>,
    /// Of those: what is begun, and nothing came of it yet.
    begun: HashMap<Mark, Whose>,
    /// The oldest first.
    order: VecDeque<Mark>,
    most: usize,
    /// One listener a folder: another one would not know what this one took in.
    _alone: File,
}

impl Seen {
    pub(super) fn open(folder: &Path) -> Result<Self, Fault> {
        Self::with(folder, MOST)
    }

    fn with(folder: &Path, most: usize) -> Result<Self, Fault> {
        let fault =
            |error: io::Error| Fault::new(format!("remember deliveries in {}", folder.display()), error);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(fault)?;
        let alone = private(&folder.join("alone")).map_err(fault)?;
        match alone.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Fault::new(
                    "listen",
                    "another `pilothouse listen` uses the same state folder",
                ));
            }
            Err(fs::TryLockError::Error(error)) => return Err(fault(error)),
        }
        let path = folder.join("seen");
        let mut seen = Self {
            file: private(&path).map_err(fault)?,
            lines: 0,
            known: HashSet::new(),
            begun: HashMap::new(),
            order: VecDeque::new(),
            most,
            _alone: alone,
            path,
        };
        let text = fs::read_to_string(&seen.path).map_err(fault)?;
        for line in text.lines() {
            seen.lines += 1;
            // A torn last line was of a delivery for which nothing was started yet.
            let Some((sign, mark)) = line.split_at_checked(1) else {
                continue;
            };
            let (32, Ok(mark)) = (mark.len(), Mark::from_str_radix(mark, 16)) else {
                continue;
            };
            match sign {
                "?" => {
                    seen.keep(mark);
                    seen.begun.insert(mark, Whose::AnEarlierOnes);
                }
                "+" => {
                    seen.keep(mark);
                    seen.begun.remove(&mark);
                }
                "-" => seen.drop(mark),
                _ => {}
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            seen.renew().map_err(fault)?;
        }
        Ok(seen)
    }

    /// `false`: at least one of them was seen before, and none is taken in. True: all are on disk, as begun. `has_run` is
    /// asked of those that an earlier listener began.
    pub(super) fn take_in(&mut self, marks: &[String], has_run: &dyn Fn() -> bool) -> io::Result<bool> {
        let names = marks;
        let marks: Vec<Mark> = names.iter().map(|mark| of(mark)).collect();
        let is_left = |mark: &Mark| self.begun.get(mark) == Some(&Whose::AnEarlierOnes);
        if marks.iter().all(is_left) {
            // The same delivery whole: nobody waits for what became of it.
            if has_run() {
                self.confirm(names)?;
                return Ok(false);
            }
        } else if marks.iter().any(|mark| self.known.contains(mark)) {
            return Ok(false);
        }
        self.write('?', &marks)?;
        for mark in marks {
            self.begun.insert(mark, Whose::Ours);
            self.keep(mark);
        }
        self.renew_if_long()?;
        Ok(true)
    }

    /// A run was started for them.
    pub(super) fn confirm(&mut self, marks: &[String]) -> io::Result<()> {
        let marks: Vec<Mark> = marks.iter().map(|mark| of(mark)).collect();
        for mark in &marks {
            self.begun.remove(mark);
        }
        self.write('+', &marks)?;
        self.renew_if_long()
    }

    /// Nothing came of it: it may be sent again.
    pub(super) fn forget(&mut self, marks: &[String]) -> io::Result<()> {
        let marks: Vec<Mark> = marks.iter().map(|mark| of(mark)).collect();
        for mark in &marks {
            self.drop(*mark);
        }
        self.write('-', &marks)?;
        self.renew_if_long()
    }

    fn keep(&mut self, mark: Mark) {
        if self.known.insert(mark) {
            self.order.push_back(mark);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
                self.begun.remove(&oldest);
            }
        }
    }

    fn drop(&mut self, mark: Mark) {
        self.begun.remove(&mark);
        if self.known.remove(&mark) {
            self.order.retain(|other| *other != mark);
        }
    }

    fn write(&mut self, sign: char, marks: &[Mark]) -> io::Result<()> {
        let text = lines(sign, marks);
        self.file.write_all(text.as_bytes())?;
        self.lines += marks.len();
        self.file.sync_data()
    }

    fn renew_if_long(&mut self) -> io::Result<()> {
        if self.lines > self.most.saturating_mul(2) {
            self.renew()?;
        }
        Ok(())
    }

    /// Only what is known, in one step.
    fn renew(&mut self) -> io::Result<()> {
        let (begun, done): (Vec<Mark>, Vec<Mark>) =
            self.order.iter().partition(|mark| self.begun.contains_key(mark));
        let text = lines('+', &done) + &lines('?', &begun);
        let new = self.path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.file = file;
        self.lines = self.order.len();
        Ok(())
    }
}

fn lines<'m>(sign: char, marks: impl IntoIterator<Item = &'m Mark>) -> String {
    let lines: Vec<String> = marks
        .into_iter()
        .map(|mark| format!("{sign}{mark:032x}\n"))
        .collect();
    lines.concat()
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

fn of(mark: &str) -> Mark {
    let digest = Sha256::digest(mark.as_bytes());
    digest
        .iter()
        .take(16)
        .fold(0, |mark, byte| mark << 8 | Mark::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const NO_RUN: &dyn Fn() -> bool = &|| false;

    #[test]
    fn what_an_earlier_listener_had_only_begun_may_come_again_and_only_whole_and_without_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let delivery = marks(&["id 1", "body 1"]);
        let open = || Seen::open(folder.path()).unwrap();
        let mut seen = open();
        assert!(seen.take_in(&delivery, NO_RUN).unwrap());
        assert!(!seen.take_in(&delivery, NO_RUN).unwrap(), "it is in progress");
        drop(seen);
        let mut seen = open();
        assert!(!seen.take_in(&marks(&["id 2", "body 1"]), NO_RUN).unwrap());
        assert!(seen.take_in(&delivery, NO_RUN).unwrap());
        drop(seen);
        let mut seen = open();
        assert!(!seen.take_in(&delivery, &|| true).unwrap());
        drop(seen);
        assert!(
            !open().take_in(&delivery, NO_RUN).unwrap(),
            "it is known that it had one"
        );
    }

    #[test]
    fn a_mark_is_taken_in_once_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::open(folder.path()).unwrap();
        assert!(seen.take_in(&marks(&["id 1", "body 1"]), NO_RUN).unwrap());
        assert!(!seen.take_in(&marks(&["id 2", "body 1"]), NO_RUN).unwrap());
        assert!(seen.take_in(&marks(&["id 2", "body 2"]), NO_RUN).unwrap());
        seen.forget(&marks(&["id 2", "body 2"])).unwrap();
        seen.confirm(&marks(&["id 1", "body 1"])).unwrap();
        assert!(Seen::open(folder.path()).is_err(), "one listener a folder");
        drop(seen);
        let mut seen = Seen::open(folder.path()).unwrap();
        assert!(!seen.take_in(&marks(&["id 1"]), NO_RUN).unwrap());
        assert!(seen.take_in(&marks(&["id 2", "body 2"]), NO_RUN).unwrap());
    }

    #[test]
    fn the_memory_and_its_file_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::with(folder.path(), 8).unwrap();
        for number in 0..200 {
            assert!(seen.take_in(&[format!("id {number}")], NO_RUN).unwrap());
        }
        assert!(seen.known.len() == 8 && seen.order.len() == 8);
        assert!(!seen.take_in(&marks(&["id 199"]), NO_RUN).unwrap());
        assert!(
            seen.take_in(&marks(&["id 100"]), NO_RUN).unwrap(),
            "long forgotten"
        );
        let lines = fs::read_to_string(folder.path().join("seen"))
            .unwrap()
            .lines()
            .count();
        assert!(lines <= 17, "{lines}");
    }

    #[test]
    fn a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::open(folder.path()).unwrap();
        assert!(seen.take_in(&marks(&["one", "two"]), NO_RUN).unwrap());
        seen.confirm(&marks(&["one", "two"])).unwrap();
        drop(seen);
        let path = folder.path().join("seen");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.get(..text.len() - 9).unwrap()).unwrap();
        let mut seen = Seen::open(folder.path()).unwrap();
        assert!(!seen.take_in(&marks(&["one"]), NO_RUN).unwrap());
        assert!(seen.take_in(&marks(&["two"]), NO_RUN).unwrap());
        seen.confirm(&marks(&["two"])).unwrap();
        drop(seen);
        let mut seen = Seen::open(folder.path()).unwrap();
        assert!(!seen.take_in(&marks(&["two"]), NO_RUN).unwrap());
    }
}

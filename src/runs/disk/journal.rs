//! The journal of a run: append-only NDJSON, synced to disk before anything irreversible is done.
//! An incomplete last line is ignored; a damaged line before the end is an error (see `chain`).

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::chain::Chain;
use super::reserve::{Reserve, is_full};
use crate::domain::fault::Fault;
use crate::domain::units::Stamp;
use crate::release::record::{Entry, Record, SCHEMA};

pub struct Journal {
    file: File,
    chain: Chain,
    /// The length of its complete lines in bytes.
    length: u64,
    /// The space reserved for a full disk.
    reserve: Option<Reserve>,
    /// Whether the disk is full and the reserve is in use.
    is_tight: bool,
    /// For crash tests: the number of records after which the process kills itself.
    die_after: Option<u64>,
}

/// For crash tests: the variable that sets that number.
const DIE_AFTER: &str = "PILOTHOUSE_DIE_AFTER";

#[must_use]
pub fn path(dir: &Path) -> PathBuf {
    dir.join("journal.ndjson")
}

impl Journal {
    /// For the process of the run only; returns the existing records.
    pub fn open(dir: &Path) -> Result<(Self, Vec<Record>), Fault> {
        let path = path(dir);
        let fault = |error: io::Error| Fault::new(format!("open the journal {}", path.display()), error);
        let file = super::state::open_private(&path).map_err(fault)?;
        let bytes = std::fs::read(&path).map_err(fault)?;
        let mut chain = Chain::default();
        let (records, whole) = chain.read(&bytes, &path)?;
        // The name of the file must survive a power cut as its lines do.
        std::fs::File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(fault)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > whole) {
            // The torn line goes: the next record must not be glued to it.
            file.set_len(whole).map_err(fault)?;
        }
        let journal = Self {
            file,
            chain,
            length: whole,
            reserve: None,
            is_tight: false,
            die_after: std::env::var(DIE_AFTER).ok().and_then(|text| text.parse().ok()),
        };
        Ok((journal, records))
    }

    /// Reserves space until the run is closed, so that a full disk is detected here and not halfway.
    pub fn reserve(&mut self, dir: &Path) -> Result<(), Fault> {
        self.reserve = Some(Reserve::hold(dir)?);
        Ok(())
    }

    /// Whether the disk has filled up; further records use the reserve.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        self.is_tight
    }

    /// Appends a record; a binding one is synced to disk when this returns.
    pub fn write(&mut self, at: Stamp, entry: Entry) -> Result<Record, Fault> {
        let record = Record {
            schema: SCHEMA,
            n: self.chain.next(),
            at,
            entry,
        };
        let fault = |error: &dyn std::fmt::Display| Fault::new("write the journal", error);
        let line = self.chain.line(&record).map_err(|error| fault(&error))?;
        let is_binding = record.entry.is_binding();
        let mut done = self.append(&line, is_binding);
        if let Err(error) = &done
            && is_full(error)
            && let Some(reserve) = self.reserve.take()
        {
            self.is_tight = true;
            // Half of the line may be there.
            self.file.set_len(self.length).map_err(|error| fault(&error))?;
            reserve.give_to(&self.file, self.length);
            done = self.append(&line, is_binding);
        }
        done.map_err(|error| fault(&error))?;
        self.length += u64::try_from(line.len()).unwrap_or(0);
        if let Entry::Closed { .. } = record.entry {
            self.reserve = None;
        }
        if is_binding {
            self.die_if_told();
        }
        Ok(record)
    }

    fn append(&mut self, line: &[u8], is_binding: bool) -> io::Result<()> {
        self.file.write_all(line)?;
        if is_binding { self.file.sync_data() } else { Ok(()) }
    }

    fn die_if_told(&mut self) {
        match &mut self.die_after {
            None => {}
            Some(0 | 1) => {
                let myself = rustix::process::getpid();
                if let Err(error) = rustix::process::kill_process(myself, rustix::process::Signal::KILL) {
                    tracing::error!(%error, "could not end this process");
                }
            }
            Some(left) => *left -= 1,
        }
    }
}

/// Writes the whole journal of a finished run at once, without fsync.
pub fn write_whole(dir: &Path, entries: Vec<(Stamp, Entry)>) -> Result<(), Fault> {
    let path = path(dir);
    let fault = |error: &dyn std::fmt::Display| Fault::new(format!("write {}", path.display()), error);
    let mut chain = Chain::default();
    let mut lines = Vec::new();
    for (at, entry) in entries {
        let record = Record {
            schema: SCHEMA,
            n: chain.next(),
            at,
            entry,
        };
        lines.extend(chain.line(&record).map_err(|error| fault(&error))?);
    }
    let mut file = super::state::open_private(&path).map_err(|error| fault(&error))?;
    file.write_all(&lines).map_err(|error| fault(&error))
}

/// All complete records, for readers.
pub fn read(dir: &Path) -> Result<Vec<Record>, Fault> {
    let path = path(dir);
    let bytes = std::fs::read(&path)
        .map_err(|error| Fault::new(format!("read the journal {}", path.display()), error))?;
    Ok(Chain::default().read(&bytes, &path)?.0)
}

/// The same, but stops after the first record if that is not wanted.
pub fn read_if(dir: &Path, is_wanted: impl Fn(&Record) -> bool) -> Result<Option<Vec<Record>>, Fault> {
    let path = path(dir);
    let fault = |error| Fault::new(format!("read the journal {}", path.display()), error);
    let mut lines = BufReader::new(File::open(&path).map_err(fault)?);
    let mut bytes = Vec::new();
    lines.read_until(b'\n', &mut bytes).map_err(fault)?;
    let first = Chain::default().read(&bytes, &path)?.0;
    if !first.first().is_some_and(is_wanted) {
        return Ok(None);
    }
    lines.read_to_end(&mut bytes).map_err(fault)?;
    Ok(Some(Chain::default().read(&bytes, &path)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(n: u32) -> Entry {
        Entry::Lost {
            host: crate::domain::ids::HostName::parse("web-1").unwrap(),
            why: n.to_string(),
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_next_record_follows_the_last_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.write(Stamp(1), text(1)).unwrap();
        journal.write(Stamp(2), text(2)).unwrap();
        drop(journal);
        let file = path(dir.path());
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
        let (mut journal, records) = Journal::open(dir.path()).unwrap();
        assert_eq!(records.len(), 1);
        journal.write(Stamp(3), text(3)).unwrap();
        let numbers: Vec<u64> = read(dir.path()).unwrap().iter().map(|record| record.n).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn a_damaged_line_before_the_end_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.write(Stamp(1), text(1)).unwrap();
        journal.write(Stamp(2), text(2)).unwrap();
        let file = path(dir.path());
        let broken = std::fs::read_to_string(&file)
            .unwrap()
            .replacen("web-1", "we\"b", 1);
        std::fs::write(&file, broken).unwrap();
        let fault = read(dir.path()).unwrap_err();
        assert!(fault.what.contains("line 1"), "{fault}");
    }
}

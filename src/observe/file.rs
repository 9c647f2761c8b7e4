//! A log file that is rotated by size, shared by all processes that log to it.
//! Exceeds its limit at most by what is written between two checks, and holds nothing much older than configured.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(super) const NAME: &str = "pilothouse.log";

/// How much is written between two looks at the file's size.
const LOOK_EVERY: u64 = 64 << 10;
/// How long a process that writes little writes between two looks at the file's age.
const LOOK_AFTER: Duration = Duration::from_hours(1);
/// A file is put aside at the latest when it has been written for this part of the age allowed.
const PARTS: u32 = 4;

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    max_bytes: u64,
    keep: usize,
    oldest: Duration,
    since_look: u64,
    looked: SystemTime,
}

impl LogFile {
    /// Opens `dir/pilothouse.log` for appending, 0600, and removes files put aside that are older than `oldest`.
    pub(super) fn open(dir: &Path, max_bytes: u64, keep: usize, oldest: Duration) -> io::Result<Self> {
        let path = dir.join(NAME);
        let mut log = Self {
            file: append_to(&path)?,
            path,
            max_bytes,
            keep: keep.max(1),
            oldest,
            since_look: LOOK_EVERY,
            looked: SystemTime::now(),
        };
        log.turn_over_if_full()?;
        Ok(log)
    }

    fn aside(&self, number: usize) -> PathBuf {
        self.path.with_extension(format!("log.{number}"))
    }

    fn remove_old(&self) {
        let now = SystemTime::now();
        let than = now.checked_sub(self.oldest).unwrap_or(SystemTime::UNIX_EPOCH);
        for number in 1..=self.keep {
            let aside = self.aside(number);
            if fs::metadata(&aside)
                .and_then(|found| found.modified())
                .is_ok_and(|modified| modified < than)
            {
                // Another process may have removed it first; a file that stays is bounded all the same.
                drop(fs::remove_file(&aside));
            }
        }
    }

    /// Looks once in `LOOK_EVERY` bytes or `LOOK_AFTER`. The lock keeps two processes from putting the file aside twice.
    fn turn_over_if_full(&mut self) -> io::Result<()> {
        // A clock that was set back is a reason to look.
        if self.since_look < LOOK_EVERY && self.looked.elapsed().is_ok_and(|ago| ago < LOOK_AFTER) {
            return Ok(());
        }
        self.since_look = 0;
        self.looked = SystemTime::now();
        self.remove_old();
        if fs::metadata(&self.path).is_ok_and(|now| !self.is_full(&now) && self.is_file(&now)) {
            return Ok(());
        }
        let lock = append_to(&self.path.with_extension("log.lock"))?;
        lock.lock()?;
        if fs::metadata(&self.path).is_ok_and(|now| self.is_full(&now)) {
            for number in (1..self.keep).rev() {
                // The first times there is nothing to move.
                drop(fs::rename(self.aside(number), self.aside(number + 1)));
            }
            fs::rename(&self.path, self.aside(1))?;
        }
        self.file = append_to(&self.path)?;
        Ok(())
    }

    /// It holds as much as it may, or what was written first in it is of long ago. A file system that does not tell when
    /// a file was made bounds it by its size alone.
    fn is_full(&self, now: &fs::Metadata) -> bool {
        let age = now.created().ok().and_then(|made| made.elapsed().ok());
        now.len() >= self.max_bytes || (now.len() > 0 && age.is_some_and(|age| age >= self.oldest / PARTS))
    }

    fn is_file(&self, now: &fs::Metadata) -> bool {
        self.file.metadata().is_ok_and(|ours| ours.ino() == now.ino())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn_over_if_full()?;
        let written = self.file.write(bytes)?;
        self.since_look += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn total(dir: &Path) -> u64 {
        fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum()
    }

    #[test]
    fn the_log_is_private_and_never_grows_beyond_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), 100 << 10, 2, Duration::from_hours(1)).unwrap();
        for _ in 0..2_000 {
            log.write_all(&[b'x'; 1_000]).unwrap();
        }
        assert!(
            total(dir.path()) <= 3 * ((100 + 64) << 10),
            "{} bytes",
            total(dir.path())
        );
        let mode = fs::metadata(dir.path().join("pilothouse.log"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_log_of_few_words_is_put_aside_by_its_age_and_removed_when_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let oldest = Duration::from_millis(400);
        let mut log = LogFile::open(dir.path(), 100 << 10, 2, oldest).unwrap();
        log.write_all(b"one\n").unwrap();
        std::thread::sleep(oldest / PARTS * 2);
        log.since_look = LOOK_EVERY;
        log.write_all(b"two\n").unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        assert_eq!(
            (&*read("pilothouse.log.1"), &*read("pilothouse.log")),
            ("one\n", "two\n")
        );
        std::thread::sleep(oldest * 2);
        log.since_look = LOOK_EVERY;
        log.write_all(b"three\n").unwrap();
        let all = read("pilothouse.log.2") + &read("pilothouse.log.1") + &read("pilothouse.log");
        assert_eq!(all, "two\nthree\n");
    }

    #[test]
    fn two_processes_put_a_full_file_aside_once() {
        let dir = tempfile::tempdir().unwrap();
        let open = || LogFile::open(dir.path(), 10, 9, Duration::from_hours(1)).unwrap();
        let (mut one, mut two) = (open(), open());
        one.write_all(&vec![b'1'; 70 << 10]).unwrap();
        one.write_all(b"after").unwrap();
        two.since_look = LOOK_EVERY;
        two.write_all(b"two").unwrap();
        assert_eq!(fs::read(dir.path().join("pilothouse.log")).unwrap(), b"aftertwo");
        assert!(!dir.path().join("pilothouse.log.2").exists());
    }
}

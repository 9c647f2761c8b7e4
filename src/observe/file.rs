//! A log file that is put aside when it has grown, shared by every process that logs there.
//! Never grows beyond its bound by more than what the processes write between two looks at it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub(super) const NAME: &str = "pilothouse.log";

/// How much is written between two looks at the file's size.
const LOOK_EVERY: u64 = 64 << 10;

pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    max_bytes: u64,
    keep: usize,
    since_look: u64,
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
            since_look: LOOK_EVERY,
        };
        log.remove_older(
            SystemTime::now()
                .checked_sub(oldest)
                .unwrap_or(SystemTime::UNIX_EPOCH),
        );
        log.turn_over_if_full()?;
        Ok(log)
    }

    fn aside(&self, number: usize) -> PathBuf {
        self.path.with_extension(format!("log.{number}"))
    }

    fn remove_older(&self, than: SystemTime) {
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

    /// Looks at most once in `LOOK_EVERY` bytes. The lock keeps two processes from putting the file aside twice.
    fn turn_over_if_full(&mut self) -> io::Result<()> {
        if self.since_look < LOOK_EVERY {
            return Ok(());
        }
        self.since_look = 0;
        if fs::metadata(&self.path).is_ok_and(|now| now.len() < self.max_bytes && self.is_file(&now)) {
            return Ok(());
        }
        let lock = append_to(&self.path.with_extension("log.lock"))?;
        lock.lock()?;
        if fs::metadata(&self.path).is_ok_and(|now| now.len() >= self.max_bytes) {
            for number in (1..self.keep).rev() {
                // The first times there is nothing to move.
                drop(fs::rename(self.aside(number), self.aside(number + 1)));
            }
            fs::rename(&self.path, self.aside(1))?;
        }
        self.file = append_to(&self.path)?;
        Ok(())
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

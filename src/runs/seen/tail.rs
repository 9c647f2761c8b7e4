//! The last lines of a run's output, as a pane shows them: appended lines are counted, and only the end is read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::domain::run::RunLine;
use crate::runs::disk::output::{Piece, before, present};

/// Lines of a run kept for the screen.
const SHOWN: usize = 200;

#[derive(Debug, Default)]
pub(in crate::runs) struct Tail {
    inode: u64,
    offset: u64,
    /// The total number of lines so far.
    said: u64,
    pub(in crate::runs) lines: VecDeque<RunLine>,
}

impl Tail {
    /// The number of lines before those kept.
    #[must_use]
    pub(in crate::runs) fn skipped(&self) -> u64 {
        self.said
            .saturating_sub(u64::try_from(self.lines.len()).unwrap_or(0))
    }

    /// Reads what was appended; returns whether there was anything.
    pub(in crate::runs) fn read(&mut self, dir: &Path) -> bool {
        let known = self.said;
        // Its writer may turn the files over meanwhile: the next look finds the rest.
        if let Err(error) = self.look(dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, dir = %dir.display(), "the output of a run is not read");
        }
        self.said != known
    }

    fn look(&mut self, dir: &Path) -> io::Result<()> {
        let newest = File::open(present(dir))?;
        let seen = newest.metadata()?;
        if seen.ino() == self.inode {
            return if seen.len() > self.offset {
                self.take(newest)
            } else {
                Ok(())
            };
        }
        // Turned over, once or more: what was added to ours, or the older of two that are both new.
        if let Ok(older) = File::open(before(dir)) {
            self.turn_to(&older)?;
            self.take(older)?;
        }
        self.turn_to(&newest)?;
        self.take(newest)
    }

    fn turn_to(&mut self, file: &File) -> io::Result<()> {
        let inode = file.metadata()?.ino();
        if inode != self.inode {
            self.inode = inode;
            self.offset = 0;
        }
        Ok(())
    }

    /// Reads from the last position to the end; limited by the size of the file.
    fn take(&mut self, mut file: File) -> io::Result<()> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(self.offset))?;
        file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let is_its_first = self.offset == 0;
        self.offset += u64::try_from(whole).unwrap_or(0);
        let Some(text) = whole.checked_sub(1).and_then(|end| bytes.get(..end)) else {
            return Ok(());
        };
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        if is_its_first
            && let Some(Ok(Piece::Skipped { skipped })) =
                lines.first().map(|line| serde_json::from_slice(line))
        {
            lines.remove(0);
            // What is between the last line that was seen and this file is gone.
            if skipped > self.said {
                self.lines.clear();
                self.said = skipped;
            }
        }
        self.said += u64::try_from(lines.len()).unwrap_or(0);
        let first = lines.len().saturating_sub(SHOWN);
        for line in lines.get(first..).unwrap_or_default() {
            // Its writer died in the middle of it: counted, not shown.
            if let Ok(Piece::Line(line)) = serde_json::from_slice(line) {
                self.lines.push_back(line);
            }
        }
        self.lines
            .drain(..self.lines.len().saturating_sub(SHOWN))
            .for_each(drop);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::units::Stamp;
    use crate::runs::begin::secrets::Redactor;
    use crate::runs::disk::output::Output;

    fn write(output: &mut Output, lines: std::ops::Range<u32>, width: usize) {
        for number in lines {
            output
                .line(RunLine {
                    at: Stamp(1),
                    stage: "build".to_owned(),
                    host: None,
                    text: format!("{number} {}", "x".repeat(width)),
                })
                .unwrap();
        }
    }

    fn last(tail: &Tail) -> &str {
        tail.lines.back().unwrap().text.split(' ').next().unwrap()
    }

    #[test]
    fn every_line_is_counted_however_much_came_between_two_looks() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::open(dir.path(), Redactor::default()).unwrap();
        let (mut tail, mut late) = (Tail::default(), Tail::default());
        assert!(!tail.read(dir.path()));
        let mut told = 0;
        // Of 4 KiB, of a few bytes, and so many at once that the files are turned over more than once.
        for (count, width) in [(3, 4000), (75, 4000), (5_000, 10), (20_000, 100), (1, 5)] {
            write(&mut output, told..told + count, width);
            told += count;
            assert!(tail.read(dir.path()) && !tail.read(dir.path()));
            assert_eq!(tail.skipped() + tail.lines.len() as u64, u64::from(told));
            assert_eq!(last(&tail), (told - 1).to_string());
            assert!(tail.lines.len() <= SHOWN);
        }
        assert!(late.read(dir.path()));
        assert_eq!(late.said, tail.said);
        assert_eq!(late.lines, tail.lines);
    }

    #[test]
    fn a_line_without_its_end_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Output::open(dir.path(), Redactor::default()).unwrap();
        write(&mut output, 0..1, 1);
        let whole = std::fs::read(present(dir.path())).unwrap();
        std::fs::write(present(dir.path()), &whole[..whole.len() - 3]).unwrap();
        let mut tail = Tail::default();
        assert!(!tail.read(dir.path()));
        std::fs::write(present(dir.path()), &whole).unwrap();
        assert!(tail.read(dir.path()));
        assert_eq!(last(&tail), "0");
    }
}

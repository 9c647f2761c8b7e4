//! Pilothouse's own log as lines for the log view: its end, then new lines, across rotation.
//! Reads a bounded part at a time, off the main loop.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, ContainerKey, HostName};
use crate::domain::logs::{FollowId, LogBatch, LogLine, Stream};
use crate::domain::units::Stamp;

/// What is read of what was written before.
const TAIL: u64 = 1 << 20;
/// Read at once.
const PIECE: u64 = 256 << 10;
/// A line that is longer is shown in parts.
const LONGEST_LINE: usize = 64 << 10;
/// Nobody waits for it.
const EVERY: Duration = Duration::from_millis(500);

/// Until it is dropped, nobody listens, or the file cannot be read.
pub async fn follow(path: Option<PathBuf>, id: FollowId, sink: mpsc::Sender<Event>) -> Result<(), Fault> {
    let what = "read our own log";
    let path = path.ok_or_else(|| Fault::new(what, "there is none"))?;
    let what = format!("{what} at {}", path.display());
    let mut reader = Reader::new(path)?;
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let lines = reader.read();
            (reader, lines)
        });
        let (back, lines) = read.await.map_err(|fault| Fault::new(&what, fault))?;
        reader = back;
        let lines = lines.map_err(|fault| Fault::new(&what, fault))?;
        let is_all = lines.is_empty();
        if !is_all {
            let batch = LogBatch { lines, skipped: 0 };
            if sink.send(Event::Logs(id, batch)).await.is_err() {
                return Ok(());
            }
        }
        if is_all {
            tokio::time::sleep(EVERY).await;
        }
    }
}

struct Reader {
    path: PathBuf,
    /// The file that is open, and how far it was read.
    open: Option<(File, u64)>,
    /// Where reading begins is somewhere in a line.
    is_mid_line: bool,
    /// A line of which the end is not there yet.
    begun: Vec<u8>,
    /// The line before: what has no time of its own (a backtrace) has its.
    at: Stamp,
    source: Arc<ContainerKey>,
}

impl Reader {
    fn new(path: PathBuf) -> Result<Self, Fault> {
        let source = ContainerKey {
            host: HostName::parse("pilothouse")?,
            id: ContainerId::parse("log")?,
        };
        Ok(Self {
            path,
            open: None,
            is_mid_line: false,
            begun: Vec::new(),
            at: Stamp::default(),
            source: Arc::new(source),
        })
    }

    /// The next lines; none when all was read that is there.
    fn read(&mut self) -> io::Result<Vec<LogLine>> {
        let mut text = Vec::new();
        if self.open.is_none() {
            let file = File::open(&self.path)?;
            let here = file.metadata()?.len();
            if here < TAIL {
                // It was begun lately: what was before is in the file put aside. Often there is none.
                text = tail(&self.path.with_extension("log.1"), TAIL - here).unwrap_or_default();
            }
            self.is_mid_line = here > TAIL;
            self.open = Some((file, here.saturating_sub(TAIL)));
        }
        while let Some((file, at)) = &mut self.open {
            file.seek(SeekFrom::Start(*at))?;
            let count = file.take(PIECE).read_to_end(&mut text)?;
            *at += count as u64;
            if std::mem::take(&mut self.is_mid_line) {
                drop_begun(&mut text);
            }
            if count > 0 || !self.was_put_aside()? {
                break;
            }
            self.open = Some((File::open(&self.path)?, 0));
        }
        Ok(self.lines(&text))
    }

    fn was_put_aside(&self) -> io::Result<bool> {
        let Some((file, at)) = &self.open else {
            return Ok(false);
        };
        let (ours, theirs) = (file.metadata()?, std::fs::metadata(&self.path)?);
        let same = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        Ok(same(&ours) != same(&theirs) || theirs.len() < *at)
    }

    fn lines(&mut self, text: &[u8]) -> Vec<LogLine> {
        let mut lines = Vec::new();
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if self.begun.ends_with(b"\n") || self.begun.len() >= LONGEST_LINE {
                let line = std::mem::take(&mut self.begun);
                lines.push(self.line(&String::from_utf8_lossy(&line)));
            }
        }
        lines
    }

    /// `2026-11-21T14:03:19.201Z  INFO pilothouse: …`: the time goes to where the view has it.
    fn line(&mut self, line: &str) -> LogLine {
        let line = line.trim_end();
        let timed = line.split_once(' ').and_then(|(time, rest)| {
            let at: Timestamp = time.parse().ok()?;
            Some((i64::try_from(at.as_nanosecond()).ok()?, rest.trim_start()))
        });
        let text = match timed {
            Some((at, rest)) => {
                self.at = Stamp(at);
                rest
            }
            None => line,
        };
        LogLine {
            at: self.at,
            source: Arc::clone(&self.source),
            stream: Stream::Out,
            text: text.into(),
        }
    }
}

/// Whole lines at the end of a file.
fn tail(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    if from > 0 {
        drop_begun(&mut text);
    }
    Ok(text)
}

/// The rest of a line of which the beginning is not here goes.
fn drop_begun(text: &mut Vec<u8>) {
    let end = text.iter().position(|byte| *byte == b'\n');
    text.drain(..end.map_or(text.len(), |at| at + 1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn reader(folder: &Path) -> Reader {
        Reader::new(folder.join("pilothouse.log")).unwrap()
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| &*line.text).collect()
    }

    #[test]
    fn lines_have_their_time_and_a_backtrace_that_of_its_panic() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("pilothouse.log");
        fs::write(
            &log,
            "2026-11-21T14:03:19.201000Z ERROR a: panic\n   0: main\nhalf",
        )
        .unwrap();
        let mut reader = reader(folder.path());
        let lines = reader.read().unwrap();
        assert_eq!(texts(&lines), ["ERROR a: panic", "   0: main"]);
        assert_eq!(lines[0].at, lines[1].at);
        assert_eq!(lines[0].at, Stamp(1_795_269_799_201_000_000));
        assert!(reader.read().unwrap().is_empty());
        fs::write(
            &log,
            "2026-11-21T14:03:19.201000Z ERROR a: panic\n   0: main\nhalf a line\n",
        )
        .unwrap();
        assert_eq!(texts(&reader.read().unwrap()), ["half a line"]);
    }

    #[test]
    fn what_was_put_aside_is_read_before_and_a_new_file_after() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("pilothouse.log");
        fs::write(folder.path().join("pilothouse.log.1"), "one\n").unwrap();
        fs::write(&log, "two\n").unwrap();
        let mut reader = reader(folder.path());
        assert_eq!(texts(&reader.read().unwrap()), ["one", "two"]);
        fs::rename(&log, folder.path().join("pilothouse.log.1")).unwrap();
        fs::write(&log, "three\n").unwrap();
        assert_eq!(texts(&reader.read().unwrap()), ["three"]);
    }

    #[test]
    fn of_a_long_log_the_end_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut text = Vec::new();
        for number in 0..200_000 {
            writeln!(text, "{number:09}").unwrap();
        }
        fs::write(folder.path().join("pilothouse.log"), text).unwrap();
        let mut reader = reader(folder.path());
        let mut all = Vec::new();
        loop {
            let lines = reader.read().unwrap();
            if lines.is_empty() {
                break;
            }
            all.extend(lines);
        }
        assert!(all.len() > 100_000 && all.len() <= 104_858, "{}", all.len());
        assert_eq!(texts(&all).last(), Some(&"000199999"));
    }

    #[tokio::test]
    async fn without_a_file_the_reason_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (sink, _lines) = mpsc::channel(1);
        let path = folder.path().join("none.log");
        let fault = follow(Some(path), FollowId(1), sink.clone()).await.unwrap_err();
        assert!(fault.to_string().contains("No such file"), "{fault}");
        assert!(follow(None, FollowId(1), sink).await.is_err());
    }
}

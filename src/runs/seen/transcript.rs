//! The stored output of a run from its beginning, of any age, and while it is in progress.
//! Reads a bounded part at a time, off the main loop; output that was dropped is counted.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::follow::LOOK;
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::logs::FollowId;
use crate::domain::run::{Output, Part};
use crate::runs::disk::output::{Piece, before, present};
use crate::runs::disk::state::{State, is_alive};

/// Bytes read at a time.
const BITE: u64 = 256 << 10;
/// Written lines are shorter; anything longer is not a valid line.
const LONGEST_LINE: usize = 1 << 20;
/// The pause while the run has no process, since only a recovery appends to it.
const QUIET: Duration = Duration::from_secs(1);

/// Runs until it is dropped, nobody listens, or the output cannot be read.
pub async fn follow(state: &State, part: Part, id: FollowId, sink: mpsc::Sender<Event>) -> Result<(), Fault> {
    let what = format!("read what run {} said", part.run);
    let dir = state.dir(&part.run);
    if !dir.is_dir() {
        return Err(Fault::new(what, "it is no longer stored"));
    }
    let mut transcript = Transcript::of(state, part);
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let output = transcript.read();
            (transcript, output)
        });
        let (back, output) = read.await.map_err(|fault| Fault::new(&what, fault))?;
        transcript = back;
        let output = output.map_err(|fault| Fault::new(&what, fault))?;
        match output {
            Some(output) => {
                let is_news = output.gone > 0 || !output.lines.is_empty();
                if is_news && sink.send(Event::Output(id, output)).await.is_err() {
                    return Ok(());
                }
            }
            None => tokio::time::sleep(if is_alive(&dir) { LOOK } else { QUIET }).await,
        }
    }
}

#[derive(Debug)]
pub struct Transcript {
    dir: PathBuf,
    part: Part,
    open: Option<Open>,
    /// Lines of the run that were read or are known to be dropped.
    seen: u64,
}

/// One of the two files, identified independently of its name.
#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    offset: u64,
    /// An incomplete line.
    begun: Vec<u8>,
}

impl Open {
    fn at(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self {
            inode: file.metadata()?.ino(),
            file,
            offset: 0,
            begun: Vec::new(),
        }))
    }

    /// Complete lines appended since the last call; `None` at the end of the file.
    fn bite(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = std::mem::take(&mut self.begun);
        let count = (&self.file).take(BITE).read_to_end(&mut bytes)?;
        self.offset += u64::try_from(count).unwrap_or(0);
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.begun = bytes.split_off(whole);
        if self.begun.len() > LONGEST_LINE {
            self.begun.clear();
        }
        Ok((count > 0).then_some(bytes))
    }
}

impl Transcript {
    /// Starts at the oldest stored line.
    #[must_use]
    pub fn of(state: &State, part: Part) -> Self {
        Self::new(state.dir(&part.run), part)
    }

    fn new(dir: PathBuf, part: Part) -> Self {
        Self {
            dir,
            part,
            open: None,
            seen: 0,
        }
    }

    /// The next lines of the part; `None` when everything was read.
    pub fn read(&mut self) -> io::Result<Option<Output>> {
        loop {
            let Some(open) = &mut self.open else {
                self.open = match Open::at(&before(&self.dir))? {
                    Some(open) => Some(open),
                    None => Open::at(&present(&self.dir))?,
                };
                if self.open.is_none() {
                    return Ok(None);
                }
                continue;
            };
            if let Some(bytes) = open.bite()? {
                return Ok(Some(self.take(&bytes)));
            }
            let Some(next) = self.next()? else {
                return Ok(None);
            };
            // What was added before it was turned over; nothing is any more.
            let rest = self.open.replace(next).map(|mut last| last.bite());
            if let Some(bytes) = rest.transpose()?.flatten() {
                return Ok(Some(self.take(&bytes)));
            }
        }
    }

    /// The file after the one that was read completely; if both are new, the older one.
    fn next(&self) -> io::Result<Option<Open>> {
        let Some(newest) = Open::at(&present(&self.dir))? else {
            return Ok(None);
        };
        let ours = self.open.as_ref().map(|open| open.inode);
        if ours == Some(newest.inode) {
            return Ok(None);
        }
        let older = Open::at(&before(&self.dir))?;
        Ok(Some(
            older.filter(|older| ours != Some(older.inode)).unwrap_or(newest),
        ))
    }

    fn take(&mut self, bytes: &[u8]) -> Output {
        let mut output = Output::default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(Piece::Skipped { skipped }) => {
                    output.gone += skipped.saturating_sub(self.seen);
                    self.seen = self.seen.max(skipped);
                }
                Ok(Piece::Line(line)) => {
                    self.seen += 1;
                    if self.part.holds(&line) {
                        output.lines.push(line);
                    }
                }
                // Its writer died in the middle of it.
                Err(_) => {
                    self.seen += 1;
                    output.gone += 1;
                }
            }
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{HostName, RunId};
    use crate::domain::run::RunLine;
    use crate::domain::units::Stamp;
    use crate::runs::begin::secrets::Redactor;
    use crate::runs::disk::output::Output as Written;

    fn line(stage: &str, host: Option<&str>, text: &str) -> RunLine {
        RunLine {
            at: Stamp(1),
            stage: stage.to_owned(),
            host: host.map(|host| HostName::parse(host).unwrap()),
            text: text.to_owned(),
        }
    }

    fn part(stage: Option<&str>, host: Option<&str>) -> Part {
        Part {
            run: RunId::parse("r1").unwrap(),
            stage: stage.map(str::to_owned),
            host: host.map(|host| HostName::parse(host).unwrap()),
        }
    }

    /// Everything that is there now: how many were not kept, and the texts.
    fn all(transcript: &mut Transcript) -> (u64, Vec<String>) {
        let mut gone = 0;
        let mut texts = Vec::new();
        while let Some(output) = transcript.read().unwrap() {
            gone += output.gone;
            texts.extend(output.lines.into_iter().map(|line| line.text));
        }
        (gone, texts)
    }

    #[test]
    fn a_part_is_of_one_stage_on_one_host_and_what_names_no_host_belongs_to_all() {
        let dir = tempfile::tempdir().unwrap();
        let mut written = Written::open(dir.path(), Redactor::default()).unwrap();
        for (stage, host) in [
            ("gate", Some("a")),
            ("gate", Some("b")),
            ("build", Some("a")),
            ("gate", None),
        ] {
            let text = format!("{stage} {}", host.unwrap_or("all"));
            written.line(line(stage, host, &text)).unwrap();
        }
        let read = |part| all(&mut Transcript::new(dir.path().into(), part)).1;
        assert_eq!(read(part(None, None)).len(), 4);
        assert_eq!(read(part(Some("gate"), None)), ["gate a", "gate b", "gate all"]);
        assert_eq!(read(part(Some("gate"), Some("a"))), ["gate a", "gate all"]);
        assert_eq!(read(part(None, Some("b"))), ["gate b", "gate all"]);
    }

    #[test]
    fn every_line_is_read_or_counted_however_often_the_files_are_turned_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut written = Written::open(dir.path(), Redactor::default()).unwrap();
        let mut transcript = Transcript::new(dir.path().into(), part(None, None));
        assert_eq!(all(&mut transcript), (0, Vec::new()));
        let text = "x".repeat(2_000);
        let (mut gone, mut read, mut number) = (0, 0, 0_u64);
        // Looked at after a line, after one turn, and after several.
        for burst in [1, 700, 3_000] {
            for _ in 0..burst {
                written
                    .line(line("build", None, &format!("{number} {text}")))
                    .unwrap();
                number += 1;
            }
            if burst == 3_000 {
                // As when a run was recovered: counting goes on where it was.
                written = Written::open(dir.path(), Redactor::default()).unwrap();
                for _ in 0..600 {
                    written
                        .line(line("build", None, &format!("{number} {text}")))
                        .unwrap();
                    number += 1;
                }
            }
            let (more_gone, texts) = all(&mut transcript);
            gone += more_gone;
            read += texts.len() as u64;
            assert_eq!(gone + read, number, "nothing is lost unsaid");
            let last = texts.last().unwrap().split(' ').next().unwrap();
            assert_eq!(last, (number - 1).to_string());
        }
        assert!(gone > 1_000, "{gone}");
        let late = all(&mut Transcript::new(dir.path().into(), part(None, None)));
        assert_eq!(late.0 + late.1.len() as u64, number);
    }

    #[test]
    fn a_line_that_its_writer_did_not_finish_is_counted_and_the_next_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(present(dir.path()), "{\"at\":1,\"sta").unwrap();
        let mut written = Written::open(dir.path(), Redactor::default()).unwrap();
        written.line(line("gate", None, "after")).unwrap();
        let mut transcript = Transcript::new(dir.path().into(), part(None, None));
        assert_eq!(all(&mut transcript), (1, vec!["after".to_owned()]));
    }
}

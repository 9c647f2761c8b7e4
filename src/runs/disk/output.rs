//! The output of a run's steps, kept in two files of bounded size: the current one and the previous one.
//! Dropped lines are counted; secrets are removed before a line is written.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::run::RunLine;
use crate::runs::begin::secrets::Redactor;

/// Size of each of the two files: 8 000 lines of 128 bytes.
const LONGEST: u64 = 1 << 20;
/// Longer lines are truncated.
const WIDEST: usize = 4 << 10;

pub struct Output {
    dir: PathBuf,
    file: File,
    written: u64,
    /// Lines in the current file, and in earlier ones.
    lines: u64,
    gone: u64,
    redactor: Redactor,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::runs) enum Piece {
    /// The first line of a file: the number of lines before it.
    Skipped {
        skipped: u64,
    },
    Line(RunLine),
}

pub(in crate::runs) fn present(dir: &Path) -> PathBuf {
    dir.join("output.ndjson")
}

pub(in crate::runs) fn before(dir: &Path) -> PathBuf {
    dir.join("output.before.ndjson")
}

impl Output {
    /// Counts existing lines, because a recovered run continues in the same files.
    pub fn open(dir: &Path, redactor: Redactor) -> io::Result<Self> {
        let mut file = super::state::open_private(&present(dir))?;
        let mut text = Vec::new();
        File::open(present(dir))?.read_to_end(&mut text)?;
        if text.last().is_some_and(|byte| *byte != b'\n') {
            // Its writer died in the middle of a line: the next one is not glued to it.
            file.write_all(b"\n")?;
            text.push(b'\n');
        }
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let gone = match serde_json::from_slice(first) {
            Ok(Piece::Skipped { skipped }) => Some(skipped),
            Ok(Piece::Line(_)) | Err(_) => None,
        };
        // Behind the last end of a line is nothing.
        let ends = text.split(|byte| *byte == b'\n').count().saturating_sub(1);
        let lines = ends.saturating_sub(usize::from(gone.is_some()));
        Ok(Self {
            dir: dir.to_path_buf(),
            file,
            written: u64::try_from(text.len()).unwrap_or(u64::MAX),
            lines: u64::try_from(lines).unwrap_or(u64::MAX),
            gone: gone.unwrap_or(0),
            redactor,
        })
    }

    /// A lost line of output must not end a deploy: the caller logs the error and continues.
    pub fn line(&mut self, mut line: RunLine) -> io::Result<()> {
        line.text = self.redactor.clean(&line.text);
        if line.text.len() > WIDEST {
            let cut = (0..=WIDEST)
                .rev()
                .find(|at| line.text.is_char_boundary(*at))
                .unwrap_or(0);
            line.text.truncate(cut);
            line.text.push('…');
        }
        if self.written > LONGEST {
            self.turn_over()?;
        }
        self.write(&Piece::Line(line))?;
        self.lines += 1;
        Ok(())
    }

    fn write(&mut self, piece: &Piece) -> io::Result<()> {
        let mut text = serde_json::to_vec(piece)?;
        text.push(b'\n');
        self.file.write_all(&text)?;
        self.written += u64::try_from(text.len()).unwrap_or(0);
        Ok(())
    }

    fn turn_over(&mut self) -> io::Result<()> {
        std::fs::rename(present(&self.dir), before(&self.dir))?;
        self.file = super::state::open_private(&present(&self.dir))?;
        self.written = 0;
        self.gone += std::mem::take(&mut self.lines);
        self.write(&Piece::Skipped { skipped: self.gone })
    }
}

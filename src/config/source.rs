//! The text of one configuration file, with the positions of its parts.
//! Knows lines and columns, not meanings.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::fault::{ConfigFault, Faults, Wrong};
use super::trust::Distrust;

#[derive(Debug)]
pub(super) struct Source {
    /// As it is shown to people.
    pub(super) file: PathBuf,
    /// Absolute: where relative paths in the file begin.
    pub(super) folder: PathBuf,
    /// For `~/`.
    pub(super) home: Option<PathBuf>,
    /// Without a byte order mark.
    pub(super) text: String,
    /// The text is no TOML: what is missing in the tree may only be unreadable.
    pub(super) broken: bool,
    /// Why no command of this file may be run, if so.
    pub(super) distrust: Option<Distrust>,
}

impl Source {
    /// Line and column (in characters) of a byte, both from 1.
    pub(super) fn place(&self, offset: usize) -> (u32, u32) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (small(line), small(column))
    }

    pub(super) fn fault(&self, faults: &Faults, at: &Range<usize>, wrong: Wrong) {
        let (line, column) = self.place(at.start);
        faults.add(ConfigFault {
            file: self.file.clone(),
            line,
            column,
            what: wrong.what,
            hint: wrong.hint,
        });
    }

    /// Absolute: `~/` is the user's home, relative paths begin at the file's folder.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_) | None, _) => self.folder.join(Path::new(path)),
        }
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

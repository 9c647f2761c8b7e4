//! Faults of a configuration, each with place, description and hint.
//! Only collects them; callers decide what follows.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::domain::fault::Fault;

/// Reads as `file:line:column: what`, then `hint: …` on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigFault {
    /// A file, or the name of an environment variable.
    pub file: PathBuf,
    /// From 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// In characters, from 1; 0 where the file as a whole is meant.
    pub column: u32,
    pub what: String,
    pub hint: Option<String>,
}

impl ConfigFault {
    /// Of a file as a whole, or of an environment variable.
    #[must_use]
    pub fn whole(file: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            what: what.into(),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.what)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigFault {}

/// What is wrong with one value, before its place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        Self {
            what: fault.why,
            hint: fault.hint,
        }
    }
}

/// The faults found so far, by every reader of every file.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<ConfigFault>>);

impl Faults {
    pub(super) fn add(&self, fault: ConfigFault) {
        self.0.borrow_mut().push(fault);
    }

    /// Unless something else was found wrong at the same place: one mistake is said once.
    pub(super) fn add_new(&self, fault: ConfigFault) {
        let same = |known: &ConfigFault| {
            (&known.file, known.line, known.column) == (&fault.file, fault.line, fault.column)
        };
        let known = self.0.borrow().iter().any(same);
        if !known {
            self.add(fault);
        }
    }

    pub(super) fn into_vec(self) -> Vec<ConfigFault> {
        self.0.into_inner()
    }
}

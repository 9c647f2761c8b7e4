//! Something that could not be done, as data: what, why, and what may help.
//! It is shown, journaled and sent as JSON; it never holds a secret.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Reads as `could not {what}: {why}`, then `hint: {hint}`; all lower-case fragments that name the thing and the place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What was tried, with the thing and the place: `reach db-2 at ssh://db-2`.
    pub what: String,
    /// The reason, in the words of whoever refused.
    pub why: String,
    /// What a person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Fault {
    #[must_use]
    pub fn new(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            what: what.into(),
            why: why.to_string(),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {}: {}", self.what, self.why)
    }
}

impl std::error::Error for Fault {}

//! The history of a service as every one of its hosts keeps it: NDJSON, newest last, without secrets.
//! Two files are written in turn, so that a write cut in half leaves the other one whole.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::service::Spec;
use crate::domain::ids::{HostName, ImageId, ReleaseNumber, RunId};
use crate::domain::run::RunKind;
use crate::domain::units::Stamp;

/// What this program writes, and the newest it reads.
pub const SCHEMA: u32 = 1;
/// So many runs are remembered; the file stays far below what a PUT carries in one piece.
const LONGEST: usize = 400;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Grows with every write; the file with the higher one counts.
    pub generation: u64,
    pub entries: Vec<LedgerEntry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    pub at: Stamp,
    pub run: RunId,
    pub kind: RunKind,
    pub actor: String,
    pub machine: String,
    pub reason: Option<String>,
    pub from: Option<ReleaseNumber>,
    pub release: ReleaseNumber,
    pub image: ImageId,
    pub reference: String,
    /// Without the values of secrets.
    pub spec: Spec,
    pub spec_hash: String,
    pub hosts: Vec<HostName>,
    pub result: LedgerResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum LedgerResult {
    Committed,
    Reverted { why: String },
    NeedsHuman { why: String },
}

#[derive(Serialize, Deserialize)]
struct Header {
    schema: u32,
    generation: u64,
    entries: usize,
    /// Of the lines after this one.
    sha256: String,
}

/// Why a ledger file says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Cut in half or never written: the other file counts.
    Torn,
    Newer {
        schema: u32,
    },
}

impl Ledger {
    /// The file that this generation is written to: the two take turns.
    #[must_use]
    pub fn file_name(&self) -> &'static str {
        if self.generation.is_multiple_of(2) {
            "history.0.ndjson"
        } else {
            "history.1.ndjson"
        }
    }

    /// The next generation, with `entry` last; an entry of the same run and result is not doubled.
    #[must_use]
    pub fn with(&self, entry: LedgerEntry) -> Self {
        let mut entries = self.entries.clone();
        if !entries
            .iter()
            .any(|known| known.run == entry.run && known.result == entry.result)
        {
            entries.push(entry);
        }
        let surplus = entries.len().saturating_sub(LONGEST);
        entries.drain(..surplus);
        Self {
            generation: self.generation + 1,
            entries,
        }
    }

    /// Did this run reach its commit?
    #[must_use]
    pub fn is_committed(&self, run: &RunId) -> bool {
        self.committed().any(|entry| entry.run == *run)
    }

    /// Did somebody undo this run wholly?
    #[must_use]
    pub fn is_undone(&self, run: &RunId) -> bool {
        let is_reverted = |entry: &LedgerEntry| matches!(entry.result, LedgerResult::Reverted { .. });
        self.entries
            .iter()
            .any(|entry| entry.run == *run && is_reverted(entry))
    }

    /// Oldest first.
    #[must_use]
    pub fn committed(&self) -> impl DoubleEndedIterator<Item = &LedgerEntry> {
        self.entries
            .iter()
            .filter(|entry| entry.result == LedgerResult::Committed)
    }

    /// The last commit of this release.
    #[must_use]
    pub fn release(&self, number: ReleaseNumber) -> Option<&LedgerEntry> {
        self.committed().rev().find(|entry| entry.release == number)
    }

    /// The highest number ever given out, also to a release that was taken back.
    #[must_use]
    pub fn highest(&self) -> Option<ReleaseNumber> {
        self.entries.iter().map(|entry| entry.release).max()
    }

    pub fn render(&self) -> Result<String, serde_json::Error> {
        let mut body = String::new();
        for entry in &self.entries {
            body.push_str(&serde_json::to_string(entry)?);
            body.push('\n');
        }
        let header = Header {
            schema: SCHEMA,
            generation: self.generation,
            entries: self.entries.len(),
            sha256: super::spec::hex(&Sha256::digest(body.as_bytes())),
        };
        Ok(format!("{}\n{body}", serde_json::to_string(&header)?))
    }

    pub fn parse(text: &str) -> Result<Self, Unread> {
        let (first, body) = text.split_once('\n').ok_or(Unread::Torn)?;
        let schema = serde_json::from_str::<serde_json::Value>(first)
            .ok()
            .and_then(|value| value.get("schema")?.as_u64())
            .and_then(|schema| u32::try_from(schema).ok())
            .ok_or(Unread::Torn)?;
        if schema > SCHEMA {
            return Err(Unread::Newer { schema });
        }
        let torn = |_: serde_json::Error| Unread::Torn;
        let header: Header = serde_json::from_str(first).map_err(torn)?;
        if header.sha256 != super::spec::hex(&Sha256::digest(body.as_bytes())) {
            return Err(Unread::Torn);
        }
        let entries: Vec<LedgerEntry> = body
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .map_err(torn)?;
        if entries.len() != header.entries {
            return Err(Unread::Torn);
        }
        Ok(Self {
            generation: header.generation,
            entries,
        })
    }

    /// The newest of the files that are whole. A newer program's file hides an older one's: it must not be rewritten.
    pub fn newest<'a>(files: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, Unread> {
        let mut best: Option<Self> = None;
        let mut torn = false;
        for text in files {
            match Self::parse(text) {
                Ok(ledger)
                    if best
                        .as_ref()
                        .is_none_or(|known| known.generation < ledger.generation) =>
                {
                    best = Some(ledger);
                }
                Ok(_) => {}
                Err(Unread::Torn) => torn = true,
                Err(newer @ Unread::Newer { .. }) => return Err(newer),
            }
        }
        match best {
            Some(ledger) => Ok(Some(ledger)),
            None if torn => Err(Unread::Torn),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(run: &str, release: u32) -> LedgerEntry {
        LedgerEntry {
            at: Stamp::from_seconds(1),
            run: RunId::parse(run).unwrap(),
            kind: RunKind::Deploy,
            actor: "ops".to_owned(),
            machine: "bastion".to_owned(),
            reason: None,
            from: None,
            release: ReleaseNumber(release),
            image: ImageId::parse("sha256:00").unwrap(),
            reference: "shop:v1".to_owned(),
            spec: Spec::default(),
            spec_hash: "0".to_owned(),
            hosts: Vec::new(),
            result: LedgerResult::Committed,
        }
    }

    #[test]
    fn a_write_cut_anywhere_leaves_the_history_before_it() {
        let old = Ledger::default().with(entry("a", 1));
        let new = old.with(entry("b", 2));
        assert_ne!(old.file_name(), new.file_name());
        let (before, after) = (old.render().unwrap(), new.render().unwrap());
        for cut in 0..after.len() {
            let read = Ledger::newest([before.as_str(), after.get(..cut).unwrap()]).unwrap();
            assert_eq!(read.as_ref(), Some(&old), "cut at {cut}");
        }
        assert_eq!(Ledger::newest([before.as_str(), &after]).unwrap(), Some(new));
    }

    #[test]
    fn a_newer_programs_ledger_is_not_read_and_so_never_rewritten() {
        let newer = r#"{"schema":2,"what":"else"}"#.to_owned() + "\n";
        let old = Ledger::default().with(entry("a", 1)).render().unwrap();
        assert_eq!(
            Ledger::newest([old.as_str(), &newer]),
            Err(Unread::Newer { schema: 2 })
        );
    }

    #[test]
    fn a_commit_written_twice_is_one_entry() {
        let once = Ledger::default().with(entry("a", 1));
        assert_eq!(once.with(entry("a", 1)).entries.len(), 1);
    }
}

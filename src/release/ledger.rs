//! The history of a service as each of its hosts stores it: NDJSON, newest last, without secrets.
//! Two files are written in turn, so that an interrupted write leaves the other one complete.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::adopt::Adopted;
use super::promote::Promoted;
use super::spec::Seals;
use crate::config::service::{Gate, Spec};
use crate::domain::ids::{HostName, ImageId, ReleaseNumber, RunId};
use crate::domain::reference::Reference;
use crate::domain::run::RunKind;
use crate::domain::units::Stamp;

/// The schema this version writes, and the newest it reads.
pub const SCHEMA: u32 = 1;
/// Entries kept; the file stays far below the limit of one PUT request.
const LONGEST: usize = 400;
const LONGEST_UNLOCKED: usize = 100;

/// The history of one service on one host, oldest entry first. Written by `runs::step::ledger` under the lock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Incremented by every write; of the two files the one with the higher generation counts.
    pub generation: u64,
    pub entries: Vec<LedgerEntry>,
    /// Locks removed by hand.
    pub unlocked: Vec<Unlocked>,
}

/// A lock that was removed by hand, and why; what its run left was not checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocked {
    pub at: Stamp,
    pub by: String,
    pub machine: String,
    pub why: String,
    /// The run that held it.
    pub unlocked: String,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Run(Box<LedgerEntry>),
    Unlocked(Unlocked),
}

/// One run in the history of a service: who did what when, and with what result. Enough to create the release again.
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
    #[serde(default)]
    pub git: Option<String>,
    /// Its digest in its registry, if it was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Reference>,
    /// Without the values of secrets.
    pub spec: Spec,
    pub spec_hash: String,
    /// Hashes of the secrets it ran with.
    #[serde(default, skip_serializing_if = "Seals::is_empty")]
    pub seals: Seals,
    /// Replicas per host. Earlier versions wrote neither this nor the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// The gate they passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    pub hosts: Vec<HostName>,
    /// The daemon ids of these hosts: another machine may use other host names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub daemons: BTreeMap<HostName, String>,
    /// Whether it covers all hosts of its run; `None`: written by an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<bool>,
    /// In a promotion: the release it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<Promoted>,
    /// Set if the release was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    pub result: LedgerResult,
}

impl LedgerEntry {
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.result == LedgerResult::Committed
    }

    /// Whether it covers all hosts of its run, regardless of the hosts the service has now. For entries of earlier versions
    /// only the names can be compared with `hosts`.
    #[must_use]
    pub fn is_whole(&self, hosts: &[HostName]) -> bool {
        self.whole
            .unwrap_or_else(|| hosts.iter().all(|host| self.hosts.contains(host)))
    }

    /// Whether it covers this host, whatever its name was then.
    #[must_use]
    pub fn was_for(&self, host: &HostName, daemon: Option<&str>) -> bool {
        match daemon.filter(|id| !id.is_empty()) {
            Some(id) if !self.daemons.is_empty() => self.daemons.values().any(|known| known == id),
            Some(_) | None => self.hosts.contains(host),
        }
    }

    /// Restricts it to these of its hosts.
    pub fn only_for(&mut self, kept: &BTreeSet<HostName>) {
        self.whole = Some(self.hosts.iter().all(|host| kept.contains(host)));
        self.hosts.retain(|host| kept.contains(host));
        self.daemons.retain(|host, _| kept.contains(host));
    }
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
    /// The hash of the lines after this one.
    sha256: String,
    /// The checksum of this line's own fields, because the generation decides between the two files. Earlier versions wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sum: Option<String>,
}

impl Header {
    fn check(&self) -> String {
        let fields = format!(
            "{} {} {} {}",
            self.schema, self.generation, self.entries, self.sha256
        );
        super::spec::short_hex(&Sha256::digest(fields.as_bytes()), 16)
    }
}

/// Why a ledger file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Incomplete or never written: the other file counts.
    Torn,
    Newer {
        schema: u32,
    },
}

impl Ledger {
    /// The file this generation is written to; the two alternate.
    #[must_use]
    pub fn file_name(&self) -> &'static str {
        if self.generation.is_multiple_of(2) {
            "history.0.ndjson"
        } else {
            "history.1.ndjson"
        }
    }

    /// The next generation, with `entry` last; an entry of the same run and result is not repeated.
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
            generation: self.generation.saturating_add(1),
            entries,
            unlocked: self.unlocked.clone(),
        }
    }

    /// The next generation, with an unlock added.
    #[must_use]
    pub fn with_unlocked(&self, unlocked: Unlocked) -> Self {
        let mut all = self.unlocked.clone();
        all.push(unlocked);
        let surplus = all.len().saturating_sub(LONGEST_UNLOCKED);
        all.drain(..surplus);
        Self {
            generation: self.generation.saturating_add(1),
            entries: self.entries.clone(),
            unlocked: all,
        }
    }

    /// Images of its runs that belong to none of these releases.
    #[must_use]
    pub fn images_beside(&self, keep: &BTreeSet<ReleaseNumber>) -> BTreeSet<ImageId> {
        let images = |wanted: bool| {
            let entries = self.entries.iter();
            entries
                .filter(move |entry| keep.contains(&entry.release) == wanted)
                .map(|entry| entry.image.clone())
        };
        let kept: BTreeSet<ImageId> = images(true).collect();
        images(false).filter(|image| !kept.contains(image)).collect()
    }

    /// Whether this run was committed.
    #[must_use]
    pub fn is_committed(&self, run: &RunId) -> bool {
        self.committed().any(|entry| entry.run == *run)
    }

    /// Whether this run was completely undone.
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
        self.entries.iter().filter(|entry| entry.is_committed())
    }

    /// The last commit of this release.
    #[must_use]
    pub fn release(&self, number: ReleaseNumber) -> Option<&LedgerEntry> {
        self.committed().rev().find(|entry| entry.release == number)
    }

    /// The highest release number ever assigned, including reverted releases.
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
        for unlocked in &self.unlocked {
            body.push_str(&serde_json::to_string(unlocked)?);
            body.push('\n');
        }
        let mut header = Header {
            schema: SCHEMA,
            generation: self.generation,
            entries: self.entries.len() + self.unlocked.len(),
            sha256: hex::encode(Sha256::digest(body.as_bytes())),
            sum: None,
        };
        header.sum = Some(header.check());
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
        if header.sha256 != hex::encode(Sha256::digest(body.as_bytes())) {
            return Err(Unread::Torn);
        }
        if header.sum.as_ref().is_some_and(|sum| *sum != header.check()) {
            return Err(Unread::Torn);
        }
        let mut ledger = Self {
            generation: header.generation,
            ..Self::default()
        };
        for line in body.lines() {
            match serde_json::from_str(line).map_err(torn)? {
                Line::Run(entry) => ledger.entries.push(*entry),
                Line::Unlocked(unlocked) => ledger.unlocked.push(unlocked),
            }
        }
        if ledger.entries.len() + ledger.unlocked.len() != header.entries {
            return Err(Unread::Torn);
        }
        Ok(ledger)
    }

    /// The newest complete file. A file of a newer version takes precedence, because it must not be overwritten.
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
pub(super) mod tests {
    use super::*;

    pub(in crate::release) fn entry(run: &str, release: u32) -> LedgerEntry {
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
            git: None,
            digest: None,
            spec: Spec::default(),
            spec_hash: "0".to_owned(),
            seals: Seals::new(),
            replicas: None,
            gate: None,
            hosts: Vec::new(),
            daemons: BTreeMap::new(),
            whole: None,
            promoted: None,
            adopted: None,
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
    fn a_lock_taken_away_is_kept_with_who_and_why_and_is_no_release() {
        let unlocked = Unlocked {
            at: Stamp::from_seconds(2),
            by: "ops-b".to_owned(),
            machine: "bastion-2".to_owned(),
            why: "its bastion burnt down".to_owned(),
            unlocked: "a".to_owned(),
        };
        let ledger = Ledger::default()
            .with(entry("a", 1))
            .with_unlocked(unlocked.clone())
            .with(entry("b", 2));
        let read = Ledger::parse(&ledger.render().unwrap()).unwrap();
        assert_eq!(read, ledger);
        assert_eq!(read.unlocked, [unlocked]);
        assert_eq!(read.highest(), Some(ReleaseNumber(2)));
    }

    #[test]
    fn an_image_is_spent_when_no_kept_release_has_it() {
        let with = |ledger: &Ledger, run: &str, release: u32, image: &str| {
            ledger.with(LedgerEntry {
                image: ImageId::parse(image).unwrap(),
                ..entry(run, release)
            })
        };
        let mut ledger = Ledger::default();
        for (run, release, image) in [
            ("a", 1, "sha256:01"),
            ("b", 2, "sha256:02"),
            ("c", 3, "sha256:01"),
            ("d", 4, "sha256:04"),
        ] {
            ledger = with(&ledger, run, release, image);
        }
        let keep = BTreeSet::from([ReleaseNumber(3), ReleaseNumber(4)]);
        assert_eq!(
            ledger.images_beside(&keep),
            BTreeSet::from([ImageId::parse("sha256:02").unwrap()])
        );
    }

    #[test]
    fn a_bit_flipped_anywhere_is_found_and_the_other_file_counts() {
        let old = Ledger::default().with(entry("a", 1));
        let new = old.with(LedgerEntry {
            result: LedgerResult::Reverted {
                why: "committed".to_owned(),
            },
            ..entry("b", 2)
        });
        let before = old.render().unwrap();
        let bytes = new.render().unwrap().into_bytes();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let text = String::from_utf8_lossy(&bytes);
                let read = Ledger::newest([before.as_str(), &text]);
                assert!(
                    matches!(&read, Ok(Some(seen)) if *seen == old || *seen == new)
                        || matches!(read, Err(Unread::Newer { .. })),
                    "byte {at}, bit {bit}: {read:?}"
                );
            }
        }
    }

    #[test]
    fn what_a_program_before_the_check_of_the_first_line_wrote_is_read() {
        let ledger = Ledger::default().with(entry("a", 1));
        let text = ledger.render().unwrap();
        let (first, body) = text.split_once('\n').unwrap();
        let (first, _) = first.split_once(",\"sum\"").unwrap();
        assert_eq!(Ledger::parse(&format!("{first}}}\n{body}")), Ok(ledger));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,200}(\n\\PC{0,100}){0,3}") {
            proptest::prop_assert!(Ledger::parse(&text).is_err());
        }

        #[test]
        fn whatever_generation_it_says_it_is_gone_on_with(generation: u64) {
            let ledger = Ledger { generation, ..Ledger::default() }.with(entry("a", 1));
            proptest::prop_assert_eq!(Ledger::parse(&ledger.render().unwrap()), Ok(ledger));
        }
    }

    #[test]
    fn a_commit_written_twice_is_one_entry() {
        let once = Ledger::default().with(entry("a", 1));
        assert_eq!(once.with(entry("a", 1)).entries.len(), 1);
    }
}

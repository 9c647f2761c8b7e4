//! The lines of a journal as bytes: each ends with a checksum over itself and the line before it, so that a changed, lost,
//! duplicated or moved line is detected.
//! Journals of versions without checksums are still read; from the first line with one on, every line must have one.

use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::domain::fault::Fault;
use crate::release::record::{Record, SCHEMA};
use crate::release::spec::short_hex;

const KEY: &[u8] = b",\"sum\":\"";
const END: &[u8] = b"\"}\n";
/// Hex digits: enough to detect accidents, not forgeries.
const DIGITS: usize = 16;

/// The position in a journal up to which it was read or written.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The number of the last record.
    last: Option<u64>,
    /// Its checksum; empty if it has none.
    sum: String,
    /// The number of lines so far, for messages.
    lines: usize,
}

impl Chain {
    /// The line of the next record, with its checksum.
    pub fn line(&mut self, record: &Record) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(record)?;
        let sum = self.check(&line);
        line.pop();
        line.extend([KEY, sum.as_bytes(), END].concat());
        self.follow(record.n, sum);
        Ok(line)
    }

    /// The complete records at the beginning of `bytes`, which continue what was read before, and their length in bytes.
    pub fn read(&mut self, bytes: &[u8], path: &Path) -> Result<(Vec<Record>, u64), Fault> {
        let mut records: Vec<Record> = Vec::new();
        let mut whole: u64 = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.last() != Some(&b'\n') {
                break;
            }
            let record = self.record(line).map_err(|why| {
                let what = format!("read line {} of the journal {}", self.lines + 1, path.display());
                Fault::new(what, why).hint(
                    "a damaged journal is not used; the locks and ledgers on the hosts have what is needed: pilothouse recover",
                )
            })?;
            whole += u64::try_from(line.len()).unwrap_or(0);
            records.push(record);
        }
        Ok((records, whole))
    }

    fn record(&mut self, line: &[u8]) -> Result<Record, String> {
        let said = |error: serde_json::Error| error.to_string();
        let schema = serde_json::from_slice::<serde_json::Value>(line)
            .map_err(said)?
            .get("schema")
            .and_then(serde_json::Value::as_u64);
        if schema != Some(u64::from(SCHEMA)) {
            return Err("it was written by another version of Pilothouse".to_owned());
        }
        let record: Record = serde_json::from_slice(line).map_err(said)?;
        if self
            .last
            .is_some_and(|last| last.checked_add(1) != Some(record.n))
        {
            return Err("a record before it is missing".to_owned());
        }
        let sum = match checked(line) {
            Some((body, sum)) if self.check(&body) == sum => sum,
            Some(_) => {
                return Err("it was changed after it was written: its checksum does not match".to_owned());
            }
            None if self.sum.is_empty() => String::new(),
            None => return Err("it was changed after it was written: it has no checksum".to_owned()),
        };
        self.follow(record.n, sum);
        Ok(record)
    }

    fn follow(&mut self, n: u64, sum: String) {
        self.last = Some(n);
        self.sum = sum;
        self.lines += 1;
    }

    fn check(&self, body: &[u8]) -> String {
        let mut hash = Sha256::new();
        hash.update(self.sum.as_bytes());
        hash.update(body);
        short_hex(&hash.finalize(), DIGITS)
    }

    /// The number of the next record.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.last.map_or(1, |last| last.saturating_add(1))
    }
}

/// A line without its checksum, and the checksum.
fn checked(line: &[u8]) -> Option<(Vec<u8>, String)> {
    let rest = line.strip_suffix(END)?;
    let (rest, sum) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let mut body = rest.strip_suffix(KEY)?.to_vec();
    body.push(b'}');
    Some((body, String::from_utf8_lossy(sum).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::HostName;
    use crate::domain::run::Outcome;
    use crate::domain::units::Stamp;
    use crate::release::record::{Entry, Finding};
    use crate::release::stage::{Stage, Step};

    /// A run that needed a human, and everything in it that could be taken for a success.
    fn entries() -> Vec<Entry> {
        let step = |stage| Step {
            stage,
            host: HostName::parse("web-1").unwrap(),
        };
        let committed = |yes| Finding::Committed {
            yes,
            superseded: false,
            undone: false,
            part: None,
        };
        vec![
            Entry::Intent(step(Stage::Commit)),
            Entry::Note("outcome converged, exit 0".to_owned()),
            Entry::Done {
                step: step(Stage::Inquire),
                took: std::time::Duration::from_millis(3),
                finding: committed(false),
            },
            Entry::Text {
                step: step(Stage::Gate),
                text: "\"sum\":\"0123456789abcdef\"}".to_owned(),
            },
            Entry::Closed {
                outcome: Outcome::NeedsHuman {
                    why: "converged".to_owned(),
                    differences: vec!["web-1: shop.r1.1 is gone".to_owned()],
                },
                exit: crate::domain::exit::Exit::NeedsHuman,
                hints: vec!["look at it".to_owned()],
            },
        ]
    }

    fn written(chain: &mut Chain) -> (Vec<Record>, Vec<Vec<u8>>) {
        let mut lines = Vec::new();
        let mut records = Vec::new();
        for entry in entries() {
            let record = Record {
                schema: SCHEMA,
                n: chain.next(),
                at: Stamp(7),
                entry,
            };
            lines.push(chain.line(&record).unwrap());
            records.push(record);
        }
        (records, lines)
    }

    fn read(bytes: &[u8]) -> Result<Vec<Record>, Fault> {
        Ok(Chain::default().read(bytes, &PathBuf::from("journal"))?.0)
    }

    /// Read as what was written, as the beginning of it, or not at all.
    fn is_true_or_damaged(bytes: &[u8]) -> bool {
        let (records, _) = written(&mut Chain::default());
        read(bytes).map_or(true, |seen| records.starts_with(&seen))
    }

    #[test]
    fn what_is_written_is_read_in_pieces_as_at_once() {
        let (records, lines) = written(&mut Chain::default());
        assert_eq!(read(&lines.concat()).unwrap(), records);
        let mut chain = Chain::default();
        let mut seen = Vec::new();
        for line in &lines {
            seen.extend(chain.read(line, &PathBuf::from("journal")).unwrap().0);
        }
        assert_eq!(seen, records);
    }

    #[test]
    fn what_a_program_before_the_check_wrote_is_read_and_gone_on_with() {
        let (records, _) = written(&mut Chain::default());
        let mut old = Vec::new();
        for record in &records {
            old.extend(serde_json::to_vec(record).unwrap());
            old.push(b'\n');
        }
        let mut chain = Chain::default();
        let path = PathBuf::from("journal");
        assert_eq!(chain.read(&old, &path).unwrap().0, records);
        let mut next = records[1].clone();
        next.n = chain.next();
        old.extend(chain.clone().line(&next).unwrap());
        assert_eq!(read(&old).unwrap().len(), records.len() + 1);
        // Not the other way round.
        next.n += 1;
        old.extend(serde_json::to_vec(&next).unwrap());
        old.push(b'\n');
        let fault = read(&old).unwrap_err();
        assert!(fault.why.contains("no checksum"), "{fault}");
    }

    #[test]
    fn every_bit_that_is_flipped_is_found() {
        let bytes = written(&mut Chain::default()).1.concat();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(is_true_or_damaged(&bytes), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn every_line_that_is_lost_doubled_or_moved_is_found() {
        let (_, lines) = written(&mut Chain::default());
        for at in 0..lines.len() {
            let (mut lost, mut doubled) = (lines.clone(), lines.clone());
            lost.remove(at);
            doubled.insert(at, lines[at].clone());
            assert!(is_true_or_damaged(&lost.concat()), "{at} lost");
            assert!(is_true_or_damaged(&doubled.concat()), "{at} doubled");
            for other in 0..at {
                let mut moved = lines.clone();
                moved.swap(at, other);
                assert!(read(&moved.concat()).is_err(), "{at} and {other}");
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(read(&bytes).map_or(true, |seen| seen.is_empty()));
        }

        #[test]
        fn a_mangled_journal_is_read_as_it_was_or_as_damaged(
            cut in any::<prop::sample::Index>(),
            blows in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4),
        ) {
            let mut bytes = written(&mut Chain::default()).1.concat();
            for (at, byte, how) in blows {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            prop_assert!(is_true_or_damaged(&bytes));
        }
    }
}

//! Log lines in a bounded ring, in time order across sources.
//! What does not fit is dropped from the old end and counted: nothing is lost without being said.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::ContainerKey;
use super::units::Stamp;

/// One view of logs; given out by the model, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FollowId(pub u64);

/// How far back a follow begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogRange {
    /// The last lines of each source, then what comes.
    Tail(u32),
    /// Everything of this last while (asked for by time), then what comes.
    Last(Duration),
    All,
    /// What was written after what came already, then what comes.
    After(Reached),
}

/// How far a container's log was read: of each stream the last moment, and how many lines had just that moment.
/// What a container writes to one stream does not go back in time; its two streams are written beside each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reached {
    pub out: (Stamp, u32),
    pub err: (Stamp, u32),
}

impl Reached {
    /// This line came.
    pub fn line(&mut self, stream: Stream, at: Stamp) {
        let mark = match stream {
            Stream::Out | Stream::Console => &mut self.out,
            Stream::Err => &mut self.err,
            Stream::Notice => return,
        };
        *mark = match *mark {
            (last, count) if last == at => (last, count.saturating_add(1)),
            _ => (at, 1),
        };
    }

    /// Did anything come at all?
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.out.1 > 0 || self.err.1 > 0
    }

    /// The last moment of any line.
    #[must_use]
    pub fn last(&self) -> Stamp {
        self.out.0.max(self.err.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    Out,
    Err,
    /// A terminal's: both together.
    Console,
    /// Ours: "… 1 203 lines skipped", "web-2 lost, resuming".
    Notice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The daemon's clock.
    pub at: Stamp,
    /// Which of the followed containers.
    pub source: Arc<ContainerKey>,
    pub stream: Stream,
    /// Without its line end; as it came, escape codes and all: it is cleaned when drawn.
    pub text: Box<str>,
}

/// What a follower hands over at once, in time order, with what it had to leave out before these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBatch {
    pub lines: Vec<LogLine>,
    pub skipped: u64,
}

/// The last lines of a view, bounded by lines and by bytes.
#[derive(Clone, Debug)]
pub struct LogRing {
    lines: VecDeque<LogLine>,
    bytes: usize,
    max_lines: usize,
    max_bytes: usize,
    /// Lines that were here and had to go, and lines the follower left out.
    skipped: u64,
    /// Number of the first line in the ring: lines keep their number for life, so a view stays put while old ones go.
    first: u64,
}

impl LogRing {
    #[must_use]
    pub fn new(max_lines: usize, max_bytes: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            bytes: 0,
            max_lines: max_lines.max(1),
            max_bytes,
            skipped: 0,
            first: 0,
        }
    }

    pub fn push(&mut self, batch: LogBatch) {
        self.skip(batch.skipped);
        for line in batch.lines {
            self.push_line(line);
        }
    }

    /// Lines that never came.
    pub fn skip(&mut self, lines: u64) {
        self.skipped = self.skipped.saturating_add(lines);
    }

    /// The number the line got; smaller than the newest when it came late: then all after it moved on by one.
    pub fn push_line(&mut self, line: LogLine) -> u64 {
        self.bytes += weight(&line);
        let number = self.first + self.insert(line) as u64;
        while self.lines.len() > self.max_lines || (self.bytes > self.max_bytes && self.lines.len() > 1) {
            if let Some(old) = self.lines.pop_front() {
                self.bytes -= weight(&old);
                self.first += 1;
                self.skipped = self.skipped.saturating_add(1);
            }
        }
        number
    }

    /// A late line of another source goes to its place in time, but never before lines of its own source.
    fn insert(&mut self, line: LogLine) -> usize {
        let mut at = self.lines.len();
        while let Some(before) = at.checked_sub(1).and_then(|index| self.lines.get(index)) {
            if before.at <= line.at || before.source == line.source {
                break;
            }
            at -= 1;
        }
        self.lines.insert(at, line);
        at
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The number of the oldest line that is still here.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&LogLine> {
        self.lines
            .get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    /// Oldest first, with their numbers.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &LogLine)> + ExactSizeIterator {
        self.lines
            .iter()
            .enumerate()
            .map(|(index, line)| (self.first + index as u64, line))
    }
}

/// Bytes that a line costs here, its own and the bookkeeping's.
fn weight(line: &LogLine) -> usize {
    line.text.len() + size_of::<LogLine>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ContainerId, HostName};

    fn line(host: &str, at: i64, text: &str) -> LogLine {
        let key = ContainerKey {
            host: HostName::parse(host).unwrap(),
            id: ContainerId::parse("c1").unwrap(),
        };
        LogLine {
            at: Stamp(at),
            source: Arc::new(key),
            stream: Stream::Out,
            text: text.into(),
        }
    }

    fn texts(ring: &LogRing) -> Vec<&str> {
        ring.iter().map(|(_, line)| &*line.text).collect()
    }

    #[test]
    fn what_does_not_fit_is_dropped_from_the_old_end_and_counted() {
        let mut ring = LogRing::new(2, 1 << 20);
        ring.push(LogBatch {
            lines: vec![line("a", 1, "one"), line("a", 2, "two"), line("a", 3, "three")],
            skipped: 4,
        });
        assert_eq!(texts(&ring), ["two", "three"]);
        assert_eq!((ring.skipped(), ring.first()), (5, 1));
    }

    #[test]
    fn a_late_line_of_another_host_goes_to_its_place_in_time() {
        let mut ring = LogRing::new(10, 1 << 20);
        ring.push(LogBatch {
            lines: vec![line("a", 1, "a1"), line("a", 5, "a5"), line("b", 3, "b3")],
            skipped: 0,
        });
        assert_eq!(texts(&ring), ["a1", "b3", "a5"]);
    }

    #[test]
    fn lines_of_one_source_keep_their_order_whatever_their_clock_says() {
        let mut ring = LogRing::new(10, 1 << 20);
        ring.push(LogBatch {
            lines: vec![line("a", 5, "first"), line("a", 1, "second")],
            skipped: 0,
        });
        assert_eq!(texts(&ring), ["first", "second"]);
    }
}

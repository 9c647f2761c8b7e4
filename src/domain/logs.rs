//! Log lines in a bounded ring, ordered by time across sources.
//! The oldest lines are dropped when it is full; dropped lines are counted.

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
    /// The last lines of each source, then new ones.
    Tail(u32),
    /// All lines of this last period, then new ones.
    Last(Duration),
    All,
    /// Lines after those already received, then new ones.
    After(Reached),
}

/// How far a container's log was read: the last timestamp of each stream, and how many lines had it.
/// Timestamps of one stream never decrease; the two streams are independent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reached {
    pub out: (Stamp, u32),
    pub err: (Stamp, u32),
}

impl Reached {
    /// Records a received line.
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

    /// Whether any line was received.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.out.1 > 0 || self.err.1 > 0
    }

    /// The latest timestamp.
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
    /// Both together, of a container with a TTY.
    Console,
    /// A notice of this program: "… 1 203 lines skipped", "web-2 lost, resuming".
    Notice,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The daemon's clock.
    pub at: Stamp,
    /// Which of the followed containers.
    pub source: Arc<ContainerKey>,
    pub stream: Stream,
    /// Without its line end, including escape codes; it is cleaned when drawn.
    pub text: Box<str>,
}

/// Lines a follower delivers together, in time order, with the number of lines skipped before them.
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
    /// Lines dropped here and lines skipped by the follower.
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

    /// Counts lines that were skipped.
    pub fn skip(&mut self, lines: u64) {
        self.skipped = self.skipped.saturating_add(lines);
    }

    /// Returns the number of the line. A late line is inserted, and the numbers of all later lines grow by one.
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

    /// The number of the oldest line in the ring.
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

/// Bytes a line uses, including bookkeeping.
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

    #[test]
    fn bytes_are_bounded_as_lines_are_and_one_line_always_stays() {
        let each = weight(&line("a", 1, "12345"));
        let mut ring = LogRing::new(100, 2 * each);
        ring.push(LogBatch {
            lines: ["11111", "22222", "33333"].map(|text| line("a", 1, text)).into(),
            skipped: 0,
        });
        assert_eq!(texts(&ring), ["22222", "33333"]);
        assert_eq!((ring.bytes(), ring.skipped(), ring.first()), (2 * each, 1, 1));
        let long = "x".repeat(3 * each);
        ring.push_line(line("a", 2, &long));
        assert_eq!(texts(&ring), [long.as_str()]);
        assert_eq!((ring.skipped(), ring.first()), (3, 3));
        ring.push_line(line("a", 3, "after"));
        assert_eq!(texts(&ring), ["after"]);
    }
}

//! Which lines of a ring match, updated a bounded number of lines at a time, newest first.
//! Lines are identified by number; an invalid pattern is reported and matches nothing.

use std::collections::VecDeque;

use regex::{Regex, RegexBuilder};

use crate::domain::logs::{LogLine, LogRing};

/// A pattern may not compile to more than this.
const LARGEST: usize = 1 << 20;

/// The regular expression that a person typed; without capitals it ignores case.
pub fn pattern(text: &str) -> Result<Regex, String> {
    let careless = !text.chars().any(char::is_uppercase);
    RegexBuilder::new(text)
        .case_insensitive(careless)
        .size_limit(LARGEST)
        .build()
        .map_err(|fault| match fault {
            regex::Error::Syntax(said) => said
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ")
                .to_owned(),
            other => other.to_string(),
        })
}

/// The numbers of the lines that a test holds for, over a growing stretch of the ring.
#[derive(Clone, Debug)]
pub struct Index {
    hits: VecDeque<u64>,
    /// The stretch that was tested: from this number …
    from: u64,
    /// … up to but without this one.
    to: u64,
}

impl Index {
    /// Nothing is tested yet; begins at the newest line.
    #[must_use]
    pub fn new(ring: &LogRing) -> Self {
        let end = end(ring);
        Self {
            hits: VecDeque::new(),
            from: end,
            to: end,
        }
    }

    /// Ascending.
    #[must_use]
    pub fn hits(&self) -> &VecDeque<u64> {
        &self.hits
    }

    /// Lines that were tested and did not match.
    #[must_use]
    pub fn misses(&self) -> u64 {
        (self.to - self.from).saturating_sub(self.hits.len() as u64)
    }

    #[must_use]
    pub fn is_complete(&self, ring: &LogRing) -> bool {
        self.from <= ring.first() && self.to == end(ring)
    }

    /// Tests at most `budget` lines that were not tested yet, new ones before old ones.
    pub fn advance(&mut self, ring: &LogRing, mut budget: usize, test: impl Fn(&LogLine) -> bool) {
        self.forget_before(ring.first());
        let end = end(ring);
        while self.to < end && budget > 0 {
            if ring.get(self.to).is_some_and(&test) {
                self.hits.push_back(self.to);
            }
            self.to += 1;
            budget -= 1;
        }
        while self.from > ring.first() && budget > 0 {
            self.from -= 1;
            if ring.get(self.from).is_some_and(&test) {
                self.hits.push_front(self.from);
            }
            budget -= 1;
        }
    }

    /// A line came late and took this number: all from there on moved by one.
    pub fn inserted(&mut self, number: u64, ring: &LogRing, test: impl Fn(&LogLine) -> bool) {
        if number >= self.to {
            return;
        }
        self.to += 1;
        if number < self.from {
            self.from += 1;
        }
        let at = self.hits.partition_point(|hit| *hit < number);
        for hit in self.hits.range_mut(at..) {
            *hit += 1;
        }
        if number >= self.from && ring.get(number).is_some_and(test) {
            self.hits.insert(at, number);
        }
    }

    fn forget_before(&mut self, first: u64) {
        while self.hits.front().is_some_and(|hit| *hit < first) {
            self.hits.pop_front();
        }
        self.from = self.from.max(first);
        self.to = self.to.max(self.from);
    }
}

/// The number that the next line will get.
#[must_use]
pub fn end(ring: &LogRing) -> u64 {
    ring.first() + ring.len() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::ids::{ContainerId, ContainerKey, HostName};
    use crate::domain::logs::{LogBatch, Stream};
    use crate::domain::units::Stamp;

    fn line(at: i64, text: &str) -> LogLine {
        LogLine {
            at: Stamp(at),
            source: Arc::new(ContainerKey {
                host: HostName::parse("web-1").unwrap(),
                id: ContainerId::parse("a1").unwrap(),
            }),
            stream: Stream::Out,
            text: text.into(),
        }
    }

    fn push(ring: &mut LogRing, texts: &[&str]) {
        let lines = texts.iter().map(|text| line(0, text)).collect();
        ring.push(LogBatch { lines, skipped: 0 });
    }

    fn has_x(line: &LogLine) -> bool {
        line.text.contains('x')
    }

    #[test]
    fn new_lines_are_tested_before_old_ones_and_never_more_than_asked() {
        let mut ring = LogRing::new(100, 1 << 20);
        push(&mut ring, &["x", "a", "x", "a"]);
        let mut index = Index::new(&ring);
        push(&mut ring, &["x"]);
        index.advance(&ring, 2, has_x);
        assert_eq!((index.hits(), index.misses()), (&VecDeque::from([4]), 1));
        assert!(!index.is_complete(&ring));
        index.advance(&ring, 100, has_x);
        assert_eq!((index.hits(), index.misses()), (&VecDeque::from([0, 2, 4]), 2));
        assert!(index.is_complete(&ring));
    }

    #[test]
    fn what_falls_out_of_the_ring_is_forgotten() {
        let mut ring = LogRing::new(3, 1 << 20);
        push(&mut ring, &["x", "a", "x"]);
        let mut index = Index::new(&ring);
        index.advance(&ring, 100, has_x);
        push(&mut ring, &["a", "x"]);
        index.advance(&ring, 100, has_x);
        assert_eq!((index.hits(), index.misses()), (&VecDeque::from([2, 4]), 1));
    }

    #[test]
    fn patterns_without_capitals_ignore_case_and_bad_ones_say_why() {
        assert!(pattern("error").unwrap().is_match("ERROR"));
        assert!(!pattern("Error").unwrap().is_match("ERROR"));
        assert_eq!(pattern("a(").unwrap_err(), "unclosed group");
        assert!(pattern("(a{1000}){1000}").is_err());
    }
}

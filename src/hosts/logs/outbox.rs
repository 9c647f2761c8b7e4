//! Merged lines waiting for their reader, gathered into batches.
//! If the reader is too slow the oldest half is dropped and counted, so memory is bounded.

use std::time::{Duration, Instant};

use crate::domain::logs::{LogBatch, LogLine};

/// The pause between batches in a flood; a single line is sent at once.
const BETWEEN: Duration = Duration::from_millis(15);
/// A batch of this size is sent at once.
const FULL_BATCH: usize = 1_024;
/// The limits of held lines and bytes.
const HELD_LINES: usize = 8_192;
const HELD_BYTES: usize = 4 << 20;
/// After this time without reading (a lent terminal, a pager), lines are dropped.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Outbox {
    lines: Vec<LogLine>,
    skipped: u64,
    /// When a batch was last taken.
    taken: Option<Instant>,
    /// Since when it is full.
    full_since: Option<Instant>,
}

impl Outbox {
    /// The lines, for the merge to append at most `room`.
    pub(super) fn lines(&mut self) -> &mut Vec<LogLine> {
        &mut self.lines
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.skipped == 0
    }

    pub(super) fn room(&self) -> usize {
        let is_heavy = self.lines.len() > HELD_LINES / 16
            && self.lines.iter().map(|line| line.text.len()).sum::<usize>() > HELD_BYTES;
        if is_heavy {
            0
        } else {
            HELD_LINES.saturating_sub(self.lines.len())
        }
    }

    /// Whether a batch should be sent now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        !self.is_empty()
            && (self.lines.len() >= FULL_BATCH || self.taken.is_none_or(|taken| now >= taken + BETWEEN))
    }

    /// When it needs attention without new input.
    pub(super) fn due_at(&mut self) -> Option<Instant> {
        if self.is_empty() {
            return None;
        }
        let now = Instant::now();
        if self.room() == 0 {
            return Some(*self.full_since.get_or_insert(now) + PATIENCE);
        }
        self.full_since = None;
        // One that is due waits for its reader, not for a moment.
        self.taken.map(|taken| taken + BETWEEN).filter(|&at| at > now)
    }

    pub(super) fn take(&mut self, now: Instant) -> LogBatch {
        self.taken = Some(now);
        self.full_since = None;
        LogBatch {
            lines: std::mem::take(&mut self.lines),
            skipped: std::mem::take(&mut self.skipped),
        }
    }

    /// Drops the older half if the reader was too slow.
    pub(super) fn shed(&mut self, now: Instant) {
        if self.full_since.is_some_and(|since| now >= since + PATIENCE) {
            let half = self.lines.len() / 2;
            self.skipped += self.lines.drain(..half).count() as u64;
            self.full_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::ids::{ContainerId, ContainerKey, HostName};
    use crate::domain::logs::Stream;
    use crate::domain::units::Stamp;

    fn line() -> LogLine {
        let key = ContainerKey {
            host: HostName::parse("a").unwrap(),
            id: ContainerId::parse("c").unwrap(),
        };
        LogLine {
            at: Stamp(0),
            source: Arc::new(key),
            stream: Stream::Out,
            text: "x".into(),
        }
    }

    #[test]
    fn a_single_line_goes_at_once_and_the_next_ones_together() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.lines().push(line());
        assert!(outbox.is_due(now));
        outbox.take(now);
        outbox.lines().push(line());
        assert!(!outbox.is_due(now));
        assert!(outbox.is_due(now + BETWEEN));
    }

    #[test]
    fn a_reader_that_stays_away_loses_the_older_half_and_is_told() {
        let mut outbox = Outbox::default();
        outbox.lines().resize_with(HELD_LINES, line);
        assert_eq!(outbox.room(), 0);
        let limit = outbox.due_at().unwrap();
        outbox.shed(Instant::now());
        assert_eq!(outbox.room(), 0);
        outbox.shed(limit);
        let batch = outbox.take(limit);
        assert_eq!(
            (batch.lines.len(), batch.skipped),
            (HELD_LINES / 2, HELD_LINES as u64 / 2)
        );
    }
}

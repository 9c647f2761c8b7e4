//! Which lines were already passed on, so that a reopened stream neither repeats nor loses lines.
//! Compares timestamp and text; the timestamp alone only if there were more lines than are remembered.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::pieces::Line;
use crate::domain::logs::{LogRange, Stream};
use crate::domain::units::Stamp;

/// The two streams are written concurrently; their timestamps differ by less than this.
const OVERLAP: Duration = Duration::from_millis(500);

/// Lines remembered per stream: more than most containers write within `OVERLAP`.
const KEPT: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Seen {
    out: Track,
    err: Track,
}

/// The state of one stream.
#[derive(Debug, Default)]
struct Track {
    /// Timestamp of the newest dropped line, and how many dropped lines share it.
    floor: (Stamp, u32),
    /// Timestamp and text hash of the latest lines, in stream order.
    lines: VecDeque<(Stamp, u64)>,
    /// The highest timestamp among them: the last one's, unless the daemon's clock was set back.
    top: Stamp,
    /// The index in `lines` from which the open stream may repeat lines.
    next: usize,
    /// How many lines with the floor's timestamp it may still repeat; `None`: it is past them.
    below: Option<u32>,
}

impl Seen {
    /// Lines before the range are not passed on again.
    pub(super) fn new(range: LogRange) -> Self {
        let track = |floor: (Stamp, u32)| Track {
            floor,
            below: Some(floor.1),
            ..Track::default()
        };
        match range {
            LogRange::After(reached) => Self {
                out: track(reached.out),
                err: track(reached.err),
            },
            LogRange::Tail(_) | LogRange::Last(_) | LogRange::All => Self::default(),
        }
    }

    /// The latest timestamp.
    pub(super) fn last(&self) -> Option<Stamp> {
        let last = self.out.last().max(self.err.last());
        (last > Stamp(0)).then_some(last)
    }

    /// The start time of a request that misses nothing.
    pub(super) fn since(&self) -> Option<Stamp> {
        self.last().map(|last| last.minus(OVERLAP))
    }

    /// To be called when the stream was reopened: it repeats lines after `since`.
    pub(super) fn reopened(&mut self) {
        for track in [&mut self.out, &mut self.err] {
            track.next = 0;
            track.below = Some(track.floor.1);
        }
    }

    /// To be called when it was reopened after the clock was set back: timestamps do not identify repeated lines.
    pub(super) fn reopened_after_set_back(&mut self) {
        for track in [&mut self.out, &mut self.err] {
            track.next = 0;
            track.below = None;
        }
    }

    /// Whether this line is new; marks it as seen.
    pub(super) fn is_new(&mut self, line: &Line) -> bool {
        let track = match line.stream {
            Stream::Out | Stream::Console => &mut self.out,
            Stream::Err => &mut self.err,
            Stream::Notice => return true,
        };
        track.is_new(line)
    }
}

impl Track {
    fn last(&self) -> Stamp {
        self.lines.back().map_or(self.floor.0, |(at, _)| *at)
    }

    fn is_new(&mut self, line: &Line) -> bool {
        if let Some(left) = &mut self.below {
            if line.at < self.floor.0 {
                return false;
            }
            if line.at == self.floor.0 && *left > 0 {
                *left -= 1;
                return false;
            }
        }
        self.below = None;
        let mut words = DefaultHasher::new();
        line.text.hash(&mut words);
        let this = (line.at, words.finish());
        if let Some(known) = self.find(this) {
            self.next = known + 1;
            return false;
        }
        if self.lines.len() == KEPT {
            self.forget_first();
        }
        if self.lines.is_empty() && self.floor.0 < line.at {
            // What is older is before what was asked for: the end of a log may be asked for with a part of a second.
            self.floor = (line.at, 0);
        }
        self.lines.push_back(this);
        self.top = self.top.max(line.at);
        self.next = self.lines.len();
        true
    }

    fn find(&self, this: (Stamp, u64)) -> Option<usize> {
        let from = |first: usize| {
            let mut known = self.lines.iter().enumerate().skip(first);
            known.find(|(_, known)| **known == this).map(|(at, _)| at)
        };
        // Docker 20.10 sends some lines again, out of a stream that is open, when it begins a new log file.
        from(self.next).or_else(|| (this.0 < self.top).then(|| from(0)).flatten())
    }

    fn forget_first(&mut self) {
        let Some((at, _)) = self.lines.pop_front() else {
            return;
        };
        self.floor = match self.floor {
            (floor, count) if floor == at => (at, count + 1),
            _ => (at, 1),
        };
        if at == self.top {
            self.top = self.lines.iter().map(|(at, _)| *at).max().unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: i64, stream: Stream) -> Line {
        Line {
            at: Stamp(at),
            stream,
            text: "x".into(),
        }
    }

    fn feed(seen: &mut Seen, lines: &[(i64, Stream)]) -> usize {
        lines
            .iter()
            .filter(|(at, stream)| seen.is_new(&line(*at, *stream)))
            .count()
    }

    #[test]
    fn what_is_repeated_is_skipped_even_at_equal_moments_and_what_is_new_is_not() {
        use Stream::Out;
        let mut seen = Seen::default();
        assert_eq!(feed(&mut seen, &[(1, Out), (2, Out), (2, Out)]), 3);
        seen.reopened();
        assert_eq!(
            feed(&mut seen, &[(1, Out), (2, Out), (2, Out), (2, Out), (3, Out)]),
            2
        );
    }

    #[test]
    fn who_comes_back_is_given_only_what_was_written_since() {
        use crate::domain::logs::Reached;
        use Stream::{Err, Out};
        let mut reached = Reached::default();
        for (at, stream) in [(1, Out), (3, Out), (3, Out), (2, Err)] {
            reached.line(stream, Stamp(at));
        }
        let mut seen = Seen::new(LogRange::After(reached));
        assert_eq!(seen.last(), Some(Stamp(3)));
        let again = [(2, Err), (3, Out), (3, Out), (3, Out), (3, Err), (4, Out)];
        assert_eq!(feed(&mut seen, &again), 3);
    }

    #[test]
    fn what_an_open_stream_repeats_when_its_file_is_changed_is_skipped() {
        use Stream::Out;
        let mut seen = Seen::default();
        assert_eq!(feed(&mut seen, &[(1, Out), (2, Out), (3, Out)]), 3);
        assert_eq!(feed(&mut seen, &[(2, Out), (3, Out), (4, Out)]), 1);
    }

    #[test]
    fn a_daemon_whose_clock_was_set_back_is_still_heard() {
        use Stream::Out;
        let hour = 3_600_000_000_000;
        let mut seen = Seen::default();
        assert_eq!(
            feed(&mut seen, &[(2 * hour, Out), (hour, Out), (hour + 1, Out)]),
            3
        );
    }

    #[test]
    fn a_stream_that_lags_the_other_loses_nothing() {
        use Stream::{Err, Out};
        let mut seen = Seen::default();
        assert_eq!(feed(&mut seen, &[(5, Out), (4, Err)]), 2);
        seen.reopened();
        assert_eq!(feed(&mut seen, &[(4, Err), (5, Out), (5, Err), (6, Out)]), 2);
    }

    #[test]
    fn what_was_written_before_the_tail_that_was_asked_for_is_not_handed_on_later() {
        use Stream::Out;
        let mut seen = Seen::default();
        assert_eq!(feed(&mut seen, &[(41, Out), (42, Out)]), 2);
        seen.reopened();
        let again = [(39, Out), (40, Out), (41, Out), (42, Out), (43, Out)];
        assert_eq!(feed(&mut seen, &again), 1);
    }

    #[test]
    fn a_clock_that_steps_back_by_seconds_in_an_open_stream_loses_no_line() {
        use Stream::Out;
        let second = 1_000_000_000;
        let mut seen = Seen::default();
        let written: Vec<(i64, Stream)> = [10, 11, 12, 9, 10, 11, 12, 13]
            .iter()
            .zip(0..)
            .map(|(seconds, line)| (seconds * second + line, Out))
            .collect();
        assert_eq!(feed(&mut seen, &written), written.len());
        seen.reopened();
        let since = &written[4..];
        assert_eq!(feed(&mut seen, since), 0, "and repeated it is known");
        assert_eq!(feed(&mut seen, &[(14 * second, Out)]), 1);
    }

    #[test]
    fn who_has_read_more_than_is_remembered_is_still_given_nothing_twice() {
        use Stream::Out;
        let mut seen = Seen::default();
        let written: Vec<(i64, Stream)> = (0..10_000).map(|line| (1 + line / 3, Out)).collect();
        assert_eq!(feed(&mut seen, &written), written.len());
        seen.reopened();
        assert_eq!(feed(&mut seen, &written), 0);
        assert_eq!(feed(&mut seen, &[(10_000, Out)]), 1);
    }

    #[test]
    fn after_a_break_in_which_the_clock_was_set_back_only_the_same_lines_are_repeats() {
        use Stream::Out;
        let mut seen = Seen::default();
        assert_eq!(feed(&mut seen, &[(100, Out), (110, Out), (120, Out)]), 3);
        seen.reopened_after_set_back();
        let again = [(110, Out), (120, Out), (90, Out), (95, Out), (111, Out)];
        assert_eq!(feed(&mut seen, &again), 3);
        assert_eq!(seen.last(), Some(Stamp(111)));
    }
}

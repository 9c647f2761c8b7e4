//! Which lines were handed on already, so that a stream that is opened again doubles and loses nothing.
//! Counts by moment: what a container writes to one stream does not go back in time, unless the daemon's clock does.

use std::time::Duration;

use super::pieces::Line;
use crate::domain::logs::{LogRange, Stream};
use crate::domain::units::Stamp;

/// The two streams are written beside each other: their moments differ by less than this.
const OVERLAP: Duration = Duration::from_millis(500);

/// What is older than the last line by no more than this is a repetition; by more, the daemon's clock was set back.
const REPEAT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Seen {
    out: Mark,
    err: Mark,
}

/// The last moment, and how many lines had just that moment.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: Stamp,
    count: u32,
    /// Lines of that moment which the stream that is open now has repeated.
    repeated: u32,
}

impl Seen {
    /// What came before is not handed on again.
    pub(super) fn new(range: LogRange) -> Self {
        let mark = |(at, count)| Mark {
            at,
            count,
            repeated: 0,
        };
        match range {
            LogRange::After(reached) => Self {
                out: mark(reached.out),
                err: mark(reached.err),
            },
            LogRange::Tail(_) | LogRange::Last(_) | LogRange::All => Self::default(),
        }
    }

    /// The last moment of any line.
    pub(super) fn last(&self) -> Option<Stamp> {
        let last = self.out.at.max(self.err.at);
        (last > Stamp(0)).then_some(last)
    }

    /// From when to ask, so that nothing is missed.
    pub(super) fn since(&self) -> Option<Stamp> {
        self.last().map(|last| last.minus(OVERLAP))
    }

    /// A stream was opened again: it repeats what is after `since`.
    pub(super) fn reopened(&mut self) {
        self.out.repeated = 0;
        self.err.repeated = 0;
    }

    /// Is this line new? It counts as seen from now on.
    pub(super) fn is_new(&mut self, line: &Line) -> bool {
        let mark = match line.stream {
            Stream::Out | Stream::Console => &mut self.out,
            Stream::Err => &mut self.err,
            Stream::Notice => return true,
        };
        if line.at < mark.at && line.at.until(mark.at) <= REPEAT {
            // Docker 20.10 sends some lines again, out of a stream that is open, when it begins a new log file.
            mark.repeated = 0;
            return false;
        }
        if line.at != mark.at {
            *mark = Mark {
                at: line.at,
                count: 1,
                repeated: 1,
            };
            return true;
        }
        mark.repeated += 1;
        if mark.repeated > mark.count {
            mark.count = mark.repeated;
            return true;
        }
        false
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
}

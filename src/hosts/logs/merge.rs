//! Orders the lines of several containers by time.
//! Decides only: a line is released when no older one can follow, or when it was held long enough.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::logs::LogLine;

/// The tolerance for differences of clocks and networks; an unnoticeable delay.
pub(super) const WINDOW: Duration = Duration::from_millis(150);
/// How long a host that is still reading old lines delays the others after its last line.
const STALL: Duration = Duration::from_secs(2);
/// Lines held per source; then its daemon has to wait.
const HELD: usize = 2_048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Is sending lines from before the follow, so older lines may arrive.
    History {
        since: Instant,
    },
    /// Is sending new lines.
    Live,
    Ended,
}

#[derive(Debug)]
struct Lane {
    queue: VecDeque<(Instant, LogLine)>,
    phase: Phase,
}

/// One lane per source, in the order of the follow's targets.
#[derive(Debug)]
pub(super) struct Merge {
    lanes: Vec<Lane>,
}

impl Merge {
    pub(super) fn new(sources: usize, now: Instant) -> Self {
        let lane = || Lane {
            queue: VecDeque::new(),
            phase: Phase::History { since: now },
        };
        Self {
            lanes: (0..sources).map(|_| lane()).collect(),
        }
    }

    pub(super) fn push(&mut self, lane: usize, lines: Vec<LogLine>, now: Instant) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            if let Phase::History { since } = &mut lane.phase {
                *since = now;
            }
            lane.queue.extend(lines.into_iter().map(|line| (now, line)));
        }
    }

    pub(super) fn caught_up(&mut self, lane: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.phase = Phase::Live;
        }
    }

    pub(super) fn ended(&mut self, lane: usize) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.phase = Phase::Ended;
        }
    }

    /// Whether this source may deliver more lines.
    pub(super) fn has_room(&self, lane: usize) -> bool {
        self.lanes
            .get(lane)
            .is_some_and(|lane| lane.queue.len() < HELD && lane.phase != Phase::Ended)
    }

    /// Releases up to `most` lines; returns when more can be released without new input.
    pub(super) fn take(&mut self, now: Instant, most: usize, out: &mut Vec<LogLine>) -> Option<Instant> {
        for _ in 0..most {
            let oldest = self.oldest()?;
            if let Some(later) = self.hold_until(oldest, now) {
                return Some(later);
            }
            if let Some((_, line)) = self.lanes.get_mut(oldest).and_then(|lane| lane.queue.pop_front()) {
                out.push(line);
            }
        }
        Some(now)
    }

    /// The lane with the oldest next line.
    fn oldest(&self) -> Option<usize> {
        self.lanes
            .iter()
            .enumerate()
            .filter_map(|(index, lane)| Some((lane.queue.front()?.1.at, index)))
            .min()
            .map(|(_, index)| index)
    }

    /// Until when this lane's next line must wait for a possibly older line of another lane.
    fn hold_until(&self, candidate: usize, now: Instant) -> Option<Instant> {
        let arrived = self.lanes.get(candidate)?.queue.front()?.0;
        self.lanes
            .iter()
            .enumerate()
            .filter(|(index, lane)| *index != candidate && lane.queue.is_empty())
            .filter_map(|(_, lane)| match lane.phase {
                Phase::History { since } => Some(since + STALL),
                Phase::Live => Some(arrived + WINDOW),
                Phase::Ended => None,
            })
            .filter(|until| *until > now)
            .max()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::ids::{ContainerId, ContainerKey, HostName};
    use crate::domain::logs::Stream;
    use crate::domain::units::Stamp;

    fn lines(host: &str, moments: &[i64]) -> Vec<LogLine> {
        let source = Arc::new(ContainerKey {
            host: HostName::parse(host).unwrap(),
            id: ContainerId::parse("c").unwrap(),
        });
        moments
            .iter()
            .map(|&at| LogLine {
                at: Stamp(at),
                source: Arc::clone(&source),
                stream: Stream::Out,
                text: format!("{host}{at}").into(),
            })
            .collect()
    }

    fn taken(merge: &mut Merge, now: Instant) -> Vec<String> {
        let mut out = Vec::new();
        merge.take(now, 100, &mut out);
        out.iter().map(|line| line.text.to_string()).collect()
    }

    #[test]
    fn one_source_is_passed_on_at_once() {
        let now = Instant::now();
        let mut merge = Merge::new(1, now);
        merge.push(0, lines("a", &[2, 1]), now);
        assert_eq!(taken(&mut merge, now), ["a2", "a1"]);
    }

    #[test]
    fn history_is_merged_by_time_and_waits_for_every_source() {
        let now = Instant::now();
        let mut merge = Merge::new(2, now);
        merge.push(0, lines("a", &[1, 4]), now);
        merge.caught_up(0);
        assert_eq!(taken(&mut merge, now), [""; 0]);
        merge.push(1, lines("b", &[2, 3]), now);
        merge.caught_up(1);
        assert_eq!(taken(&mut merge, now), ["a1", "b2", "b3"]);
        assert_eq!(taken(&mut merge, now + WINDOW), ["a4"]);
    }

    #[test]
    fn a_live_line_waits_a_moment_for_an_older_one_of_another_host() {
        let now = Instant::now();
        let mut merge = Merge::new(2, now);
        merge.caught_up(0);
        merge.caught_up(1);
        merge.push(0, lines("a", &[10]), now);
        let mut out = Vec::new();
        assert_eq!(merge.take(now, 100, &mut out), Some(now + WINDOW));
        let later = now + WINDOW / 2;
        merge.push(1, lines("b", &[9]), later);
        assert_eq!(taken(&mut merge, later), ["b9"]);
        assert_eq!(taken(&mut merge, now + WINDOW), ["a10"]);
    }

    #[test]
    fn a_host_that_hangs_or_has_ended_does_not_hold_up_the_others_for_long() {
        let now = Instant::now();
        let mut merge = Merge::new(3, now);
        merge.caught_up(0);
        merge.ended(2);
        merge.push(0, lines("a", &[1]), now);
        assert_eq!(taken(&mut merge, now + WINDOW), [""; 0]);
        assert_eq!(taken(&mut merge, now + STALL), ["a1"]);
    }

    #[test]
    fn a_source_that_is_far_ahead_must_wait() {
        let now = Instant::now();
        let mut merge = Merge::new(2, now);
        assert!(merge.has_room(0));
        merge.push(0, lines("a", &[0; HELD]), now);
        assert!(!merge.has_room(0));
    }
}

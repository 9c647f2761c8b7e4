//! The latest events of a daemon, to recognise what a new connection repeats.
//! Compares whole events, not only their times: a clock that was set back is not a repetition.

use std::collections::VecDeque;
use std::time::Duration;

use super::EngineEvent;
use crate::domain::units::Stamp;

/// Twice the number of events that Docker can repeat.
const KEPT: usize = 512;
/// Streams may be out of order by some microseconds; a larger step back means that the clock was set back.
const DISORDER: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Recent {
    /// In the order of the stream.
    events: VecDeque<EngineEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    New,
    /// New, and the daemon's clock is behind where it was.
    SetBack,
    /// A repetition.
    Again,
}

impl Recent {
    /// The start time for reopening the stream.
    pub(super) fn last(&self) -> Option<Stamp> {
        self.events.back().map(|event| event.at)
    }

    pub(super) fn see(&mut self, event: &EngineEvent) -> Seen {
        let last = self.last().unwrap_or_default();
        // Whatever is later than the last and was seen was seen before the clock was set back.
        if self.events.iter().rev().any(|known| known == event) {
            return Seen::Again;
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event.clone());
        if event.at < last.minus(DISORDER) {
            Seen::SetBack
        } else {
            Seen::New
        }
    }
}

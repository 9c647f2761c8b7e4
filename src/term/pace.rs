//! When a frame may be drawn: at once after a pause, and at most once per frame time.
//! Computes only; the time is passed in.

use std::time::Duration;

/// Thirty frames a second: a person notices no more.
const FRAME: Duration = Duration::from_millis(33);
/// Frames that may follow each other at once after a rest: a host's link, engine and list come as three facts.
const BURST: u32 = 4;

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When all frames of the burst are to be had again.
    full_at: Duration,
}

impl Pace {
    #[must_use]
    pub fn new() -> Self {
        Self {
            full_at: Duration::ZERO,
        }
    }

    /// The earliest moment for the next frame.
    #[must_use]
    pub fn next(&self) -> Duration {
        self.full_at.saturating_sub(FRAME * (BURST - 1))
    }

    pub fn drawn(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now) + FRAME;
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_rest_a_few_frames_are_drawn_at_once_then_thirty_a_second() {
        let mut pace = Pace::new();
        let now = Duration::from_secs(1);
        let mut at_once = 0;
        while pace.next() <= now {
            pace.drawn(now);
            at_once += 1;
        }
        assert_eq!(at_once, BURST);
        assert_eq!(pace.next(), now + FRAME);
    }
}

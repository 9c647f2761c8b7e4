//! The delay before reconnecting to a lost daemon.
//! Only computes; the caller waits.

use std::time::Duration;

/// A restarted daemon is usually back within this time.
const FIRST: Duration = Duration::from_secs(1);
/// The longest a repaired host takes to be noticed.
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles from one second to thirty, minus up to a quarter of jitter, so that clients do not all reconnect at once.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The wait after one more failure; `jitter` is 0 to 1.
    pub(super) fn next(&mut self, jitter: f64) -> Duration {
        let full = FIRST
            .saturating_mul(2_u32.saturating_pow(self.failures.min(16)))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
    }

    /// Resets the delay after a success.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_thirty_and_begin_again_after_success() {
        let mut back_off = BackOff::default();
        let waits: Vec<u64> = (0..7).map(|_| back_off.next(0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        back_off.reset();
        assert_eq!(back_off.next(1.0), Duration::from_millis(750));
    }
}

//! How long to wait before a lost daemon is tried again.
//! Only counts; who waits is the caller.

use std::time::Duration;

/// A daemon that was only restarted is back within this.
const FIRST: Duration = Duration::from_secs(1);
/// A person who repaired a host does not wait much longer than this to see it.
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles from one second to thirty, each time up to a quarter shorter: many clients do not come back at once.
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

    /// It answered: the next failure counts as the first.
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

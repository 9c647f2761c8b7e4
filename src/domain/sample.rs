//! Resource use of a container: computed from Docker's counters, with a short history.
//! Percentages are of one core: a container that uses four cores shows 400.

use serde::{Deserialize, Serialize};

use super::units::{Bytes, Stamp};

/// Counters as one message of the stats stream gives them (Docker API, `GET /containers/{id}/stats`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub at: Stamp,
    /// Nanoseconds of CPU used by the container since it started.
    pub cpu_container: u64,
    /// Nanoseconds of CPU used by the whole machine since it started; absent on some engines.
    pub cpu_machine: Option<u64>,
    pub cpus: u32,
    /// As the kernel counts it, page cache included.
    pub memory_usage: u64,
    /// `total_inactive_file` on cgroup v1, `inactive_file` on v2: cache that can be dropped at once.
    pub memory_cache: u64,
    pub memory_limit: u64,
    pub network_received: u64,
    pub network_sent: u64,
    pub block_read: u64,
    pub block_written: u64,
    pub pids: u64,
}

/// What is shown: rates from two counters, sizes from the later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub at: Stamp,
    /// Percent of one core; `None` until the second message.
    pub cpu: Option<f32>,
    /// Without the cache that can be dropped.
    pub memory: Bytes,
    pub memory_limit: Bytes,
    /// Bytes a second, then totals.
    pub received: Bytes,
    pub sent: Bytes,
    pub received_total: Bytes,
    pub sent_total: Bytes,
    pub read: Bytes,
    pub written: Bytes,
    pub read_total: Bytes,
    pub written_total: Bytes,
    pub pids: u64,
}

impl Sample {
    /// The figures of `now`, with rates since `before` (the same container's earlier counters).
    #[must_use]
    pub fn from_counters(before: Option<&Counters>, now: &Counters) -> Self {
        let rate = |earlier: fn(&Counters) -> u64| {
            before.map_or(Bytes(0), |then| {
                per_second(earlier(now).saturating_sub(earlier(then)), then.at, now.at)
            })
        };
        Self {
            at: now.at,
            cpu: before.and_then(|then| cpu_percent(then, now)),
            memory: Bytes(now.memory_usage.saturating_sub(now.memory_cache)),
            memory_limit: Bytes(now.memory_limit),
            received: rate(|c| c.network_received),
            sent: rate(|c| c.network_sent),
            received_total: Bytes(now.network_received),
            sent_total: Bytes(now.network_sent),
            read: rate(|c| c.block_read),
            written: rate(|c| c.block_written),
            read_total: Bytes(now.block_read),
            written_total: Bytes(now.block_written),
            pids: now.pids,
        }
    }
}

/// Docker's formula if the machine's counter is available, otherwise by wall time. `None` if the counters decreased, because
/// the container was restarted.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "one decimal is shown"
)]
fn cpu_percent(then: &Counters, now: &Counters) -> Option<f32> {
    let used = now.cpu_container.checked_sub(then.cpu_container)? as f64;
    let available = match (then.cpu_machine, now.cpu_machine) {
        (Some(before), Some(after)) if after > before => (after - before) as f64 / f64::from(now.cpus.max(1)),
        _ => then.at.until(now.at).as_nanos() as f64,
    };
    (available > 0.0).then(|| (used / available * 100.0) as f32)
}

fn per_second(bytes: u64, from: Stamp, to: Stamp) -> Bytes {
    let millis = from.until(to).as_millis().max(1);
    Bytes(u64::try_from(u128::from(bytes) * 1_000 / millis).unwrap_or(u64::MAX))
}

/// The last samples of one container, oldest first; never more than `History::LENGTH`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    samples: std::collections::VecDeque<Sample>,
}

impl History {
    /// Two minutes at one sample a second: what the widest graph can show.
    pub const LENGTH: usize = 120;

    pub fn push(&mut self, sample: Sample) {
        if self.samples.len() == Self::LENGTH {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    #[must_use]
    pub fn last(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Oldest first.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Sample> + ExactSizeIterator {
        self.samples.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(at: i64, container: u64, machine: Option<u64>) -> Counters {
        Counters {
            at: Stamp::from_seconds(at),
            cpu_container: container,
            cpu_machine: machine,
            cpus: 4,
            ..Counters::default()
        }
    }

    #[test]
    fn two_busy_cores_of_four_are_200_percent() {
        let then = counters(0, 0, Some(0));
        let now = counters(1, 2_000_000_000, Some(4_000_000_000));
        assert_eq!(Sample::from_counters(Some(&then), &now).cpu, Some(200.0));
    }

    #[test]
    fn without_the_machines_counter_wall_time_serves() {
        let sample = Sample::from_counters(Some(&counters(0, 0, None)), &counters(1, 500_000_000, None));
        assert_eq!(sample.cpu, Some(50.0));
    }

    #[test]
    fn a_restarted_container_has_no_cpu_figure_rather_than_a_wrong_one() {
        let sample = Sample::from_counters(Some(&counters(0, 9, Some(1))), &counters(1, 1, Some(2)));
        assert_eq!(sample.cpu, None);
    }

    #[test]
    fn cache_that_can_be_dropped_is_not_counted_as_memory() {
        let now = Counters {
            memory_usage: 100,
            memory_cache: 30,
            ..Counters::default()
        };
        assert_eq!(Sample::from_counters(None, &now).memory, Bytes(70));
    }

    #[test]
    fn network_and_blocks_are_bytes_a_second_since_the_earlier_counters() {
        let of = |at, bytes| Counters {
            network_received: bytes,
            network_sent: bytes * 2,
            block_read: bytes * 3,
            block_written: bytes * 4,
            ..counters(at, 0, None)
        };
        let rates = |sample: &Sample| [sample.received, sample.sent, sample.read, sample.written];
        let sample = Sample::from_counters(Some(&of(10, 1_000)), &of(12, 5_000));
        assert_eq!(rates(&sample), [2_000, 4_000, 6_000, 8_000].map(Bytes));
        assert_eq!(
            [
                sample.received_total,
                sample.sent_total,
                sample.read_total,
                sample.written_total
            ],
            [5_000, 10_000, 15_000, 20_000].map(Bytes)
        );
        let first = Sample::from_counters(None, &of(12, 5_000));
        assert_eq!(
            rates(&first),
            [Bytes(0); 4],
            "no rate is known before a second message"
        );
        let restarted = Sample::from_counters(Some(&of(10, 5_000)), &of(11, 10));
        assert_eq!(rates(&restarted), [Bytes(0); 4], "counters that decreased");
    }
}

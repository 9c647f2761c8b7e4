//! One message of `GET /containers/{id}/stats`, reduced to the counters that are shown.
//! Docker's JSON is not used outside this file; the other fields of its two kilobytes are skipped unread.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::domain::sample::Counters;
use crate::domain::units::Stamp;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    read: Cow<'a, str>,
    #[serde(default)]
    cpu_stats: Cpu,
    #[serde(default)]
    memory_stats: Memory,
    /// Absent for a container without a network.
    #[serde(default)]
    networks: Option<Networks>,
    #[serde(default)]
    blkio_stats: Blocks,
    #[serde(default)]
    pids_stats: Pids,
}

#[derive(Default, Deserialize)]
struct Cpu {
    #[serde(default, rename = "cpu_usage")]
    usage: CpuUsage,
    #[serde(default, rename = "system_cpu_usage")]
    machine: Option<u64>,
    #[serde(default, rename = "online_cpus")]
    online: Option<u32>,
}

#[derive(Default, Deserialize)]
struct CpuUsage {
    #[serde(default)]
    total_usage: u64,
    /// A figure a core: their number stands in where `online_cpus` is missing.
    #[serde(default)]
    percpu_usage: Option<Count>,
}

#[derive(Default, Deserialize)]
struct Memory {
    #[serde(default)]
    usage: u64,
    #[serde(default)]
    limit: u64,
    #[serde(default)]
    stats: Option<MemoryDetail>,
}

#[derive(Default, Deserialize)]
struct MemoryDetail {
    /// cgroup v1; includes children.
    total_inactive_file: Option<u64>,
    /// cgroup v2, and v1 without children.
    inactive_file: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Blocks {
    #[serde(default)]
    io_service_bytes_recursive: Option<Vec<Block>>,
}

#[derive(Deserialize)]
struct Block {
    /// `Read` on cgroup v1, `read` on v2.
    op: Direction,
    #[serde(default)]
    value: u64,
}

#[derive(Deserialize)]
enum Direction {
    #[serde(alias = "read")]
    Read,
    #[serde(alias = "write")]
    Write,
    #[serde(other)]
    Else,
}

#[derive(Default, Deserialize)]
struct Pids {
    #[serde(default)]
    current: Option<u64>,
}

/// Bytes of all interfaces together.
#[derive(Clone, Copy, Default)]
struct Networks {
    received: u64,
    sent: u64,
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Interface {
            #[serde(default)]
            rx_bytes: u64,
            #[serde(default)]
            tx_bytes: u64,
        }
        struct Sum;
        impl<'de> Visitor<'de> for Sum {
            type Value = Networks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("interfaces by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Networks, A::Error> {
                let mut sum = Networks::default();
                while let Some((IgnoredAny, interface)) = map.next_entry::<IgnoredAny, Interface>()? {
                    sum.received = sum.received.saturating_add(interface.rx_bytes);
                    sum.sent = sum.sent.saturating_add(interface.tx_bytes);
                }
                Ok(sum)
            }
        }
        deserializer.deserialize_map(Sum)
    }
}

/// How long a list is; its entries are skipped.
struct Count(u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counter;
        impl<'de> Visitor<'de> for Counter {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Counter)
    }
}

/// `None` for a message without figures: what a container that is not running sends.
pub(super) fn read(line: &[u8]) -> Result<Option<Counters>, serde_json::Error> {
    let message: Message<'_> = serde_json::from_slice(line)?;
    let at: Option<Stamp> = message
        .read
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|at| i64::try_from(at.as_nanosecond()).ok())
        .map(Stamp);
    // The zero time, year 1, is sent for a container that is stopped.
    let Some(at) = at.filter(|at| at.0 > 0) else {
        return Ok(None);
    };
    let cpus = match (message.cpu_stats.online, message.cpu_stats.usage.percpu_usage) {
        (Some(online), _) if online > 0 => online,
        (_, Some(Count(listed))) if listed > 0 => listed,
        _ => 1,
    };
    let networks = message.networks.unwrap_or_default();
    let cache = message.memory_stats.stats.unwrap_or_default();
    let (mut block_read, mut block_written) = (0_u64, 0_u64);
    for block in message.blkio_stats.io_service_bytes_recursive.unwrap_or_default() {
        match block.op {
            Direction::Read => block_read = block_read.saturating_add(block.value),
            Direction::Write => block_written = block_written.saturating_add(block.value),
            Direction::Else => {}
        }
    }
    Ok(Some(Counters {
        at,
        cpu_container: message.cpu_stats.usage.total_usage,
        cpu_machine: message.cpu_stats.machine,
        cpus,
        memory_usage: message.memory_stats.usage,
        memory_cache: cache.total_inactive_file.or(cache.inactive_file).unwrap_or(0),
        memory_limit: message.memory_stats.limit,
        network_received: networks.received,
        network_sent: networks.sent,
        block_read,
        block_written,
        pids: message.pids_stats.current.unwrap_or(0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_v1_with_two_interfaces_is_summed() {
        let line = br#"{"read":"1970-01-01T00:00:05.5Z","preread":"0001-01-01T00:00:00Z","pids_stats":{"current":3},
            "blkio_stats":{"io_service_bytes_recursive":[{"major":8,"minor":0,"op":"Read","value":10},
            {"op":"Write","value":20},{"op":"Sync","value":5},{"op":"Total","value":30}],"io_serviced_recursive":[]},
            "cpu_stats":{"cpu_usage":{"total_usage":7,"percpu_usage":[3,4]},"system_cpu_usage":100,"online_cpus":2},
            "memory_stats":{"usage":50,"limit":1000,"stats":{"total_inactive_file":8,"inactive_file":2}},
            "networks":{"eth0":{"rx_bytes":1,"tx_bytes":2},"eth1":{"rx_bytes":10,"tx_bytes":20}}}"#;
        let counters = read(line).unwrap().unwrap();
        assert_eq!(
            counters,
            Counters {
                at: Stamp(5_500_000_000),
                cpu_container: 7,
                cpu_machine: Some(100),
                cpus: 2,
                memory_usage: 50,
                memory_cache: 8,
                memory_limit: 1000,
                network_received: 11,
                network_sent: 22,
                block_read: 10,
                block_written: 20,
                pids: 3,
            }
        );
    }

    #[test]
    fn cgroup_v2_without_a_network_or_blocks_is_read() {
        let line = br#"{"read":"1970-01-01T00:00:05Z","pids_stats":{},"blkio_stats":{"io_service_bytes_recursive":null},
            "cpu_stats":{"cpu_usage":{"total_usage":7}},"memory_stats":{"usage":50,"stats":{"inactive_file":2}}}"#;
        let counters = read(line).unwrap().unwrap();
        assert_eq!(
            (counters.cpus, counters.cpu_machine, counters.memory_cache),
            (1, None, 2)
        );
        assert_eq!((counters.network_received, counters.block_written), (0, 0));
    }

    #[test]
    fn a_stopped_container_has_no_figures() {
        let line = br#"{"read":"0001-01-01T00:00:00Z","cpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#;
        assert_eq!(read(line).unwrap(), None);
    }
}

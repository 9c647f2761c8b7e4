//! What containers use, as counters of cgroup v1: computed from the time they run, the same for the same time.

use std::f64::consts::TAU;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::chatter::mix;
use super::clock::rfc3339;
use super::container::Container;
use super::engine::Engine;
use super::http::{Answer, Ask, stream};
use super::scenario::HostTraits;
use crate::domain::units::Stamp;

/// A message this often, as Docker sends them.
const EVERY: Duration = Duration::from_secs(1);
/// The machine was up for so long when the engine began.
const BOOTED: Duration = Duration::from_hours(211);

pub(super) fn answer(engine: &Arc<Engine>, name: &str, ask: &Ask) -> Answer {
    let id = engine.world().container(name)?.id.clone();
    let going_on = ask.query("stream").is_none() || ask.flag("stream");
    let at_once = ask.flag("one-shot");
    let (pieces, reply) = stream("application/json");
    let engine = Arc::clone(engine);
    let owner = Arc::clone(&engine);
    owner.spawn(async move {
        let mut before: Option<Value> = None;
        let mut first = true;
        let mut due = tokio::time::Instant::now();
        loop {
            let message = {
                let world = engine.world();
                let Some(container) = world.containers.get(&id) else {
                    return;
                };
                let up = container.is_up();
                let message = counters(container, &world.traits, world.now, before.as_ref());
                before = up.then(|| message.clone());
                // One answer alone needs an earlier one to compare with.
                (going_on || at_once || !first || !up).then(|| message.to_string() + "\n")
            };
            first = false;
            if let Some(text) = message
                && (pieces.send(Bytes::from(text)).await.is_err() || !going_on)
            {
                return;
            }
            due += EVERY;
            tokio::select! {
                () = tokio::time::sleep_until(due) => (),
                () = pieces.closed() => return,
            }
        }
    });
    Ok(reply)
}

/// Goes up and down between 1 - swing and 1 + swing.
fn wave(at: f64, period: f64, phase: f64, swing: f64) -> f64 {
    1.0 + swing
        * (0.6 * (TAU * at / period + phase).sin() + 0.4 * (TAU * at / (period / 7.3) + 2.0 * phase).sin())
}

/// The wave's sum from 0 to `at`: never falls.
fn waves(at: f64, period: f64, phase: f64, swing: f64) -> f64 {
    let part = |period: f64, phase: f64, weight: f64| {
        weight * period / TAU * (phase.cos() - (TAU * at / period + phase).cos())
    };
    at + swing * (part(period, phase, 0.6) + part(period / 7.3, 2.0 * phase, 0.4))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures of a simulation, all positive and far below the limit"
)]
fn whole(figure: f64) -> u64 {
    figure.max(0.0) as u64
}

#[expect(clippy::cast_precision_loss, reason = "figures of a simulation")]
fn real(figure: u64) -> f64 {
    figure as f64
}

fn counters(container: &Container, traits: &HostTraits, now: Stamp, before: Option<&Value>) -> Value {
    let name = format!("/{}", container.name);
    if !container.is_up() {
        return json!({
            "read": "0001-01-01T00:00:00Z", "preread": "0001-01-01T00:00:00Z", "pids_stats": {},
            "blkio_stats": {
                "io_service_bytes_recursive": null, "io_serviced_recursive": null, "io_queue_recursive": null,
                "io_service_time_recursive": null, "io_wait_time_recursive": null, "io_merged_recursive": null,
                "io_time_recursive": null, "sectors_recursive": null,
            },
            "num_procs": 0, "storage_stats": {}, "cpu_stats": no_cpu(), "precpu_stats": no_cpu(),
            "memory_stats": {}, "name": name, "id": container.id,
        });
    }
    let load = &container.behaviour.load;
    let seed = container.lives.back().map_or(0, |life| life.seed);
    let phase = real(mix(seed, 1) % 628) / 100.0;
    let until = container.paused_at.unwrap_or(now);
    let age = container.started.until(until).as_secs_f64();
    let period = load.period.as_secs_f64().max(1.0);
    let swing = load.swing.clamp(0.0, 1.0);
    let busy = waves(age, period, phase, swing);
    let used = whole(load.cpu / 100.0 * busy * 1e9) + 21_000_000;
    let uptime = real(BOOTED.as_secs()) + age;
    let machine = whole(uptime * 1e9) * u64::from(traits.cpus);
    let limit = container.memory_limit().unwrap_or(traits.memory);
    let memory = match container.behaviour.ends.as_ref().filter(|ending| ending.oom) {
        // On its way to the limit.
        Some(ending) => {
            let part = (age / ending.after.as_secs_f64().max(1.0)).min(1.0);
            whole(real(limit) * (0.3 + 0.68 * part))
        }
        None => whole(
            real(load.memory) * wave(age, period * 2.7, phase, swing * 0.12)
                + real(load.leak) * age / 3_600.0,
        )
        .min(limit / 100 * 97),
    };
    let cache = (memory / 9).min(limit.saturating_sub(memory));
    let flow = |rate: u64| whole(real(rate) * busy);
    let per_cpu: Vec<u64> =
        vec![used / u64::from(traits.cpus.max(1)); usize::try_from(traits.cpus).unwrap_or(1)];
    let cpu = json!({
        "cpu_usage": {
            "total_usage": used, "percpu_usage": per_cpu,
            "usage_in_kernelmode": used / 5, "usage_in_usermode": used / 5 * 4,
        },
        "system_cpu_usage": machine,
        "online_cpus": traits.cpus,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    });
    let mut value = json!({
        "read": rfc3339(now),
        "preread": before.and_then(|value| value.get("read")).cloned().unwrap_or(json!("0001-01-01T00:00:00Z")),
        "pids_stats": {"current": load.pids.max(1)},
        "blkio_stats": blocks(flow(load.read), flow(load.written)),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": cpu,
        "precpu_stats": before.and_then(|value| value.get("cpu_stats")).cloned().unwrap_or_else(no_cpu),
        "memory_stats": {
            "usage": memory + cache,
            "max_usage": (memory + cache).max(load.memory),
            "stats": {
                "active_anon": memory, "active_file": cache / 4, "cache": cache,
                "inactive_anon": 0, "inactive_file": cache, "rss": memory,
                "hierarchical_memory_limit": limit,
                "total_active_anon": memory, "total_active_file": cache / 4, "total_cache": cache,
                "total_inactive_anon": 0, "total_inactive_file": cache, "total_rss": memory,
            },
            "limit": limit,
        },
        "name": name,
        "id": container.id,
    });
    let connected = container
        .networks
        .keys()
        .any(|name| name != "none" && name != "host");
    if connected && let Some(value) = value.as_object_mut() {
        let (received, sent) = (flow(load.received) + 842, flow(load.sent));
        value.insert(
            "networks".to_owned(),
            json!({"eth0": {
                "rx_bytes": received, "rx_packets": received / 700, "rx_errors": 0, "rx_dropped": 0,
                "tx_bytes": sent, "tx_packets": sent / 900, "tx_errors": 0, "tx_dropped": 0,
            }}),
        );
    }
    value
}

fn no_cpu() -> Value {
    json!({
        "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    })
}

fn blocks(read: u64, written: u64) -> Value {
    let entry = |op: &str, value: u64| json!({"major": 254, "minor": 0, "op": op, "value": value});
    let list = |divisor: u64| {
        json!([
            entry("Read", read / divisor),
            entry("Write", written / divisor),
            entry("Sync", (read + written) / divisor),
            entry("Async", 0),
            entry("Discard", 0),
            entry("Total", (read + written) / divisor),
        ])
    };
    json!({
        "io_service_bytes_recursive": list(1), "io_serviced_recursive": list(4_096),
        "io_queue_recursive": [], "io_service_time_recursive": [], "io_wait_time_recursive": [],
        "io_merged_recursive": [], "io_time_recursive": [], "sectors_recursive": [],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_never_falls() {
        let mut last = 0.0;
        for second in 0..5_000 {
            let sum = waves(f64::from(second) / 3.0, 60.0, 1.3, 1.0);
            assert!(sum >= last, "{second}");
            last = sum;
        }
    }
}

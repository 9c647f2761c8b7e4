//! The displayed resource use equals the daemon's counters, and nothing is requested while nobody looks.

use std::time::Duration;

use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::order::Access;
use pilothouse::domain::sample::Sample;
use serde_json::{Value, json};

use crate::support::fleet;
use crate::support::recorder::Recorder;
use crate::support::wait::until_running;
use crate::support::watch::Watch;

/// Half a core, and sixteen MiB in a file that is memory.
const BUSY: &str = "dd if=/dev/zero of=/dev/shm/block bs=1M count=16; while :; do :; done";

#[tokio::test]
#[expect(clippy::cast_precision_loss, reason = "percent are compared")]
async fn samples_agree_with_the_daemons_own_numbers() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let limits = json!({ "HostConfig": { "NanoCpus": 500_000_000, "Memory": 128 << 20 } });
    let key = daemon.key(&daemon.run_with("busy", BUSY, limits));
    let mut watch = Watch::start(vec![daemon.host()], Access::Full);
    watch.until_listed().await;
    watch.sample(&key.host, vec![key.id.clone()]);
    let samples: Vec<Sample> = watch
        .until("four samples with a CPU figure", |watch| {
            let history = &watch.fleet.row(&key)?.history;
            let known: Vec<Sample> = history
                .iter()
                .filter(|sample| sample.cpu.is_some())
                .copied()
                .collect();
            (known.len() >= 4).then_some(known)
        })
        .await;
    let theirs = daemon.ask(
        "GET",
        &format!("/containers/{}/stats?stream=false", key.id.as_str()),
        &Value::Null,
    );
    let number = |pointer: &str| theirs.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let last = samples.last().unwrap();

    let cpu = f64::from(samples.iter().filter_map(|sample| sample.cpu).sum::<f32>()) / samples.len() as f64;
    let before = number("/precpu_stats/cpu_usage/total_usage");
    let used = number("/cpu_stats/cpu_usage/total_usage") - before;
    let machine = number("/cpu_stats/system_cpu_usage") - number("/precpu_stats/system_cpu_usage");
    let cores = number("/cpu_stats/online_cpus");
    let theirs_cpu = used as f64 / machine as f64 * cores as f64 * 100.0;
    assert!(
        (cpu - theirs_cpu).abs() < 15.0,
        "ours {cpu}, the daemon's {theirs_cpu}"
    );

    let cache =
        number("/memory_stats/stats/total_inactive_file") + number("/memory_stats/stats/inactive_file");
    let memory = number("/memory_stats/usage") - cache.min(number("/memory_stats/usage"));
    assert!(
        last.memory.0.abs_diff(memory) < 2 << 20,
        "ours {}, the daemon's {memory}",
        last.memory.0
    );
    assert!(
        last.memory.0 > 16 << 20,
        "the file in memory is counted: {}",
        last.memory.0
    );
    assert_eq!(last.memory_limit.0, 128 << 20);
    assert_eq!(last.pids, number("/pids_stats/current"));
    watch.end().await;
}

#[tokio::test]
async fn statistics_end_when_nobody_looks() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let recorder = Recorder::start(&daemon.socket(), &fleet::folder("recorder"));
    let ids: Vec<_> = (0..3)
        .map(|number| daemon.run(&format!("c{number}"), "sleep 1000"))
        .collect();
    let host = daemon.host_at(Endpoint::Unix(recorder.socket().to_owned()));
    let mut watch = Watch::start(vec![host], Access::ReadOnly);
    watch.until_listed().await;
    let streams = || {
        recorder
            .requests()
            .iter()
            .filter(|line| line.contains("/stats?"))
            .count()
    };
    assert_eq!(streams(), 0, "{:?}", recorder.requests());
    let before = recorder.open_connections();

    let host = daemon.name().clone();
    watch.sample(&host, ids.clone());
    watch
        .until("all are sampled", |watch| {
            ids.iter()
                .all(|id| watch.row(&daemon.key(id)).history.last().is_some())
                .then_some(())
        })
        .await;
    // `before` may have counted one that was kept and is used again.
    assert!(streams() >= 3 && recorder.open_connections() >= 3);
    watch.sample(&host, Vec::new());
    until_running(Duration::from_secs(10), "the streams are closed", || {
        // An idle connection may be kept for the next question.
        (recorder.open_connections() <= before + 1).then_some(())
    })
    .await;
    watch.end().await;
}

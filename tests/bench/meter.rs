//! What processes use, from `/proc`.

use super::support::daemon::{Daemon, processes};

/// One tick of the kernel's accounting, in seconds (`getconf CLK_TCK` is 100 on every Linux that matters here).
const TICK: f64 = 0.01;

/// Seconds of CPU that a process has used, with its ended threads.
pub(crate) fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) * TICK
}

/// The same of a program and all that it has started.
pub(crate) fn cpu_of_tree(pid: u32) -> f64 {
    cpu(pid) + children(pid).into_iter().map(cpu_of_tree).sum::<f64>()
}

fn children(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// Seconds of CPU of the daemon, its containerd and its shims.
pub(crate) fn cpu_of_daemon(daemon: &Daemon) -> f64 {
    let mounts = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = mounts(daemon.pid());
    processes().filter(|pid| mounts(*pid) == own).map(cpu).sum()
}

/// The most memory that the process has held, in MiB.
pub(crate) fn peak_memory(pid: u32) -> f64 {
    field(pid, "VmHWM:")
}

/// What it holds now, in MiB.
pub(crate) fn memory(pid: u32) -> f64 {
    field(pid, "VmRSS:")
}

fn field(pid: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1024.0
}

//! Load and disk of a host, measured by running `df` and reading `/proc` in one of its containers.
//! Only on request, never in read-only mode; what cannot be measured is unknown, with the reason.

use std::borrow::Cow;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use futures_util::StreamExt;

use super::connect::Daemon;
use super::listing::{self, wall_clock};
use super::trouble::engine_words;
use crate::domain::container::State;
use crate::domain::host::{HostLoad, Reading};
use crate::domain::order::Access;
use crate::domain::units::Bytes;

/// The second between two readings of the processors, and a slow exec.
const LIMIT: Duration = Duration::from_secs(10);
/// The number of containers to try, since many images have no shell.
const TRIES: usize = 4;
const LARGEST_ANSWER: usize = 64 << 10;

/// Lines are recognised by their beginning or end, because the tools of images differ.
const SCRIPT: &str = "head -n 1 /proc/stat; sleep 1; head -n 1 /proc/stat; grep -E '^Mem(Total|Available):' /proc/meminfo; df -P -k /";

const DISK: &str = "df -P -k /";

pub(super) async fn measure(daemon: &Daemon) -> HostLoad {
    match ask(daemon, SCRIPT).await {
        Ok(answer) => read(&answer),
        Err(why) => HostLoad {
            at: wall_clock(),
            cpu: Reading::Unknown { why: why.clone() },
            memory: Reading::Unknown { why: why.clone() },
            disk: Reading::Unknown { why },
        },
    }
}

/// Used and used + free of the disk that a container's root is on, and nothing else.
pub(super) async fn disk_alone(daemon: &Daemon) -> Result<(Bytes, Bytes), String> {
    let answer = ask(daemon, DISK).await?;
    let found = answer.lines().find_map(disk);
    found.ok_or_else(|| "the container's `df` could not be read".to_owned())
}

async fn ask(daemon: &Daemon, script: &str) -> Result<String, String> {
    if daemon.access() == Access::ReadOnly {
        return Err("it needs a command in a container, which a plan or --read-only does not run".to_owned());
    }
    let docker = daemon.change().map_err(|fault| fault.why)?;
    let listing = listing::all(daemon.wire())
        .await
        .map_err(|trouble| trouble.to_string())?;
    let running = listing
        .containers
        .iter()
        .filter(|container| matches!(container.state, State::Running { .. }))
        .filter(|container| !container.is_housekeeping());
    let mut why = Cow::Borrowed("no container runs there to measure in");
    for container in running.take(TRIES) {
        match tokio::time::timeout(LIMIT, run(docker, container.id.as_str(), script)).await {
            Ok(Ok(answer)) if answer.contains("cpu") || answer.contains(" /\n") => return Ok(answer),
            Ok(Ok(_)) => why = Cow::Borrowed("no container with a shell and /proc runs there"),
            Ok(Err(fault)) => why = Cow::Owned(engine_words(&fault)),
            Err(_elapsed) => why = Cow::Owned(format!("no answer within {} s", LIMIT.as_secs())),
        }
    }
    Err(why.into_owned())
}

async fn run(docker: &Docker, container: &str, script: &str) -> Result<String, bollard::errors::Error> {
    let exec = docker
        .create_exec(
            container,
            CreateExecOptions {
                attach_stdout: Some(true),
                cmd: Some(vec!["sh", "-c", script]),
                ..CreateExecOptions::default()
            },
        )
        .await?;
    let mut text = Vec::new();
    if let StartExecResults::Attached { mut output, input: _ } = docker.start_exec(&exec.id, None).await? {
        while let Some(piece) = output.next().await {
            if let LogOutput::StdOut { message } = piece?
                && text.len() < LARGEST_ANSWER
            {
                text.extend_from_slice(&message);
            }
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn read(answer: &str) -> HostLoad {
    let unknown = |what: &str| format!("the container's {what} could not be read");
    let counters: Vec<(u64, u64)> = answer.lines().filter_map(processors).collect();
    let memory = |name: &str| {
        answer
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?
                    .split_whitespace()
                    .next()?
                    .parse::<u64>()
                    .ok()
            })
            .map(|kibibytes| kibibytes.saturating_mul(1024))
    };
    HostLoad {
        at: wall_clock(),
        cpu: match counters.as_slice() {
            [before, .., after] => busy(*before, *after).map(Reading::Known),
            _ => None,
        }
        .unwrap_or_else(|| Reading::Unknown {
            why: unknown("/proc/stat"),
        }),
        memory: match (memory("MemTotal:"), memory("MemAvailable:")) {
            (Some(total), Some(free)) => Reading::Known((Bytes(total.saturating_sub(free)), Bytes(total))),
            _ => Reading::Unknown {
                why: unknown("/proc/meminfo"),
            },
        },
        disk: answer
            .lines()
            .find_map(disk)
            .map_or_else(|| Reading::Unknown { why: unknown("`df`") }, Reading::Known),
    }
}

/// `cpu  user nice system idle iowait …` → busy and all, in ticks (proc(5)).
fn processors(line: &str) -> Option<(u64, u64)> {
    let ticks: Vec<u64> = line
        .strip_prefix("cpu ")?
        .split_whitespace()
        .take(8)
        .filter_map(|tick| tick.parse().ok())
        .collect();
    let all: u64 = ticks.iter().sum();
    let idle = ticks.get(3)?.saturating_add(ticks.get(4).copied().unwrap_or(0));
    Some((all.saturating_sub(idle), all))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a percentage is shown"
)]
fn busy(before: (u64, u64), after: (u64, u64)) -> Option<f32> {
    let all = after.1.checked_sub(before.1).filter(|&all| all > 0)?;
    Some((after.0.saturating_sub(before.0) as f64 / all as f64 * 100.0) as f32)
}

/// `overlay 1000 400 600 40% /` (df -P: a line a file system) → used and used + free: what root keeps for itself is
/// not to be had.
fn disk(line: &str) -> Option<(Bytes, Bytes)> {
    let mut columns = line.strip_suffix(" /")?.split_whitespace().skip(2);
    let used: u64 = columns.next()?.parse().ok()?;
    let free: u64 = columns.next()?.parse().ok()?;
    let bytes = |kibibytes: u64| Bytes(kibibytes.saturating_mul(1024));
    Some((bytes(used), bytes(used.saturating_add(free))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_gives_load_memory_and_disk() {
        let load = read(
            "cpu  10 0 10 80 0 0 0 0 0 0\ncpu  30 0 20 150 0 0 0 0 0 0\nMemTotal: 100 kB\nMemAvailable: 40 kB\nFilesystem 1024-blocks Used Available Capacity Mounted on\noverlay 1000 300 600 34% /\n",
        );
        assert_eq!(load.cpu, Reading::Known(30.0));
        assert_eq!(load.memory, Reading::Known((Bytes(60 * 1024), Bytes(100 * 1024))));
        assert_eq!(load.disk, Reading::Known((Bytes(300 * 1024), Bytes(900 * 1024))));
    }

    #[test]
    fn what_is_missing_is_unknown_with_the_reason() {
        let load = read("cpu  10 0 10 80 0\n");
        assert!(matches!(load.cpu, Reading::Unknown { .. }));
        assert_eq!(
            load.disk,
            Reading::Unknown {
                why: "the container's `df` could not be read".into()
            }
        );
    }
}

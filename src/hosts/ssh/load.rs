//! Load and disk of a host behind ssh, from its `/proc` and `df`: one session that answers each request.
//! If the account may not run commands, the figures are unknown, with the reason.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use super::command::Commands;
use super::held::Held;
use super::hold::quoted;
use crate::domain::fault::Fault;
use crate::domain::host::{HostLoad, Reading};
use crate::domain::units::{Bytes, Stamp};

/// `df` hangs on a dead network file system, not longer than this for us.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Four short lines come back.
const LONGEST_ANSWER: u64 = 8 << 10;
const END: &str = ".";

/// A session on the far side; dropping it ends it.
pub struct LoadReader {
    held: Held,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The processors' counters of the last answer: busy and all.
    before: Option<(u64, u64)>,
    /// Why the disk is not asked about.
    no_disk: Option<String>,
}

impl LoadReader {
    pub(super) fn start(
        commands: &Commands<'_>,
        control: &Path,
        data_root: Result<&str, String>,
    ) -> Result<Self, Fault> {
        let what = "read the host's figures over ssh";
        let refused = || Fault::new(what, "its session could not be started");
        let (disk, no_disk) = match data_root {
            Ok(root) => {
                let root = quoted(root.as_ref()).ok_or_else(refused)?;
                (format!("df -P -k {root} 2>/dev/null | tail -n 1; "), None)
            }
            Err(why) => (String::new(), Some(why)),
        };
        // Asked line by line, so that nothing runs there between two questions.
        let line = format!(
            "export LC_ALL=C; while read -r _; do head -n 1 /proc/stat; grep -E '^Mem(Total|Available):' /proc/meminfo; {disk}echo {END}; done"
        );
        let mut command = commands.session(control, &line).ok_or_else(refused)?;
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut held = Held::start(command).map_err(|error| Fault::new(what, error))?;
        match (held.child.stdin.take(), held.child.stdout.take()) {
            (Some(ask), Some(answers)) => Ok(Self {
                held,
                ask,
                answers: BufReader::with_capacity(1 << 10, answers),
                before: None,
                no_disk,
            }),
            _ => Err(refused()),
        }
    }

    /// The figures now; the processors' since the last time, so not the first time. After a fault it is of no more use.
    pub async fn read(&mut self, now: Stamp) -> Result<HostLoad, Fault> {
        match tokio::time::timeout(ANSWER_LIMIT, self.answer()).await {
            Ok(Ok(text)) => {
                let (mut load, counters) = load(&text, self.before, now);
                self.before = counters;
                if let Some(why) = &self.no_disk {
                    load.disk = unknown(why);
                }
                Ok(load)
            }
            Ok(Err(error)) => Err(self.refused(&error.to_string())),
            Err(_) => Err(self.refused("no answer in time")),
        }
    }

    fn refused(&self, why: &str) -> Fault {
        tracing::debug!(process = ?self.held.child.id(), why, "no figures over ssh");
        Fault::new("read the host's figures over ssh", why)
            .hint("the ssh user must be allowed to run commands there")
    }

    async fn answer(&mut self) -> std::io::Result<String> {
        self.ask.write_all(b"\n").await?;
        self.ask.flush().await?;
        let mut text = String::new();
        let mut answers = (&mut self.answers).take(LONGEST_ANSWER);
        loop {
            let begin = text.len();
            if answers.read_line(&mut text).await? == 0 {
                return Err(std::io::Error::other("the session ended"));
            }
            if text.get(begin..).is_some_and(|line| line.trim_end() == END) {
                return Ok(text);
            }
        }
    }
}

fn load(text: &str, before: Option<(u64, u64)>, at: Stamp) -> (HostLoad, Option<(u64, u64)>) {
    let line = |head: &str| text.lines().find_map(|line| line.strip_prefix(head));
    let counters = line("cpu ").and_then(processors);
    let cpu = match (before, counters) {
        (_, None) => unknown("/proc/stat cannot be read there"),
        (None, Some(_)) => unknown("available from the second reading on"),
        (Some(before), Some(now)) => Reading::Known(percent(before, now)),
    };
    let kilobytes = |head: &str| line(head)?.split_whitespace().next()?.parse::<u64>().ok();
    let memory = match (kilobytes("MemTotal:"), kilobytes("MemAvailable:")) {
        (Some(total), Some(free)) => Reading::Known((kib(total.saturating_sub(free)), kib(total))),
        _ => unknown("/proc/meminfo cannot be read there"),
    };
    let disk = text
        .lines()
        .find_map(disk)
        .map_or_else(|| unknown("df reports nothing for the data root"), Reading::Known);
    (
        HostLoad {
            at,
            cpu,
            memory,
            disk,
        },
        counters,
    )
}

fn unknown<T>(why: &str) -> Reading<T> {
    Reading::Unknown { why: why.to_owned() }
}

fn kib(count: u64) -> Bytes {
    Bytes(count.saturating_mul(1024))
}

/// proc(5): user nice system idle iowait irq softirq steal; what guests used is in `user` already. Busy and all.
fn processors(line: &str) -> Option<(u64, u64)> {
    let counts: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map_while(|count| count.parse().ok())
        .collect();
    let all = counts.iter().sum::<u64>();
    let idle = counts.get(3)? + counts.get(4)?;
    Some((all.saturating_sub(idle), all))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a percentage is shown without decimals"
)]
fn percent((busy_before, all_before): (u64, u64), (busy, all): (u64, u64)) -> f32 {
    let all = all.saturating_sub(all_before).max(1);
    let busy = busy.saturating_sub(busy_before).min(all);
    busy as f32 * 100.0 / all as f32
}

/// `device blocks used available n% mount`: what root keeps for itself counts for neither, as in df's own percentage.
fn disk(line: &str) -> Option<(Bytes, Bytes)> {
    let mut words = line.split_whitespace().rev();
    // From the end, for a device's name may hold spaces; a mount point with spaces gives no figure rather than a wrong one.
    let (_mount, percent) = (words.next()?, words.next()?);
    percent.strip_suffix('%')?;
    let available: u64 = words.next()?.parse().ok()?;
    let used: u64 = words.next()?.parse().ok()?;
    Some((kib(used), kib(used.saturating_add(available))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "cpu  100 0 100 700 100 0 0 0 0 0\nMemTotal:       2000 kB\nMemAvailable:    500 kB\n\
        /dev/vda1        1000 600 300  67% /\n.\n";

    #[test]
    fn the_figures_are_read_and_the_first_load_is_not_guessed() {
        let (first, counters) = load(FIRST, None, Stamp(1));
        assert!(matches!(first.cpu, Reading::Unknown { .. }));
        assert_eq!(first.memory, Reading::Known((kib(1_500), kib(2_000))));
        assert_eq!(first.disk, Reading::Known((kib(600), kib(900))));
        let (second, _) = load(&FIRST.replace("cpu  100", "cpu  200"), counters, Stamp(2));
        assert_eq!(second.cpu, Reading::Known(100.0));
    }

    #[test]
    fn what_is_missing_is_unknown_with_a_reason() {
        let (load, counters) = load(".\n", None, Stamp(1));
        assert_eq!(counters, None);
        assert!(matches!(load.cpu, Reading::Unknown { .. }));
        assert!(matches!(load.memory, Reading::Unknown { .. }));
        assert!(matches!(load.disk, Reading::Unknown { .. }));
    }
}

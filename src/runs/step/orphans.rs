//! Ends the commands of a run that kept running on this machine after its process was killed.
//! Ends no other process: they are identified by their process group and by the run in their environment.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use rustix::process::{Pid, Signal, getpgid, kill_process};

use crate::domain::ids::RunId;
use crate::runs::disk::state::open_private;

/// What a command is told of its run by.
pub const RUN: &str = "PILOTHOUSE_RUN";
/// In the run's folder: a number a line.
const FILE: &str = "commands";
/// Who is being ended may start one more.
const LOOKS: u32 = 3;

/// A command leads this group of processes.
pub fn note(dir: &Path, group: u32) -> io::Result<()> {
    let mut file = open_private(&dir.join(FILE))?;
    writeln!(file, "{group}")
}

/// How many were ended.
#[must_use]
pub fn end(dir: &Path, run: &RunId) -> usize {
    // Without the file no command was begun.
    let text = fs::read_to_string(dir.join(FILE)).unwrap_or_default();
    let groups: Vec<Pid> = text.lines().filter_map(pid).collect();
    let told = format!("{RUN}={run}");
    if groups.is_empty() {
        return 0;
    }
    // In this order: a thread of the kernel has no group, and no environment.
    let is_one = |pid: &Pid| {
        is_told(*pid, told.as_bytes()) && getpgid(Some(*pid)).is_ok_and(|group| groups.contains(&group))
    };
    let mut ended = 0;
    for _ in 0..LOOKS {
        let found: Vec<Pid> = processes().into_iter().filter(is_one).collect();
        if found.is_empty() {
            break;
        }
        for pid in found {
            ended += usize::from(kill_process(pid, Signal::KILL).is_ok());
        }
    }
    ended
}

fn pid(text: &str) -> Option<Pid> {
    Pid::from_raw(text.parse().ok()?)
}

fn processes() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names.filter_map(|name| pid(name.to_str()?)).collect()
}

/// Another account's cannot be read, and is none of ours.
fn is_told(pid: Pid, told: &[u8]) -> bool {
    let env = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    env.split(|byte| *byte == 0).any(|variable| variable == told)
}

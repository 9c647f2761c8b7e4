//! A simulated container: what it was asked to be, what it is now, what it lived through.
//! Holds state only; `life` changes it, `views` shows it as Docker's JSON.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::behaviour::{Behaviour, Stream};
use super::tree::Tree;
use super::world::Place;
use crate::domain::units::Stamp;

/// Lives whose output is kept: what a rotated log file would still hold of a crash loop.
pub(super) const LIVES_KEPT: usize = 12;
/// Lines that tests and shells put in, kept a container.
const LINES_KEPT: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    Running,
    Paused,
    /// Ended, and to be started again by its policy.
    Restarting,
    Exited,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Unchecked,
    Starting,
    Healthy,
    Unhealthy,
}

#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: String,
    /// Without the slash.
    pub(super) name: String,
    pub(super) created: Stamp,
    /// As asked for, and what it was then; empty for a container without an image.
    pub(super) image: String,
    pub(super) image_id: String,
    /// `Config` and `HostConfig` as an inspection shows them, defaults filled in.
    pub(super) config: Value,
    pub(super) host: Value,
    pub(super) mounts: Vec<Mounted>,
    /// By the network's name.
    pub(super) networks: BTreeMap<String, Attached>,
    pub(super) phase: Phase,
    pub(super) started: Stamp,
    pub(super) finished: Stamp,
    pub(super) exit_code: i32,
    pub(super) oom: bool,
    /// Why it could not be started.
    pub(super) error: String,
    pub(super) pid: u32,
    pub(super) restarts: u64,
    /// How often in a row it ended soon after its start.
    pub(super) quick_ends: u32,
    /// Stopped by somebody: `unless-stopped` then stays down.
    pub(super) stopped_by_hand: bool,
    /// The end that comes is wanted: no restart after it.
    pub(super) no_restart: bool,
    pub(super) health: Health,
    pub(super) failing_streak: u32,
    pub(super) behaviour: Behaviour,
    /// Given by the scenario: comes before what image and command say.
    pub(super) planted: Option<Behaviour>,
    /// A health that a test has ordered, instead of the script's.
    pub(super) ordered_health: Option<bool>,
    /// Counts starts and ends: what was planned for an earlier life is void.
    pub(super) life: u64,
    /// Oldest first; the last is the present one while it runs.
    pub(super) lives: VecDeque<Life>,
    /// Lines from outside its behaviour, oldest first.
    pub(super) extra: VecDeque<Line>,
    /// Its own layer.
    pub(super) files: Tree,
    /// Since when it says and uses nothing.
    pub(super) paused_at: Option<Stamp>,
}

#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) started: Stamp,
    pub(super) ended: Option<Stamp>,
    /// Said at the end.
    pub(super) words: Vec<String>,
    pub(super) seed: u64,
    /// What it did then.
    pub(super) conduct: Arc<Behaviour>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Stamp,
    pub(super) stream: Stream,
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) struct Mounted {
    /// `volume` or `bind`
    pub(super) kind: &'static str,
    /// A volume's name or a path of the host.
    pub(super) source: String,
    pub(super) target: String,
    pub(super) mode: String,
    pub(super) writable: bool,
}

/// A place on a network; the address is there while it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Attached {
    pub(super) aliases: Vec<String>,
    /// `IPAMConfig` as asked for.
    pub(super) ipam: Value,
    pub(super) links: Value,
    pub(super) options: Value,
    /// Third and fourth number of the address.
    pub(super) address: Option<u16>,
    pub(super) endpoint: String,
}

impl Container {
    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }

    pub(super) fn is_tty(&self) -> bool {
        self.config.get("Tty").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn labels(&self) -> &Value {
        self.config.get("Labels").unwrap_or(&Value::Null)
    }

    /// Entrypoint and command, as they are executed.
    pub(super) fn argv(&self) -> Vec<String> {
        let mut argv = words(self.config.get("Entrypoint"));
        argv.extend(words(self.config.get("Cmd")));
        argv
    }

    pub(super) fn policy(&self) -> (&str, u64) {
        let policy = self.host.get("RestartPolicy");
        let name = policy
            .and_then(|policy| policy.get("Name"))
            .and_then(Value::as_str)
            .unwrap_or("");
        let tries = policy
            .and_then(|policy| policy.get("MaximumRetryCount"))
            .and_then(Value::as_u64)
            .unwrap_or(0);
        (name, tries)
    }

    pub(super) fn memory_limit(&self) -> Option<u64> {
        self.host
            .get("Memory")
            .and_then(Value::as_u64)
            .filter(|&bytes| bytes > 0)
    }

    pub(super) fn stop_grace(&self) -> Duration {
        let seconds = self.config.get("StopTimeout").and_then(Value::as_u64);
        Duration::from_secs(seconds.unwrap_or(10))
    }

    pub(super) fn stop_signal(&self) -> i32 {
        self.config
            .get("StopSignal")
            .and_then(Value::as_str)
            .and_then(super::signal::number)
            .unwrap_or(15)
    }

    /// The declared health check, if there is one and it is not `NONE`.
    pub(super) fn check(&self) -> Option<Check> {
        let declared = self.config.get("Healthcheck").filter(|value| value.is_object())?;
        let test = words(declared.get("Test"));
        if test.is_empty() || test.first().is_some_and(|word| word == "NONE") {
            return None;
        }
        let span = |key: &str, default: Duration| {
            declared
                .get(key)
                .and_then(Value::as_u64)
                .filter(|&nanos| nanos > 0)
                .map_or(default, Duration::from_nanos)
        };
        let retries = declared
            .get("Retries")
            .and_then(Value::as_u64)
            .filter(|&n| n > 0)
            .unwrap_or(3);
        Some(Check {
            test,
            interval: span("Interval", Duration::from_secs(30)),
            grace: span("StartPeriod", Duration::ZERO),
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
        })
    }

    /// The files it sees at `path`: of the mount that covers it, or its own; with the path within them.
    pub(super) fn place(&self, path: &str) -> (Place, String) {
        let path = super::tree::clean(path);
        let covering = self
            .mounts
            .iter()
            .filter_map(|mount| {
                let target = super::tree::clean(&mount.target);
                let rest = path.strip_prefix(&target)?;
                (rest.is_empty() || rest.starts_with('/'))
                    .then(|| (target.len(), mount, rest.trim_start_matches('/').to_owned()))
            })
            .max_by_key(|(length, _, _)| *length);
        match covering {
            Some((_, mount, rest)) if mount.kind == "volume" => (Place::Volume(mount.source.clone()), rest),
            Some((_, mount, rest)) => (Place::Bind(mount.source.clone()), rest),
            None => (Place::Own(self.id.clone()), path),
        }
    }

    pub(super) fn say(&mut self, at: Stamp, stream: Stream, text: &str) {
        for line in text.lines() {
            if self.extra.len() == LINES_KEPT {
                self.extra.pop_front();
            }
            self.extra.push_back(Line {
                at,
                stream,
                text: line.to_owned(),
            });
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Check {
    /// `CMD …` or `CMD-SHELL …`
    pub(super) test: Vec<String>,
    pub(super) interval: Duration,
    pub(super) grace: Duration,
    pub(super) retries: u32,
}

/// A list of words, or one.
pub(super) fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(word)) => vec![word.clone()],
        _ => Vec::new(),
    }
}

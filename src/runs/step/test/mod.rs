//! A test: one command in a container, its dependencies beside it, and its result.
//! Everything it creates on the host is always removed; what a dead run left is found by labels.

mod ground;
mod container;
mod ending;
mod needs;
mod ready;
pub(super) mod listening;
mod artifacts;
mod junit;
mod sweep;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Progress, cancelled};
use crate::config::test::Test;
use crate::domain::fault::Fault;
use crate::domain::ids::{ImageId, RunId};
use crate::domain::tested::Tested;
use crate::domain::units::Bytes;
use crate::hosts::Daemon;
use ground::Ground;

pub use sweep::{left, sweep};

/// How a test ended that could be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestResult {
    Passed,
    Failed {
        code: i64,
    },
    /// It ended well or not, but its last line is not the one that counts as passed.
    LastLine {
        line: Option<String>,
    },
    /// The kernel killed something in it for memory, and it failed.
    OutOfMemory {
        code: i64,
    },
    /// By a SIGKILL that was not ours, and the daemon knows of no shortage of memory.
    Killed {
        code: i64,
        memory: Option<u64>,
    },
    /// It was killed because it took longer than it may.
    TimedOut {
        limit: Duration,
    },
}

impl TestResult {
    #[must_use]
    pub fn passed(&self) -> bool {
        *self == Self::Passed
    }

    /// `exit code 3`, for the fault of a stage that failed.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Passed => "passed".to_owned(),
            Self::Failed { code } => format!("exit code {code}"),
            Self::LastLine { line: Some(line) } => format!("its last line is {line:?}"),
            Self::LastLine { line: None } => "it has no last line: there was no output".to_owned(),
            Self::OutOfMemory { code } => format!("out of memory (exit code {code})"),
            Self::Killed {
                code,
                memory: Some(limit),
            } => format!(
                "killed (exit code {code}), most likely for memory: it may use {}",
                Bytes(*limit)
            ),
            Self::Killed { code, memory: None } => {
                format!(
                    "killed (exit code {code}): by itself, by a person, or because the host ran out of memory"
                )
            }
            Self::TimedOut { limit } => format!("still running after {} s: killed", limit.as_secs_f64()),
        }
    }
}

/// One test of one run, with everything that is known before it begins.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    pub test: &'a Test,
    pub run: &'a RunId,
    /// What its command runs in.
    pub image: &'a ImageId,
    /// What its needs run in, by the name that they give; all are on the host.
    pub images: &'a BTreeMap<String, ImageId>,
    /// Where it runs if it needs nothing beside it; absent: where the daemon puts it.
    pub network: Option<&'a str>,
    /// The run's folder: artifacts are kept below it.
    pub folder: &'a Path,
}

/// How it ended, and what is told of it either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub result: TestResult,
    pub tested: Tested,
}

/// So many artifacts are named; the others are counted.
const NAMED: usize = 50;

/// Runs the test, again as often as it may when it fails. A fault: it could not be run, nobody knows how it ended,
/// or something of it is left on the host.
pub async fn test(
    daemon: &Daemon,
    trial: Trial<'_>,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<Report, Fault> {
    let what = format!("run the test {} on {}", trial.test.name, daemon.name());
    let daemon = daemon.bulk().await.map_err(crate::hosts::Unreached::fault)?;
    let attempts = trial.test.retries.saturating_add(1);
    let mut tested = Tested {
        attempts,
        ..Tested::default()
    };
    for attempt in 1..=attempts {
        if cancel.is_cancelled() {
            return Err(cancelled(&what));
        }
        let ground = Ground {
            docker: daemon.change()?,
            daemon: &daemon,
            trial,
            attempt,
            what: &what,
        };
        let outcome = ground.attempt(progress, cancel).await;
        let left = ground.clear().await;
        let (result, kept) = match (outcome, left) {
            (Ok(ended), Ok(())) => ended,
            (Ok((result, _)), Err(left)) => {
                progress.line(&format!("it ended: {}", result.words()));
                return Err(left);
            }
            (Err(fault), Ok(())) => return Err(fault),
            (Err(fault), Err(left)) => {
                progress.line(&left.to_string());
                return Err(fault);
            }
        };
        tested.attempt = attempt;
        tested.report = kept.report;
        for name in kept.files {
            if tested.artifacts.len() < NAMED {
                tested.artifacts.push(name);
            } else {
                tested.more_artifacts += 1;
            }
        }
        if !result.passed() && attempt < attempts {
            progress.line(&format!("attempt {attempt} of {attempts}: {}", result.words()));
            continue;
        }
        tested.passed = result.passed();
        tested.flaky = tested.passed && attempt > 1;
        if let Some(report) = &tested.report {
            progress.line(&report.to_string());
        }
        return Ok(Report { result, tested });
    }
    Err(Fault::new(what, "it cannot be run"))
}

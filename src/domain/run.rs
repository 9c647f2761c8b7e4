//! A run as anybody sees it who follows its journal: stages, hosts, times, result.
//! Made by `runs::follow`; the runner itself is another process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{HostName, ReleaseNumber, RunId, ServiceName};
use super::tested::Tested;
use super::units::Stamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    Build,
    Test,
    Push,
    Deploy,
    Rollback,
    /// What runs already becomes a release, untouched.
    Adopt,
    /// Build, test, push, deploy in one.
    Pipeline,
}

impl RunKind {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Push => "push",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Adopt => "adopt",
            Self::Pipeline => "pipeline",
        }
    }
}

/// How a closed run ended. There is no other way for a run that changes hosts to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// Did what it was for: the fleet is wholly on the new release (or the image is built, the tests passed). Exit 0.
    Converged,
    /// Did not, and everything is as it was before, checked. Exit 1; 130 when it was cancelled.
    Reverted { why: String, cancelled: bool },
    /// Neither could be reached or proven: exactly these differences are left. Exit 5.
    NeedsHuman { why: String, differences: Vec<String> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunStatus {
    /// Its process lives (holds the run's flock).
    Running,
    Closed {
        at: Stamp,
        outcome: Outcome,
    },
    /// Its process died before it closed: `recover` finishes or reverts what it left.
    Dead,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunView {
    pub id: RunId,
    pub kind: RunKind,
    pub service: ServiceName,
    pub environment: Option<String>,
    /// Login of the person, not the shared account; and the machine.
    pub actor: String,
    pub machine: String,
    pub reason: Option<String>,
    pub started: Stamp,
    pub status: RunStatus,
    /// Its process lives and does nothing yet, or no more: `for run … by …`.
    pub waiting: Option<String>,
    /// How long it has waited in all, until the last time that it went on.
    pub waited: Duration,
    /// Being undone: a gate failed, or somebody cancelled.
    pub undoing: Option<String>,
    /// Its release is committed and stays, whatever becomes of what stands behind it.
    #[serde(default)]
    pub committed: bool,
    /// How often somebody asked it to end: the first time it undoes, the second time it stops where it is.
    #[serde(default)]
    pub cancels: usize,
    pub from: Option<ReleaseNumber>,
    pub to: Option<ReleaseNumber>,
    /// What is shipped, for people: `shop:3f2a91c`, with its id.
    pub image: String,
    /// In the order of the plan.
    pub hosts: Vec<HostName>,
    /// Those of them that were lost on the way: what is left there is put in order when they answer again.
    #[serde(default)]
    pub lost: Vec<HostName>,
    /// In the order they are done.
    pub stages: Vec<StageView>,
    /// Done steps out of all: the progress bar.
    pub steps_done: u32,
    pub steps_total: u32,
    /// From earlier runs of this kind and service; absent for the first.
    pub estimate: Option<Duration>,
    /// The account that started it, where that is not ours: only it may end, answer or recover the run, and root.
    #[serde(default)]
    pub theirs: Option<String>,
    /// Stages that wait for a person's word.
    pub asks: Vec<Asked>,
    /// What was left, or did not succeed, without making the run a failed one.
    pub notes: Vec<String>,
    /// The last lines of output, oldest first, cut to what a pane can show.
    pub output: Vec<RunLine>,
    /// Output lines before those, not sent.
    pub output_skipped: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub stage: String,
    pub question: String,
}

/// A column of the pipeline pane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageView {
    /// `build`, `test unit`, `image`, `create`, `start`, `gate`, `commit`, `retire`, …
    pub name: String,
    /// Runs at once with the stage before it.
    #[serde(default)]
    pub beside: bool,
    /// How long it usually takes, from earlier runs; absent for the first.
    #[serde(default)]
    pub estimate: Option<Duration>,
    /// One cell for the whole stage, or one a host.
    pub cells: Vec<(Option<HostName>, Cell)>,
    /// Of a test that has ended: its attempts, its report, what was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<Tested>,
}

impl StageView {
    /// Nothing goes on in a run whose process died.
    pub fn die(&mut self) {
        for (_, cell) in &mut self.cells {
            if let Cell::Running { .. } = cell {
                *cell = Cell::Failed {
                    took: Duration::ZERO,
                    why: "its process died here".to_owned(),
                };
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cell {
    Waiting,
    /// `text`: what it does now, `starting, 4 s of 60 s`.
    Running {
        since: Stamp,
        text: String,
    },
    Done {
        took: Duration,
    },
    /// A test that passed, but not at the first attempt.
    Flaky {
        took: Duration,
        text: String,
    },
    Failed {
        took: Duration,
        why: String,
    },
    /// Was done, and is taken back.
    Undone,
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunLine {
    pub at: Stamp,
    pub stage: String,
    pub host: Option<HostName>,
    /// As it came: cleaned when drawn.
    pub text: String,
}

/// A part of what a run said: of one stage, of one host, or all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub run: RunId,
    pub stage: Option<String>,
    pub host: Option<HostName>,
}

impl Part {
    /// What names no host belongs to all of them.
    #[must_use]
    pub fn holds(&self, line: &RunLine) -> bool {
        let is_its = |host: &HostName| self.host.as_ref().is_none_or(|wanted| wanted == host);
        self.stage.as_ref().is_none_or(|stage| *stage == line.stage) && line.host.as_ref().is_none_or(is_its)
    }
}

/// What a person says to a stage that waits for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub stage: String,
    pub yes: bool,
    pub reason: Option<String>,
}

/// What was kept of a run's output, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Lines of the whole run, before these, that were not kept.
    pub gone: u64,
    pub lines: Vec<RunLine>,
}

impl RunView {
    /// `deploy shop.staging`
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.kind.word(), self.subject())
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.status {
            RunStatus::Running | RunStatus::Dead => true,
            RunStatus::Closed { .. } => false,
        }
    }

    /// Did a test pass only when it was tried again?
    #[must_use]
    pub fn is_flaky(&self) -> bool {
        let tested = self.stages.iter().filter_map(|stage| stage.tested.as_ref());
        tested.into_iter().any(|tested| tested.flaky)
    }

    /// Why it is nobody's to end who is neither root nor who started it.
    #[must_use]
    pub fn only_theirs(&self) -> Option<String> {
        let owner = self.theirs.as_ref()?;
        Some(format!("{owner} started it, and only {owner} or root may"))
    }

    /// Who started it: `ops-a@bastion-1`, or `ops-a`.
    #[must_use]
    pub fn by(&self) -> String {
        if self.machine.is_empty() {
            self.actor.clone()
        } else {
            format!("{}@{}", self.actor, self.machine)
        }
    }

    /// `shop`, or `shop.staging`.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.environment {
            Some(environment) => format!("{}.{environment}", self.service),
            None => self.service.to_string(),
        }
    }
}

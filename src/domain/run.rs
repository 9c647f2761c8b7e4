//! A run as anybody sees it who follows its journal: stages, hosts, times, result.
//! Made by [`crate::runs::seen`]; the runner itself is another process.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

use super::container::Group;
use super::ids::{HostName, ReleaseNumber, RunId, ServiceName};
use super::tested::Tested;
use super::told;
use super::units::Stamp;

/// What a run does; also its name in journals, ledgers and JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunKind {
    Build,
    Test,
    Push,
    Deploy,
    Rollback,
    /// Running containers become a release, unchanged.
    Adopt,
    /// Build, test, push and deploy in one run.
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

    /// Those that lock a service on its hosts.
    #[must_use]
    pub fn of_replicas() -> [Self; 4] {
        [Self::Deploy, Self::Rollback, Self::Adopt, Self::Pipeline]
    }
}

/// The result of a closed run; there are no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// Succeeded: all hosts are on the new release (or the image is built, the tests passed). Exit 0.
    Converged,
    /// Failed, and everything is verified to be as it was before. Exit 1; 130 if it was cancelled.
    Reverted { why: String, cancelled: bool },
    /// Neither could be reached or verified: these differences are left. Exit 5.
    NeedsHuman { why: String, differences: Vec<String> },
}

/// What is known of the holder of a lock that is not seen to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Silence {
    /// It has not renewed the lock for so long: longer than any run that goes on.
    For(#[serde(serialize_with = "told::seconds")] Duration),
    /// It renewed the lock so far in the future of the lock's daemon: the clock there was set back since.
    Ahead(#[serde(serialize_with = "told::seconds")] Duration),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RunStatus {
    /// Its process is alive (it holds the run's flock).
    Running,
    Closed {
        #[serde(serialize_with = "told::time")]
        at: Stamp,
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Its process died before it closed: `recover` finishes or reverts it.
    Dead,
}

/// A run as shown on the screen and printed as JSON; folded from its journal by `runs::seen::view`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunView {
    pub id: RunId,
    pub kind: RunKind,
    pub service: ServiceName,
    pub environment: Option<String>,
    /// The person's login, not the shared account.
    pub actor: String,
    pub machine: String,
    pub reason: Option<String>,
    #[serde(serialize_with = "told::time")]
    pub started: Stamp,
    pub status: RunStatus,
    /// Set while it waits: `for run … by …`.
    pub waiting: Option<String>,
    /// The total time it waited, until it last continued.
    #[serde(serialize_with = "told::seconds")]
    pub waited: Duration,
    /// Set while it is being undone: the reason.
    pub undoing: Option<String>,
    /// Its release is committed and stays, whatever the stages after it do.
    pub committed: bool,
    /// How often it was cancelled: the first time it undoes its changes, the second time it stops without undoing the rest.
    pub cancels: usize,
    pub from: Option<ReleaseNumber>,
    pub to: Option<ReleaseNumber>,
    /// The image, for people: `shop:3f2a91c`, with its id.
    pub image: String,
    /// In the order of the plan.
    pub hosts: Vec<HostName>,
    /// Hosts that were lost during the run: recover them when they answer again.
    pub lost: Vec<HostName>,
    /// In execution order.
    pub stages: Vec<StageView>,
    /// For the progress bar.
    pub steps_done: u32,
    pub steps_total: u32,
    /// From earlier runs of this kind and service; `None` for the first.
    #[serde(serialize_with = "told::seconds_if")]
    pub estimate: Option<Duration>,
    /// The user who started it, if that is another one: only that user and root may cancel, approve or recover it.
    pub theirs: Option<String>,
    /// Stages that wait for approval.
    pub asks: Vec<Asked>,
    /// Things left over or unsuccessful that do not make the run a failure.
    pub notes: Vec<String>,
    /// What may help a run that was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The last lines of output, oldest first, as many as a pane can show.
    #[serde(serialize_with = "lines")]
    pub output: Vec<RunLine>,
    /// The number of earlier output lines.
    pub output_skipped: u64,
}

/// What a run in progress does: only one that goes has a percentage and an estimate that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing<'a> {
    /// For whom.
    Waiting(&'a str),
    /// A stage waits for approval.
    Asking(&'a Asked),
    /// Why.
    Undoing(&'a str),
    Going,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub stage: String,
    pub question: String,
}

/// A column of the pipeline pane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageView {
    /// `build`, `test unit`, `image`, `create`, `start`, `gate`, `commit`, `retire`, …
    pub name: String,
    /// Runs concurrently with the previous stage.
    pub beside: bool,
    /// Its usual duration, from earlier runs; `None` for the first.
    #[serde(serialize_with = "told::seconds_if")]
    pub estimate: Option<Duration>,
    /// One cell for the whole stage, or one per host.
    #[serde(serialize_with = "cells")]
    pub cells: Vec<(Option<HostName>, Cell)>,
    /// For a test that has ended: its attempts, report and artifacts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tested: Option<Tested>,
}

fn cells<S: Serializer>(cells: &[(Option<HostName>, Cell)], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Told<'a> {
        host: &'a Option<HostName>,
        #[serde(flatten)]
        cell: &'a Cell,
    }
    to.collect_seq(cells.iter().map(|(host, cell)| Told { host, cell }))
}

fn lines<S: Serializer>(lines: &[RunLine], to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Told<'a> {
        at: String,
        stage: &'a str,
        host: &'a Option<HostName>,
        text: &'a str,
    }
    to.collect_seq(lines.iter().map(|line| Told {
        at: told::rfc3339(line.at),
        stage: &line.stage,
        host: &line.host,
        text: &line.text,
    }))
}

impl StageView {
    /// Nothing goes on in a run whose process died.
    pub fn die(&mut self) {
        for (_, cell) in &mut self.cells {
            if let Cell::Running { .. } = cell {
                *cell = Cell::Failed {
                    took: Duration::ZERO,
                    why: "its process died".to_owned(),
                };
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Cell {
    Waiting,
    /// `text`: what it does now, `starting, 4 s of 60 s`.
    Running {
        #[serde(serialize_with = "told::time")]
        since: Stamp,
        text: String,
    },
    Done {
        #[serde(serialize_with = "told::seconds")]
        took: Duration,
    },
    /// A test that passed, but not at the first attempt.
    Flaky {
        #[serde(serialize_with = "told::seconds")]
        took: Duration,
        text: String,
    },
    Failed {
        #[serde(serialize_with = "told::seconds")]
        took: Duration,
        why: String,
    },
    /// Was begun or done, and is taken back.
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

    /// What its service is gathered under.
    #[must_use]
    pub fn group(&self) -> Group {
        Group::service(&self.service, self.environment.as_deref())
    }

    /// Of one that is in progress.
    #[must_use]
    pub fn doing(&self) -> Doing<'_> {
        if let Some(whom) = &self.waiting {
            Doing::Waiting(whom)
        } else if let Some(asked) = self.asks.first() {
            Doing::Asking(asked)
        } else if let Some(why) = &self.undoing {
            Doing::Undoing(why)
        } else {
            Doing::Going
        }
    }

    /// Of its steps those that are done, in percent.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let percent = u64::from(self.steps_done) * 100 / u64::from(self.steps_total.max(1));
        percent.min(100)
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

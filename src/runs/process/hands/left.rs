//! Recovers an unfinished run found under a stale lock, completely, before this run takes its first lock.
//! The recovery is a run of its own, with its own journal and process; here it is only waited for.

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::hosts::Daemon;
use crate::release::record::{Failure, FailureKind};
use crate::release::stage::Step;
use crate::runs::left::recover::{self, Found, Here, Recovery};
use crate::runs::seen::follow;
use crate::runs::step::{Progress as _, lock};
use crate::runs::view;

impl Hands {
    /// Does nothing without unfinished runs. Fails as locked if one could not be recovered.
    pub(super) async fn recover_what_was_left(&self, step: &Step) -> Result<(), Failure> {
        let subject = &self.plan.subject;
        let mut found: Vec<Found> = Vec::new();
        for host in &self.plan.targets {
            let daemon: Daemon = self.daemon(host)?;
            let locks = lock::seen(&daemon, subject).await?;
            found.extend(locks.into_iter().map(|lock| (daemon.clone(), lock)));
        }
        found.retain(|(_, lock)| lock.run != self.plan.run.as_str());
        let mut teller = self.pen.teller(step);
        for run in recover::left(subject, &found) {
            let its: Vec<Found> = found
                .iter()
                .filter(|(_, lock)| lock.run == run)
                .cloned()
                .collect();
            if let Some((daemon, lock)) = its.first() {
                teller.line(&format!(
                    "{}: unfinished run found, {}; recovering it first",
                    daemon.name(),
                    lock.described()
                ));
            }
            let its = match self.watched(&run, its, step).await {
                Ok(its) => its,
                // It lives: it is waited for, as any other.
                Err(failure) if failure.kind == FailureKind::Locked => continue,
                Err(failure) => return Err(failure),
            };
            teller.text(&format!("recovering run {run}"));
            let here = Here {
                state: &self.state,
                known: &self.known,
                subject,
                service: &self.plan.service,
            };
            match Box::pin(recover::take_up(here, &run, its)).await? {
                Recovery::Started(run) => self.wait_for(&run, step).await?,
                Recovery::Unlocked { run, hosts } => {
                    teller.line(&format!(
                        "run {run} had changed nothing; removed its locks on {} hosts",
                        hosts.len()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Its locks once nobody renews any of them, for certain.
    async fn watched(&self, run: &str, its: Vec<Found>, step: &Step) -> Result<Vec<Found>, Failure> {
        let subject = &self.plan.subject;
        if recover::died_here(&self.state, run) {
            return Ok(its);
        }
        if let Some(span) = recover::watching(subject, its.iter().map(|(_, lock)| lock)) {
            let words = format!(
                "watching for {} s whether run {run} renews its lock",
                span.as_secs()
            );
            self.pen.teller(step).text(&words);
        }
        tokio::select! {
            watched = recover::watched(subject, its) => watched,
            () = self.interrupt.cancelled() => {
                let what = format!("{} {subject}", self.plan.kind.word());
                let why = format!("it was stopped while it watched whether run {run} is alive");
                Err(Failure::of(FailureKind::Interrupted, Fault::new(what, why)))
            }
        }
    }

    async fn wait_for(&self, run: &RunId, step: &Step) -> Result<(), Failure> {
        let mut teller = self.pen.teller(step);
        let show = |seen: &RunView| {
            let way = seen.undoing.as_deref().unwrap_or("checking its state");
            teller.text(&format!("recovering run {run}: {way}"));
        };
        tokio::select! {
            ended = follow::follow(&self.state, run, show) => {
                ended.map_err(Failure::refused)?;
            }
            () = self.interrupt.cancelled() => {
                let fault = Fault::new(
                    format!("{} {}", self.plan.kind.word(), self.plan.subject),
                    format!("the recovery of run {run} continues separately"),
                );
                return Err(Failure::of(FailureKind::Interrupted, fault));
            }
        }
        let seen = view(&self.state, run).map_err(Failure::refused)?;
        let why = match seen.status {
            RunStatus::Closed {
                outcome: outcome @ (Outcome::Converged | Outcome::Reverted { .. }),
                ..
            } => {
                let words = match outcome {
                    Outcome::Converged => "had been committed and was finished",
                    Outcome::Reverted { .. } | Outcome::NeedsHuman { .. } => "was undone",
                };
                self.pen.teller(step).line(&format!("run {run} {words}"));
                return Ok(());
            }
            RunStatus::Closed {
                outcome: Outcome::NeedsHuman { differences, .. },
                ..
            } => format!(
                "run {run}, found unfinished, needs a human: {}",
                differences.join("; ")
            ),
            RunStatus::Running | RunStatus::Dead => {
                format!("run {run}, found unfinished, could not be recovered now")
            }
        };
        let fault = Fault::new(format!("{} {}", self.plan.kind.word(), self.plan.subject), why);
        Err(Failure::of(
            FailureKind::Locked,
            fault.hint(format!("pilothouse recover {run}")),
        ))
    }
}

//! A run that is found unfinished under a stale lock: it is recovered as a whole before this one takes its first lock.
//! A run of its own, with its own journal and process; here it is only waited for.

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
    /// Nothing to do where nobody left anything. Fails as locked when what was left could not be put in order.
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
                    "{}: left unfinished, {}: recovered first",
                    daemon.name(),
                    lock.described()
                ));
            }
            teller.text(&format!("recovering run {run}"));
            let here = Here {
                state: &self.state,
                known: &self.known,
                subject,
                service: &self.plan.service,
            };
            match Box::pin(recover::take_up(here, its)).await? {
                Recovery::Started(run) => self.wait_for(&run, step).await?,
                Recovery::Unlocked { run, hosts } => {
                    teller.line(&format!(
                        "run {run} had changed nothing but its locks on {} hosts: they are gone",
                        hosts.len()
                    ));
                }
                Recovery::Nothing => {}
            }
        }
        Ok(())
    }

    async fn wait_for(&self, run: &RunId, step: &Step) -> Result<(), Failure> {
        let mut teller = self.pen.teller(step);
        let show = |seen: &RunView| {
            let way = seen.undoing.as_deref().unwrap_or("asking what became of it");
            teller.text(&format!("recovering run {run}: {way}"));
        };
        tokio::select! {
            ended = follow::follow(&self.state, run, show) => {
                ended.map_err(Failure::refused)?;
            }
            () = self.interrupt.cancelled() => {
                let fault = Fault::new(
                    format!("{} {}", self.plan.kind.word(), self.plan.subject),
                    format!("the recovery of run {run} goes on without it"),
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
                    Outcome::Converged => "had been committed: it was finished",
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

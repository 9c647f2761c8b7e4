//! Takes the lock of a host: recovers what a dead run left under it first, and waits for a holder on another machine.
//! Polls with jitter, so the order is not guaranteed; waiting ends at its limit, or when the run is undone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::plan::Wait;
use crate::hosts::Daemon;
use crate::release::facts::LockSeen;
use crate::release::record::{Entry, Failure, FailureKind, Finding};
use crate::release::stage::Step;
use crate::release::subject::Subject;
use crate::runs::step::Progress as _;
use crate::runs::step::fence::{Renewed, uptime};
use crate::runs::step::lock::{self, Claim, Pinned};

/// The default limit for waiting for another machine's run.
const PATIENCE: Duration = Duration::from_mins(15);
/// The pause between two checks in ms; random, so that waiting runs do not check at the same time.
const POLL: std::ops::Range<u64> = 500..2_500;
/// How often another run may be faster before it fails.
const BEATEN: u32 = 5;

impl Hands {
    pub(super) async fn lock(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let begun = Instant::now();
        let done = Box::pin(self.lock_in_time(step, daemon, begun)).await;
        self.has_waited(begun.elapsed());
        done
    }

    async fn lock_in_time(&self, step: &Step, daemon: &Daemon, begun: Instant) -> Result<Finding, Failure> {
        let (mut said, mut beaten, mut is_found_left) = (String::new(), 0, false);
        loop {
            if !self.held().resumed && self.held().locks.is_empty() {
                // What cannot be put in order is not waited for: nobody is at work there.
                self.recover_what_was_left(step).await?;
            }
            let failure = match self.try_lock(step, daemon).await {
                Err(failure) if failure.kind == FailureKind::Locked => failure,
                other => return other,
            };
            let passed = match self.plan_wait() {
                Wait::No => return Err(failure),
                Wait::Turn => begun.elapsed() > PATIENCE,
                Wait::UpTo(limit) => self.held().waited + begun.elapsed() > limit,
            };
            if passed {
                return Err(failure);
            }
            match lock::holder(daemon, &self.plan.subject).await {
                Some(lock) if lock.is_left(&self.plan.subject) => {
                    if is_found_left || !self.held().locks.is_empty() {
                        return Err(failure);
                    }
                    // It ran out since the turn began: the next one puts it in order.
                    is_found_left = true;
                    continue;
                }
                Some(lock) => {
                    let words = waiting_for(&lock, &self.plan.subject);
                    if words != said {
                        self.pen.teller(step).text(&format!("waiting {words}"));
                        let entry = Entry::Waits { text: words.clone() };
                        self.pen.write(entry).map_err(Failure::refused)?;
                        said = words;
                    }
                }
                None if beaten >= BEATEN => return Err(failure),
                None => beaten += 1,
            }
            let pause = Duration::from_millis(fastrand::u64(POLL));
            tokio::select! {
                biased;
                () = self.interrupt.cancelled() => {
                    let fault = Fault::new(failure.fault.what, format!("it was waiting {said} and was stopped"));
                    return Err(Failure::of(FailureKind::Interrupted, fault));
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Writes plan and decision into the lock, for a later recovery.
    pub(super) async fn pin(&self, host: &HostName, daemon: &Daemon) -> Result<Finding, Failure> {
        let pinned = Pinned {
            plan: self.plan.clone(),
            decision: (*self.decision()?).clone(),
        };
        if let Some((_, id)) = self.lock_of(host) {
            lock::pin(daemon, &id, &pinned).await?;
        }
        Ok(Finding::Nothing)
    }

    /// A recovery never waits for a lock; it is repeated later.
    fn plan_wait(&self) -> Wait {
        if self.held().resumed { Wait::No } else { self.wait }
    }

    async fn try_lock(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let (resumed, decision) = {
            let held = self.held();
            (held.resumed, held.decision.clone())
        };
        let pinned = decision.filter(|_| resumed).map(|decision| Pinned {
            plan: self.plan.clone(),
            decision: (*decision).clone(),
        });
        let claim = Claim {
            plan: &self.plan,
            machine: &self.machine,
            pinned: pinned.as_ref(),
        };
        let begun = uptime();
        let id = lock::take(daemon, claim).await?;
        let mut held = self.held();
        held.locks.insert(step.host.clone(), id.clone());
        held.renewed
            .insert(step.host.clone(), Arc::new(Renewed::at(begun)));
        Ok(Finding::Lock { id })
    }
}

pub(super) fn not_locked(host: &HostName) -> Failure {
    let fault = Fault::new(format!("go on on {host}"), "it is not locked by this run");
    Failure::of(FailureKind::Fenced, fault)
}

/// Without its age: what is said again only when it changes.
fn waiting_for(lock: &LockSeen, subject: &Subject) -> String {
    let kind = lock.kind.as_ref();
    let kind = kind.map_or_else(String::new, |kind| format!(" ({kind} {subject})"));
    let mut parts = vec![format!(
        "for run {} by {} on {}{kind}",
        lock.run, lock.actor, lock.machine
    )];
    parts.extend(lock.reason.as_ref().map(|reason| format!("\"{reason}\"")));
    parts.extend(lock.stage.as_ref().map(|stage| format!("at {stage}")));
    parts.join(", ")
}

//! The steps that write and read the history of a service: commit, record, inquire.
//! The commit is one record on the first host; the other hosts' ledgers are copies.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::hosts::Daemon;
use crate::release::adopt::adoption;
use crate::release::copies::joined;
use crate::release::decision::Decision;
use crate::release::facts::LedgerSeen;
use crate::release::ledger::{Ledger, LedgerEntry, LedgerResult};
use crate::release::record::{Failure, Finding};
use crate::runs::process::pen;
use crate::runs::step::{self, ledger};

impl Hands {
    /// Commits with one record on the first host, whose ledger is completed from the other copies.
    pub(super) async fn commit(&self, host: &HostName) -> Result<Finding, Failure> {
        let decision = self.decision()?;
        let other = self.other_copies(host, &decision).await;
        let entry = self.committed(&decision);
        let history = ledger::append(&self.fence_of(host)?, other.as_ref(), entry).await?;
        self.held().history = Some(Arc::new(history));
        Ok(Finding::Nothing)
    }

    /// Completes another host's ledger from the first one's, which is read only once.
    pub(super) async fn copy(&self, host: &HostName) -> Result<Finding, Failure> {
        let decision = self.decision()?;
        let known = self.held().history.clone();
        let other = match known {
            Some(history) => Some(history),
            None => self.other_copies(host, &decision).await.map(Arc::new),
        };
        let entry = self.committed(&decision);
        ledger::append(&self.fence_of(host)?, other.as_deref(), entry).await?;
        Ok(Finding::Nothing)
    }

    fn committed(&self, decision: &Decision) -> LedgerEntry {
        let mut entry = decision.ledger_entry(&self.plan, pen::now(), LedgerResult::Committed);
        if let Some(kept) = &self.held().kept {
            entry.only_for(kept);
        }
        entry
    }

    /// Records the adoption on the host: the ledger entry about to be written, except for its time.
    pub(super) async fn adopt(&self, daemon: &Daemon) -> Result<Finding, Failure> {
        let decision = self.decision()?;
        let entry = decision.ledger_entry(&self.plan, self.plan.started, LedgerResult::Committed);
        let Some(mut adoption) = adoption(&self.plan.subject, &entry) else {
            return Err(Failure::refused(Fault::new(
                "adopt",
                "nothing was found to adopt",
            )));
        };
        let here = decision.wake.get(daemon.name()).map_or(&[][..], Vec::as_slice);
        adoption.containers.retain(|id, _| here.contains(id));
        step::adopt::remember(daemon, &self.plan.subject, &adoption).await?;
        Ok(Finding::Nothing)
    }

    /// The merged copies of the other hosts, for a host that lost its own. Hosts that do not answer are skipped.
    async fn other_copies(&self, but: &HostName, decision: &Decision) -> Option<Ledger> {
        let others = decision.order.iter().filter(|host| *host != but);
        let copies = join_all(others.map(|host| async move {
            match ledger::read(&self.daemon(host).ok()?, &self.plan.subject).await {
                Ok(LedgerSeen::Read(seen)) => Some(*seen),
                Ok(LedgerSeen::Missing | LedgerSeen::Newer { .. } | LedgerSeen::Unreadable { .. })
                | Err(_) => None,
            }
        }));
        let copies: Vec<Ledger> = copies.await.into_iter().flatten().collect();
        joined(&copies)
    }

    pub(super) async fn record(&self, host: &HostName) -> Result<Finding, Failure> {
        let decision = self.decision()?;
        let result = self.held().result.clone();
        if let Some(result) = result {
            let entry = decision.ledger_entry(&self.plan, pen::now(), result);
            ledger::append(&self.fence_of(host)?, None, entry).await?;
        }
        Ok(Finding::Nothing)
    }

    /// The ledger of the first host decides. If it is lost, a copy with the commit proves it; without one it is unknown, because
    /// the commit may have been in the lost ledger only.
    pub(super) async fn inquire(&self, daemon: &Daemon) -> Result<Finding, Failure> {
        let decision = self.decision()?;
        let own = match ledger::read(daemon, &self.plan.subject).await? {
            LedgerSeen::Read(seen) => *seen,
            LedgerSeen::Missing => Ledger::default(),
            LedgerSeen::Newer { .. } | LedgerSeen::Unreadable { .. } => {
                return Err(Failure::refused(Fault::new(
                    format!("ask {} whether the run was committed", daemon.name()),
                    "its ledger cannot be read",
                )));
            }
        };
        let is_lost = decision.past.as_ref().is_some_and(|past| past.is_lost(&own));
        let seen = if is_lost || own.entries.is_empty() {
            own.filled_from(self.other_copies(daemon.name(), &decision).await.as_ref())
        } else {
            own
        };
        let run = &self.plan.run;
        let superseded = decision.is_superseded(run, &seen);
        let undone = seen.is_undone(run);
        if is_lost && !superseded && !undone && !seen.is_committed(run) {
            let why = format!(
                "{} has since lost its ledger, and no other host's ledger says that it was; check which release runs, then unlock {}",
                daemon.name(),
                self.plan.subject
            );
            return Ok(Finding::Unknown { why });
        }
        self.held().history = Some(Arc::new(seen.clone()));
        let committed = seen.committed().find(|entry| entry.run == *run);
        let part = committed.filter(|entry| !entry.is_whole(&decision.order));
        Ok(Finding::Committed {
            yes: committed.is_some(),
            part: part.map(|entry| entry.hosts.iter().cloned().collect()),
            superseded,
            undone,
        })
    }
}

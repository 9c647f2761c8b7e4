//! One host as a plan looks at it: it sends no request that changes anything, but for one thing.
//! A ledger whose container a prune took is in its volume still, and a daemon reads a volume only through a container: it
//! is made again, never started, and said.

use crate::config::Host;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::hosts::{Unreached, connect};
use crate::release::facts::HostFacts;
use crate::release::plan::Plan;
use crate::release::record::{Failure, FailureKind};
use crate::runs::step::{ledger, survey};

/// And whether the ledger's container was made again.
pub(super) async fn look(host: &Host, plan: &Plan, access: Access) -> Result<(HostFacts, bool), Failure> {
    let unreachable = |unreached: Unreached| Failure::of(FailureKind::Unreachable, unreached.fault());
    let daemon = connect(host, Access::ReadOnly).await.map_err(unreachable)?;
    let seen = survey::survey(&daemon, plan, &plan.image).await?;
    if access == Access::ReadOnly || !ledger::is_pruned(&seen.ledger) {
        return Ok((seen, false));
    }
    let able = connect(host, access).await.map_err(unreachable)?;
    ledger::read(&able, &plan.subject).await?;
    Ok((survey::survey(&daemon, plan, &plan.image).await?, true))
}

pub(super) fn made_again(host: &HostName) -> String {
    format!(
        "the container of the ledger on {host} had been pruned: it was made again to read it, and is never started"
    )
}

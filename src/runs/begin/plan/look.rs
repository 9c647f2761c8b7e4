//! Reads one host for a plan. Sends no request that changes anything, with one exception:
//! if a prune removed the container of a ledger, it is created again, because a daemon reads a volume only through a
//! container. It is never started, and the plan says so.

use futures_util::future::join_all;

use crate::config::Host;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::hosts::{Unidentified, Unreached, connect};
use crate::release::decision::Facts;
use crate::release::facts::HostFacts;
use crate::release::plan::Plan;
use crate::release::record::{Failure, FailureKind};
use crate::runs::step::{answer, ledger, survey};

/// The state of the hosts of a plan.
pub(super) struct Looked {
    pub(super) facts: Facts,
    /// Refusals for the hosts it needs.
    pub(super) refusals: Vec<Fault>,
    /// Those of them that did not answer.
    pub(super) unreached: Vec<HostName>,
}

/// Reads all hosts concurrently; containers that were created for it are noted in the plan.
pub(super) async fn all(hosts: &[Host], plan: &mut Plan, access: Access) -> Looked {
    let of = &*plan;
    let seen = join_all(hosts.iter().map(|host| look(host, of, access))).await;
    let mut looked = Looked {
        facts: Facts::new(),
        refusals: Vec::new(),
        unreached: Vec::new(),
    };
    for (host, seen) in hosts.iter().zip(seen) {
        match seen {
            Ok((seen, was_pruned)) => {
                looked.facts.insert(host.name.clone(), seen);
                plan.notes.extend(was_pruned.then(|| made_again(&host.name)));
            }
            Err(failure) if plan.targets.contains(&host.name) => {
                if failure.kind == FailureKind::Unreachable {
                    looked.unreached.push(host.name.clone());
                }
                looked.refusals.push(failure.fault);
            }
            // The image may be on another host: then the builder is not needed.
            Err(_) => {}
        }
    }
    looked
}

/// Also returns whether the ledger's container was created again.
async fn look(host: &Host, plan: &Plan, access: Access) -> Result<(HostFacts, bool), Failure> {
    let unreachable = |unreached: Unreached| Failure::of(FailureKind::Unreachable, unreached.fault());
    let daemon = connect(host, Access::ReadOnly).await.map_err(unreachable)?;
    // What is denied is a refusal of the plan's own.
    if let Err(unknown @ Unidentified::Unanswered(_)) = daemon.id() {
        return Err(answer::unidentified(unknown));
    }
    let seen = survey::survey(&daemon, plan, &plan.image).await?;
    if access == Access::ReadOnly || !ledger::is_pruned(&seen.ledger) {
        return Ok((seen, false));
    }
    let able = connect(host, access).await.map_err(unreachable)?;
    ledger::read(&able, &plan.subject).await?;
    Ok((survey::survey(&daemon, plan, &plan.image).await?, true))
}

fn made_again(host: &HostName) -> String {
    format!(
        "the ledger's container on {host} had been pruned: it was created again to read the ledger, and is never started"
    )
}

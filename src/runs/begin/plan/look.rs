//! One host as a plan looks at it: it sends no request that changes anything, but for one thing.
//! A ledger whose container a prune took is in its volume still, and a daemon reads a volume only through a container: it
//! is made again, never started, and said.

use futures_util::future::join_all;

use crate::config::Host;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::hosts::{Unreached, connect};
use crate::release::decision::Facts;
use crate::release::facts::HostFacts;
use crate::release::plan::Plan;
use crate::release::record::{Failure, FailureKind};
use crate::runs::step::{ledger, survey};

/// The hosts of a plan as they are.
pub(super) struct Looked {
    pub(super) facts: Facts,
    /// Of those that it cannot do without.
    pub(super) refusals: Vec<Fault>,
    /// Some of the refusals: these did not answer.
    pub(super) unreached: Vec<HostName>,
}

/// All at once; what was made on the way is a note of the plan.
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

/// And whether the ledger's container was made again.
async fn look(host: &Host, plan: &Plan, access: Access) -> Result<(HostFacts, bool), Failure> {
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

fn made_again(host: &HostName) -> String {
    format!(
        "the container of the ledger on {host} had been pruned: it was made again to read it, and is never started"
    )
}

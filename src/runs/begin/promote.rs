//! Reads an environment for a promotion: its containers, locks and histories, on all of its hosts.
//! Reads only. If a host does not answer, the state is unknown and nothing is deployed.

use std::collections::BTreeMap;

use crate::config::{Config, Host};
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::domain::plan::{Origin, RunRequest};
use crate::domain::run::RunKind;
use crate::hosts::{Unreached, connect};
use crate::release::facts::LedgerSeen;
use crate::release::plan::Plan;
use crate::release::promote::{Shipment, Sight, shipment};
use crate::release::record::Failure;
use crate::release::subject::Subject;
use crate::runs::step::{ledger, lock, replicas};

/// The release that runs there. If the request contains one, it must be the same.
pub(in crate::runs) async fn look(
    config: &Config,
    request: &RunRequest,
    origin: &Origin,
) -> Result<Shipment, Fault> {
    let subject = Subject {
        service: request.service.clone(),
        environment: origin.environment.clone(),
    };
    let what = || format!("promote {subject} to {}", request.subject());
    if request.kind != RunKind::Deploy {
        return Err(Fault::new(
            what(),
            "only a deploy can take its image from an environment",
        ));
    }
    if origin.environment == request.environment {
        return Err(Fault::new(what(), "both environments are the same"));
    }
    let service = config.service_in(&subject.service, subject.environment.as_deref())?;
    let hosts = service
        .deploy
        .as_ref()
        .map(|deploy| deploy.hosts.as_slice())
        .unwrap_or_default();
    let looked = futures_util::future::join_all(hosts.iter().map(|name| sight(config, name, &subject))).await;
    let mut seen = BTreeMap::new();
    for (name, looked) in hosts.iter().zip(looked) {
        let sight = looked.map_err(|fault| Fault {
            what: what(),
            why: format!("it is unknown what runs on {name}: {fault}"),
            hint: fault.hint,
        })?;
        seen.insert(name.clone(), sight);
    }
    let found = shipment(&subject, &seen).map_err(|fault| Fault {
        what: what(),
        ..fault
    })?;
    let was = (origin.release, request.image.as_deref());
    let now = (Some(found.promoted.release), Some(found.promoted.image.as_str()));
    if let (Some(release), _) = was
        && was != now
    {
        let by_now = found.promoted.release;
        return Err(Fault::new(
            what(),
            format!("{subject} now runs {by_now}; the plan was made for {release}"),
        )
        .hint("check the new plan"));
    }
    Ok(found)
}

/// Sets the shipment and its source in the plan.
pub(in crate::runs) fn take(plan: &mut Plan, shipment: Shipment) {
    let from = format!(
        "promoted from {} {}",
        shipment.promoted.from, shipment.promoted.release
    );
    plan.reason = Some(match plan.reason.take() {
        Some(reason) => format!("{reason}; {from}"),
        None => from,
    });
    plan.image = shipment.reference;
    plan.builder = Some(shipment.on);
    plan.notes.extend(shipment.notes);
    plan.promoted = Some(shipment.promoted);
}

async fn sight(config: &Config, name: &HostName, subject: &Subject) -> Result<Sight, Fault> {
    let host: &Host = config
        .host(name)
        .ok_or_else(|| Fault::new(format!("reach {name}"), "the configuration has no such host"))?;
    let daemon = connect(host, Access::ReadOnly).await.map_err(Unreached::fault)?;
    let asked = async {
        Ok::<_, Failure>(Sight {
            locks: lock::seen(&daemon, subject).await?,
            replicas: replicas::replicas(&daemon, subject).await?,
            ledger: match ledger::read(&daemon, subject).await? {
                LedgerSeen::Read(ledger) => Some(*ledger),
                LedgerSeen::Missing | LedgerSeen::Newer { .. } | LedgerSeen::Unreadable { .. } => None,
            },
        })
    };
    asked.await.map_err(|failure| failure.fault)
}

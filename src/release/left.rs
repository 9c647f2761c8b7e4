//! Hosts and replicas that left the configuration but still run, and deployments with a different configuration: shown in the plan.
//! Compares the last commit with the request; hosts that are not read are not covered.

use super::decision::{Decision, Facts};
use super::ledger::{Ledger, LedgerEntry};
use super::plan::Plan;
use super::spec;
use crate::domain::ids::HostName;

/// Notes for people, one per line; none of them stops the run.
#[must_use]
pub fn notes(plan: &Plan, decision: &Decision, history: Option<&Ledger>) -> Vec<String> {
    let Some(last) = history.and_then(|ledger| ledger.committed().next_back()) else {
        return Vec::new();
    };
    let mut notes = hosts(decision, last);
    notes.extend(another(plan, decision, last));
    notes
}

/// The same daemon under another name is the same host.
fn hosts(decision: &Decision, last: &LedgerEntry) -> Vec<String> {
    let release = last.release;
    let daemon = |host: &HostName| decision.daemons.get(host).map(String::as_str);
    let is_here = |then: &&HostName| match last.daemons.get(*then) {
        Some(id) if !id.is_empty() => decision.order.iter().any(|host| daemon(host) == Some(id)),
        Some(_) | None => decision.order.contains(*then),
    };
    let gone = last.hosts.iter().filter(|host| !is_here(host));
    let gone: Vec<&str> = gone.map(HostName::as_str).collect();
    let is_new = |host: &&HostName| !last.was_for(host, daemon(host));
    let come: Vec<&str> = decision
        .order
        .iter()
        .filter(is_new)
        .map(HostName::as_str)
        .collect();
    let mut notes = Vec::new();
    if !gone.is_empty() {
        notes.push(format!(
            "no longer among its hosts: {} (had {release}); nothing there is stopped or replaced",
            gone.join(", ")
        ));
    }
    if !come.is_empty() && !last.hosts.is_empty() {
        notes.push(format!(
            "{} did not have {release}: it is a new host of the service",
            come.join(", ")
        ));
    }
    notes
}

/// The active release was deployed from another machine with a different configuration.
fn another(plan: &Plan, decision: &Decision, last: &LedgerEntry) -> Option<String> {
    let asked = &plan.deploy()?.spec;
    let differs = !spec::changes(&last.spec, asked).is_empty();
    let is_ours = last.machine == plan.by.machine;
    (differs && !is_ours && last.release != decision.release).then(|| {
        format!(
            "{} was deployed by {} on {} with a different configuration: see the changes",
            last.release, last.actor, last.machine
        )
    })
}

/// `replicas on web-1 3 → 1`, where the number of replicas changes.
#[must_use]
pub fn replicas(decision: &Decision, facts: &Facts) -> Vec<String> {
    let wanted = usize::try_from(decision.replicas).unwrap_or(usize::MAX);
    let line = |host: &HostName| {
        let seen = facts.get(host)?;
        let up = seen
            .replicas
            .iter()
            .filter(|replica| replica.state.is_up())
            .count();
        (up > 0 && up != wanted).then(|| format!("replicas on {host} {up} → {wanted}"))
    };
    decision.make.iter().filter_map(line).collect()
}

//! What left the configuration and is there still, and who deployed with another one: said in the plan, never forgotten.
//! Compares the last commit with what is asked for now; what runs on a host that is not looked at is not known here.

use super::decision::{Decision, Facts};
use super::ledger::{Ledger, LedgerEntry};
use super::plan::Plan;
use super::spec;
use crate::domain::ids::HostName;

/// A line each for a person; none of it stops the run.
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
            "{} had {release} and is not among its hosts any more: what runs there stays, and nobody replaces it",
            gone.join(", ")
        ));
    }
    if !come.is_empty() && !last.hosts.is_empty() {
        notes.push(format!(
            "{} did not have {release}: it is new among its hosts",
            come.join(", ")
        ));
    }
    notes
}

/// Another machine deployed the active release, and its configuration said something else.
fn another(plan: &Plan, decision: &Decision, last: &LedgerEntry) -> Option<String> {
    let asked = &plan.deploy()?.spec;
    let differs = !spec::changes(&last.spec, asked).is_empty();
    let is_ours = last.machine == plan.by.machine;
    (differs && !is_ours && last.release != decision.release).then(|| {
        format!(
            "{} was deployed by {} on {} with another configuration than this one: see the changes",
            last.release, last.actor, last.machine
        )
    })
}

/// `replicas on web-1 3 → 1`, where what runs is not as many as are made.
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

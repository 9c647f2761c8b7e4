//! Every release the hosts know of: who deployed it and when, where its containers are retained, whether it can be rolled
//! back to. Derived from ledgers, containers and labels; decides nothing.

use std::collections::BTreeMap;

use super::adopt::unwritten;
use super::decision::{Facts, history, replicas};
use super::destination::{current, destination};
use super::ledger::Ledger;
use super::plan::Plan;
use super::replica::Replica;
use crate::domain::ids::{HostName, ReleaseNumber};
use crate::domain::plan::KnownRelease;

/// Newest first.
#[must_use]
pub fn shelf(plan: &Plan, order: &[HostName], facts: &Facts) -> Vec<KnownRelease> {
    let history = history(order, facts);
    let mut known: BTreeMap<ReleaseNumber, KnownRelease> = BTreeMap::new();
    for entry in history.iter().flat_map(Ledger::committed) {
        let row = known.entry(entry.release).or_insert_with(|| KnownRelease {
            at: Some(entry.at),
            by: Some(entry.actor.clone()),
            kind: Some(entry.kind),
            reason: entry.reason.clone(),
            ..blank(entry.release)
        });
        row.reference.clone_from(&entry.reference);
        row.image = Some(entry.image.clone());
        row.digest.clone_from(&entry.digest);
        row.git.clone_from(&entry.git);
        row.hosts.clone_from(&entry.hosts);
    }
    for replica in replicas(order, facts) {
        if let Some(release) = replica.release {
            known.entry(release).or_insert_with(|| blank(release));
        }
        for (release, kept) in &replica.kept {
            let row = known.entry(*release).or_insert_with(|| blank(*release));
            row.image.get_or_insert_with(|| kept.image.clone());
        }
    }
    let from = current(order, facts, history.as_ref());
    let to = |wanted: Option<ReleaseNumber>| {
        let plan = Plan {
            to: wanted,
            ..plan.clone()
        };
        destination(&plan, order, facts, history.as_ref(), from)
    };
    let default = to(None).ok();
    for (release, row) in &mut known {
        let of = |host: &HostName, wanted: &dyn Fn(&Replica) -> bool| {
            let there = facts.get(host).map_or(&[][..], |seen| seen.replicas.as_slice());
            there
                .iter()
                .any(|replica| replica.release == Some(*release) && wanted(replica))
        };
        row.kept = order.iter().filter(|host| of(host, &|_| true)).cloned().collect();
        row.runs = order
            .iter()
            .any(|host| of(host, &|replica| replica.state.is_up()));
        row.default = default == Some(*release);
        row.refused = to(Some(*release)).err().map(|fault| fault.why);
        let entry = history.as_ref().and_then(|ledger| ledger.release(*release));
        if let (None, Some(unwritten), Some(host)) = (
            &row.refused,
            entry.and_then(unwritten),
            order.iter().find(|host| !row.kept.contains(host)),
        ) {
            row.refused = Some(format!(
                "it was adopted, {host} retains no container of it, and its ledger does not contain {unwritten}"
            ));
        }
    }
    known.into_values().rev().collect()
}

fn blank(release: ReleaseNumber) -> KnownRelease {
    KnownRelease {
        release,
        at: None,
        by: None,
        kind: None,
        reason: None,
        reference: String::new(),
        image: None,
        digest: None,
        git: None,
        hosts: Vec::new(),
        kept: Vec::new(),
        runs: false,
        default: false,
        refused: None,
    }
}

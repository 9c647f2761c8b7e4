//! Which release is active, and which one a rollback returns to: by the history, otherwise by the containers' labels.
//! Never chosen by date, and never a release that was only on some of the hosts.

use super::decision::{Facts, of, replicas};
use super::ledger::{Ledger, LedgerEntry};
use super::plan::Plan;
use super::replica::Replica;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, ReleaseNumber};

/// The last release that was committed on all hosts, other than this one.
pub(super) fn last_whole(
    order: &[HostName],
    history: Option<&Ledger>,
    but: ReleaseNumber,
) -> Option<ReleaseNumber> {
    let mut committed = history?.committed();
    committed
        .rfind(|entry| entry.release != but && entry.is_whole(order))
        .map(|entry| entry.release)
}

/// The active release: the last committed one; without a history, the newest that runs.
pub(super) fn current(order: &[HostName], facts: &Facts, history: Option<&Ledger>) -> Option<ReleaseNumber> {
    history
        .and_then(|ledger| ledger.committed().next_back())
        .map(|entry| entry.release)
        .or_else(|| {
            replicas(order, facts)
                .filter(|replica| replica.state.is_up())
                .filter_map(|replica| replica.release)
                .max()
        })
}

/// What runs on the hosts of the last commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its release, on all of them.
    There,
    /// Nothing on some of them: its containers have failed.
    Fallen,
    /// Another release on some of them: a run was paused, or died and was unlocked.
    Split,
}

fn standing(last: &LedgerEntry, order: &[HostName], facts: &Facts) -> Standing {
    let daemon = |host| facts.get(host)?.engine.daemon_id();
    let its = order.iter().filter(|host| last.was_for(host, daemon(*host)));
    let up: Vec<Vec<&Replica>> = its
        .map(|host| of(host, facts))
        .map(|there| there.iter().filter(|replica| replica.state.is_up()).collect())
        .collect();
    let is_other = |replica: &&Replica| replica.release != Some(last.release);
    if !last.is_whole(order) || up.iter().flatten().any(is_other) {
        Standing::Split
    } else if up.iter().any(Vec::is_empty) {
        Standing::Fallen
    } else {
        Standing::There
    }
}

/// The last release before the current one that was committed on all hosts of its run, which may not be the second newest.
/// If the hosts are split, the last one that was on all of them, possibly the current one. A current release that has failed
/// is started again only if it is requested.
pub(super) fn destination(
    plan: &Plan,
    order: &[HostName],
    facts: &Facts,
    history: Option<&Ledger>,
    from: Option<ReleaseNumber>,
) -> Result<ReleaseNumber, Fault> {
    let what = || format!("roll back {}", plan.subject);
    let is_whole = |entry: &&LedgerEntry| entry.is_whole(order);
    let last = history.and_then(|ledger| ledger.committed().next_back());
    let standing = last.map_or(Standing::There, |entry| standing(entry, order, facts));
    if let Some(wanted) = plan.to {
        let is_labelled = |replica: &Replica| {
            let before = replica.previous.filter(|_| replica.release == from);
            replica.kept.contains_key(&wanted) || before == Some(wanted)
        };
        let known = match history {
            Some(ledger) => ledger
                .committed()
                .filter(is_whole)
                .any(|entry| entry.release == wanted),
            None => replicas(order, facts).any(is_labelled),
        };
        if Some(wanted) == from && standing == Standing::There {
            return Err(Fault::new(
                what(),
                format!("{wanted} is the release that runs now"),
            ));
        }
        return if known {
            Ok(wanted)
        } else {
            Err(Fault::new(
                what(),
                format!("{wanted} was never committed on all of its hosts"),
            ))
        };
    }
    let from = from.ok_or_else(|| Fault::new(what(), "it has no releases"))?;
    let by_history = history.and_then(|ledger| {
        // Last by commit: a higher number that was gone back from is no better for it.
        let mut whole = ledger.committed().filter(is_whole);
        whole
            .rfind(|entry| standing == Standing::Split || entry.release < from)
            .map(|entry| entry.release)
    });
    let by_labels = || {
        replicas(order, facts)
            .filter(|replica| replica.release == Some(from))
            .find_map(|replica| replica.previous)
    };
    by_history.or_else(by_labels).ok_or_else(|| {
        Fault::new(
            what(),
            format!("no earlier release than {from} was committed on all of its hosts"),
        )
    })
}

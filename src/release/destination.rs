//! What is active, and where a rollback goes: by the history, else by what the containers' labels say.
//! Never by date, and never to what was only on some of the hosts.

use super::decision::{Facts, of, replicas};
use super::ledger::{Ledger, LedgerEntry};
use super::plan::Plan;
use super::replica::Replica;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, ReleaseNumber};

/// The last release that was committed on all hosts, but for this one.
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

/// The release that is active: what was committed last; without a history, the newest that is up.
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

/// What runs on the hosts that the last commit was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its release, on all of them.
    There,
    /// Nothing, on some of them: its containers fell over.
    Fallen,
    /// Another release, on some of them: a run was paused, or died midway and its locks were taken away.
    Split,
}

fn standing(last: &LedgerEntry, order: &[HostName], facts: &Facts) -> Standing {
    let daemon = |host| facts.get(host).map(|seen| seen.engine.daemon_id.as_str());
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

/// The last release before the present one that was committed on all hosts of its run; never merely the second newest.
/// Where the hosts are split it is the last that was on all of them, the present one among them. One that fell over is
/// started again only where it is asked for: who goes back from it wants the one before.
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
            return Err(Fault::new(what(), format!("{wanted} is what runs now")));
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
    let from = from.ok_or_else(|| Fault::new(what(), "it was never released here"))?;
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
            format!("no release before {from} was committed on all of its hosts"),
        )
    })
}

//! Which containers a rollback starts again and which it creates again, per host: as many as the release had.
//! Decides only; `decision` checks whether they can be created.

use std::collections::{BTreeMap, BTreeSet};

use super::decision::{Facts, of};
use crate::domain::ids::{ContainerId, HostName, ReleaseNumber};

/// Retained containers to start, and the hosts that lack some.
pub(super) struct Again {
    pub(super) wake: BTreeMap<HostName, Vec<ContainerId>>,
    pub(super) make: BTreeSet<HostName>,
    /// Notes for people.
    pub(super) notes: Vec<String>,
}

/// `replicas`: per host, from its ledger; `None`: the retained containers count as complete.
pub(super) fn again(
    release: ReleaseNumber,
    replicas: Option<u32>,
    order: &[HostName],
    facts: &Facts,
) -> Again {
    let mut again = Again {
        wake: BTreeMap::new(),
        make: BTreeSet::new(),
        notes: Vec::new(),
    };
    let wanted = replicas.and_then(|count| usize::try_from(count).ok());
    for host in order {
        let kept: Vec<ContainerId> = of(host, facts)
            .iter()
            .filter(|replica| replica.release == Some(release))
            .map(|replica| replica.id.clone())
            .collect();
        let note = match (kept.len(), wanted) {
            (0, _) => Some(format!(
                "{host} retains no container of {release}: it is created again from the ledger, with the current secrets"
            )),
            (few, Some(wanted)) if few < wanted => Some(format!(
                "{host} keeps {few} of {wanted} containers of {release}: the missing ones are created again from the \
                 ledger, with the current secrets"
            )),
            (_, _) => None,
        };
        if let Some(note) = note {
            again.notes.push(note);
            again.make.insert(host.clone());
        }
        if !kept.is_empty() {
            again.wake.insert(host.clone(), kept);
        }
    }
    again
}

//! Locks that nobody renews any more: which may be such, and what is told of a service whose lock was found to be one.
//! A list tells nothing of it; who wants to know reads the lock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Judged, Standing};
use crate::domain::container::{Container, Group, label};
use crate::domain::ids::HostName;
use crate::domain::units::Stamp;
use crate::release::subject::Subject;

/// A lease is renewed every 20 s, and a lock is stale after 90 s: nobody has to ask about a younger one.
const OLD: Duration = Duration::from_secs(90);

fn is_old_lock(container: &Container, now: Stamp) -> bool {
    container.label(label::ROLE) == Some("lock") && container.created.until(now) >= OLD
}

/// Those among them that may be stale, to be asked about: by service the hosts.
#[must_use]
pub fn old_locks<'a>(
    containers: impl Iterator<Item = (&'a HostName, &'a Container)>,
    now: Stamp,
) -> BTreeMap<Subject, BTreeSet<HostName>> {
    let mut asked: BTreeMap<Subject, BTreeSet<HostName>> = BTreeMap::new();
    for (host, container) in containers.filter(|(_, container)| is_old_lock(container, now)) {
        if let Some(subject) = Subject::of(&container.group()) {
            asked.entry(subject).or_default().insert(host.clone());
        }
    }
    asked
}

/// What was asked of locks: by run, for how long nobody renews them.
pub fn mark_left(judged: &mut BTreeMap<Group, Judged>, left: &BTreeMap<String, Duration>) {
    for judged in judged.values_mut() {
        if let Standing::InProgress { run, silent, .. } = &mut judged.standing {
            *silent = left.get(run).copied();
        }
    }
}

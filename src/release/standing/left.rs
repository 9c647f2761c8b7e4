//! Locks that may no longer be renewed: which ones to check, and the state of a service whose lock turned out to be stale.
//! A container list does not show this; the lock has to be read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Judged, Standing};
use crate::domain::container::{Container, Group, Role};
use crate::domain::ids::HostName;
use crate::domain::run::Silence;
use crate::domain::units::Stamp;
use crate::release::subject::Subject;

/// A lease is renewed every 20 s, and a lock is stale after 90 s: nobody has to ask about a younger one.
const OLD: Duration = Duration::from_secs(90);

fn is_old_lock(container: &Container, now: Stamp) -> bool {
    // Made in the future: one of the two clocks is wrong, and its age is not known.
    let age = container.created.until(now).max(now.until(container.created));
    container.has_role(Role::Lock) && age >= OLD
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

/// What was asked of locks: by run, what is known of its holder.
pub fn mark_left(judged: &mut BTreeMap<Group, Judged>, left: &BTreeMap<String, Silence>) {
    for judged in judged.values_mut() {
        if let Standing::InProgress { run, silent, .. } = &mut judged.standing {
            *silent = left.get(run).copied();
        }
    }
}

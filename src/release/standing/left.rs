//! Locks that nobody renews any more: which may be such, and what is told of a service whose lock was found to be one.
//! A list tells nothing of it; who wants to know reads the lock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Judged, Standing};
use crate::domain::container::{Container, Group, label};
use crate::domain::units::Stamp;

/// A lease is renewed every 20 s, and a lock is stale after 90 s: nobody has to ask about a younger one.
const OLD: Duration = Duration::from_secs(90);

/// A lock that may be stale.
#[must_use]
pub fn is_old_lock(container: &Container, now: Stamp) -> bool {
    container.label(label::ROLE) == Some("lock") && container.created.until(now) >= OLD
}

/// What was asked of locks: by run, for how long nobody renews them.
pub fn mark_left(judged: &mut BTreeMap<Group, Judged>, left: &BTreeMap<String, Duration>) {
    for judged in judged.values_mut() {
        if let Standing::InProgress { run, silent, .. } = &mut judged.standing {
            *silent = left.get(run).copied();
        }
    }
}

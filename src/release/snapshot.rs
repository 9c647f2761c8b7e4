//! The hosts of a service as they were before a run, and what is different from it later.
//! `reverted` is said only when the difference is empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::replica::Replica;
use crate::domain::ids::HostName;

/// The replicas of each target when the run had its locks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub hosts: BTreeMap<HostName, Vec<Replica>>,
}

impl Snapshot {
    #[must_use]
    pub fn of(&self, host: &HostName) -> &[Replica] {
        self.hosts.get(host).map_or(&[], Vec::as_slice)
    }
}

/// What is other on `host` than before: containers, their names, states and restart policies.
/// When a container was started, how often and with which exit code it ended before is history, not state.
#[must_use]
pub fn differences(host: &HostName, before: &[Replica], now: &[Replica]) -> Vec<String> {
    let mut found = Vec::new();
    for was in before {
        let Some(is) = now.iter().find(|replica| replica.id == was.id) else {
            found.push(format!("{host}: {} is gone", was.name));
            continue;
        };
        if is.name != was.name {
            found.push(format!("{host}: {} is called {} now", was.name, is.name));
        }
        if is.state.word() != was.state.word() {
            found.push(format!(
                "{host}: {} was {}, is {}",
                was.name,
                was.state.word(),
                is.state
            ));
        }
        if is.policy != was.policy {
            found.push(format!(
                "{host}: {} had restart policy {}, has {}",
                was.name, was.policy, is.policy
            ));
        }
    }
    for is in now {
        if !before.iter().any(|replica| replica.id == is.id) {
            found.push(format!("{host}: {} was not there ({} now)", is.name, is.state));
        }
    }
    found
}

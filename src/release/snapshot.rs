//! The state of a service's hosts before a run, and the differences from it later.
//! A run is `reverted` only if there are no differences.

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

/// The differences on `host` from before: containers, their names, states and restart policies.
/// Start times, restart counts and earlier exit codes are not compared.
#[must_use]
pub fn differences(host: &HostName, before: &[Replica], now: &[Replica]) -> Vec<String> {
    let mut found = Vec::new();
    for was in before {
        let Some(is) = now.iter().find(|replica| replica.id == was.id) else {
            found.push(format!("{host}: {} is gone", was.name));
            continue;
        };
        if is.name != was.name {
            found.push(format!("{host}: {} is now called {}", was.name, is.name));
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

//! Read-only connections to the hosts of a plan, one per host.

use std::collections::BTreeMap;

use crate::config::Host;
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::hosts::{Daemon, connect};

pub(in crate::runs) struct Readers<'h> {
    hosts: &'h [Host],
    /// `None`: it does not answer, which is reported elsewhere.
    daemons: BTreeMap<HostName, Option<Daemon>>,
}

impl<'h> Readers<'h> {
    pub(in crate::runs) fn of(hosts: &'h [Host]) -> Self {
        Self {
            hosts,
            daemons: BTreeMap::new(),
        }
    }

    pub(in crate::runs) async fn daemon(&mut self, name: &HostName) -> Option<Daemon> {
        if !self.daemons.contains_key(name) {
            let host = self.hosts.iter().find(|host| host.name == *name)?;
            let daemon = connect(host, Access::ReadOnly).await.ok();
            self.daemons.insert(name.clone(), daemon);
        }
        self.daemons.get(name).cloned().flatten()
    }
}

//! A configured daemon.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::domain::endpoint::Endpoint;
use crate::domain::ids::HostName;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub name: HostName,
    pub endpoint: Endpoint,
    /// For `hosts = ["tag:web"]` and for filters.
    pub tags: Vec<String>,
    /// What changes something there needs the target's name typed.
    pub protected: bool,
    /// Where its published ports are asked for; absent: where its daemon is.
    #[serde(default)]
    pub address: Option<String>,
    /// So many stages of runs of one state folder build, test or run there at once; any number, if it is absent.
    #[serde(default)]
    pub concurrency: Option<NonZeroU32>,
}

impl Host {
    /// Of its published ports, as it is seen from here; an alias of `ssh` only, if nothing else is said.
    #[must_use]
    pub fn reached_at(&self) -> String {
        match (&self.address, &self.endpoint) {
            (Some(address), _) => address.clone(),
            (None, Endpoint::Unix(_)) => "127.0.0.1".to_owned(),
            (None, Endpoint::Tcp { host, .. }) => host.clone(),
            (None, Endpoint::Ssh(ssh)) => ssh.host.clone(),
        }
    }
}

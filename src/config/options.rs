//! Further options of a replica, passed to the daemon unchanged.
//! Plain data; read by `config::read::options`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::test::HealthCheck;

/// As Docker's own; the defaults are Docker's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The root file system cannot be written.
    pub read_only: bool,
    /// No process in it gains rights that it did not begin with.
    pub no_new_privileges: bool,
    /// A small init as its first process, which reaps the others.
    pub init: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    /// Places in memory, with the options of `docker run --tmpfs`.
    pub tmpfs: BTreeMap<String, String>,
    /// Names that it knows beside those of DNS: an address, or `host-gateway`.
    pub extra_hosts: BTreeMap<String, String>,
    /// At most so many processes and threads.
    pub pids: Option<u32>,
    pub working_dir: Option<String>,
    pub log: Option<Log>,
    /// Instead of the image's own.
    pub healthcheck: Option<HealthCheck>,
}

impl Options {
    /// Nothing is said: such a specification is hashed as it was before there were any.
    #[must_use]
    pub fn are_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where its output goes, instead of where the daemon would keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

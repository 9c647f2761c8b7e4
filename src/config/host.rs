//! A daemon of the configuration.

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
    /// So many stages of runs of one state folder build, test or run there at once; any number, if it is absent.
    #[serde(default)]
    pub concurrency: Option<NonZeroU32>,
}

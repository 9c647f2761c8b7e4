//! A daemon of the configuration.

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
}

//! What a forge's webhook may start: which pushes, which run, and how the forge authenticates.
//! The address of the listener is `[listen]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::service::Secret;
use crate::domain::ids::ServiceName;
use crate::domain::run::RunKind;

/// `[services.trigger]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    pub service: ServiceName,
    /// As the forge names it: `acme/shop`; upper and lower case are the same.
    pub repository: String,
    /// Patterns, see [`super::Pattern`]; never none.
    pub branches: Vec<String>,
    pub run: RunKind,
    pub environment: Option<String>,
    /// What the forge signs with, or sends as its token.
    pub secret: Secret,
    /// Done before each run is started, arguments without a shell: `git fetch`. Empty: nothing.
    pub prepare: Vec<String>,
    /// A push may start what replaces containers on a protected host.
    pub confirm: bool,
}

/// `[listen]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub address: SocketAddr,
    /// Bytes of one delivery.
    pub max_body: u64,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7456),
            max_body: 2 << 20,
        }
    }
}

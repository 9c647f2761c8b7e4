//! Webhooks: a push to a forge starts a run. Nothing else can be requested here.
//! A delivery that is not authenticated is not parsed; repeated, oversized and slow ones are refused.
//!
//! A delivery passes `server` (bounded connections, times and bytes) → `proof` (signature) → `delivery` (content) →
//! `desk` (matching services) → `seen` (not repeated) → `runs::launch`. Every outcome is a `verdict`, and counted.

mod counts;
mod delivery;
mod desk;
mod proof;
mod seen;
mod server;
mod verdict;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Listen};
use crate::domain::fault::Fault;
use crate::runs::State;
use desk::Desk;

/// What one sender may use up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the connection until the last header.
    pub head: Duration,
    /// From the last header until the last byte.
    pub body: Duration,
    /// Bytes of one delivery.
    pub max_body: u64,
    /// At once; others wait in the kernel's queue.
    pub connections: usize,
}

impl Limits {
    #[must_use]
    pub fn of(listen: &Listen) -> Self {
        Self {
            head: Duration::from_secs(5),
            body: Duration::from_secs(10),
            max_body: listen.max_body,
            connections: 32,
        }
    }
}

/// What becomes of deliveries, in words, as it happens.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// An open door. Deliveries wait from now on, and are answered once it is served.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    desk: Arc<Desk>,
    limits: Limits,
}

impl Listener {
    /// Everything that could be refused is refused here: a secret that does not resolve, a protected host without
    /// `confirm`, an address in use, another listener with the same state folder.
    pub async fn open(
        config: Config,
        state: State,
        limits: Limits,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
        tell: Tell,
    ) -> Result<Self, Fault> {
        let wanted = config.listen.address;
        let desk = Desk::new(config, state, env, tell).await?;
        let fault = |error: std::io::Error| Fault::new(format!("listen on {wanted}"), error);
        let socket = TcpListener::bind(wanted)
            .await
            .map_err(|error| fault(error).hint("choose another one: --address 127.0.0.1:7457"))?;
        let address = socket.local_addr().map_err(fault)?;
        Ok(Self {
            socket,
            address,
            desk: Arc::new(desk),
            limits,
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One line a service: what starts it.
    #[must_use]
    pub fn described(&self) -> Vec<String> {
        self.desk.described()
    }

    /// Until `stop`; then no more is taken in, and what was begun is finished. Runs go on: they are processes of their own.
    pub async fn serve(self, stop: CancellationToken) {
        server::serve(self.socket, self.desk, self.limits, stop).await;
    }
}

//! Access to a container's daemon across reconnects.
//! The control room's actors provide it; the command line has its own.

use std::time::Duration;

use tokio::sync::watch;

use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::hosts::back_off::BackOff;
use crate::hosts::connect::{self, Daemon, Unreached};

/// The limit of a ping before reconnecting.
const PING_LIMIT: Duration = Duration::from_secs(4);

#[derive(Clone, Debug)]
pub(super) enum Door {
    Actor {
        host: HostName,
        daemon: watch::Receiver<Option<Daemon>>,
    },
    Own(Daemon),
}

impl Door {
    pub(super) fn host(&self) -> &HostName {
        match self {
            Self::Actor { host, daemon: _ } => host,
            Self::Own(daemon) => daemon.name(),
        }
    }

    /// Waits until the daemon that was given last is no longer the one that is reached: its host was lost, though a stream
    /// from there may say nothing of it. For a connection of one's own, for ever.
    pub(super) async fn lost(&mut self) {
        if let Self::Actor { host: _, daemon } = self
            && daemon.changed().await.is_ok()
        {
            return;
        }
        // Whoever closes the room ends whoever listens.
        std::future::pending::<()>().await;
    }

    /// The daemon over its bulk connection; waits without a limit. After a fault it is never opened again.
    pub(super) async fn bulk(&mut self) -> Result<Daemon, Fault> {
        let mut back_off = BackOff::default();
        loop {
            let opened = match self {
                Self::Actor { host, daemon } => {
                    let closing = |_closed| Fault::new(format!("reach {host}"), "Pilothouse is closing");
                    daemon.wait_for(Option::is_some).await.map_err(closing)?;
                    // Another from now on is news.
                    let open = daemon.borrow_and_update().clone();
                    match open {
                        Some(daemon) => daemon.bulk().await,
                        None => continue,
                    }
                }
                Self::Own(daemon) => own(daemon).await,
            };
            match opened {
                Ok(daemon) => return Ok(daemon),
                Err(Unreached::NeedsPerson(fault)) if matches!(self, Self::Own(_)) => return Err(fault),
                Err(Unreached::Fault(_) | Unreached::NeedsPerson(_)) => {
                    tokio::time::sleep(back_off.next(fastrand::f64())).await;
                }
            }
        }
    }
}

/// The current connection if it answers, otherwise a new one.
async fn own(daemon: &mut Daemon) -> Result<Daemon, Unreached> {
    if daemon.wire().get_bytes("/_ping", PING_LIMIT).await.is_err() {
        *daemon = connect::reach(daemon.host(), daemon.access()).await?;
    }
    daemon.bulk().await
}

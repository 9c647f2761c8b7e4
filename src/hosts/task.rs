//! Orders carried out beside the watching: each is a task that answers with `Event::Done`.
//! A task never outlives the actor; a panic in one is logged as a fault and does not end the program.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

use super::connect::Daemon;
use super::{act, figures, inspect, measure};
use crate::domain::event::{Event, HostEvent};
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::order::{Order, OrderId};

/// A first list may take 15 s.
const REACHED_LIMIT: Duration = Duration::from_secs(16);

/// What a task needs, owned by it.
pub(super) struct Errand {
    pub(super) id: OrderId,
    pub(super) order: Order,
    pub(super) host: HostName,
    /// The container's, for words.
    pub(super) name: Option<String>,
    pub(super) door: watch::Receiver<Option<Daemon>>,
    pub(super) facts: mpsc::Sender<Event>,
}

impl Errand {
    pub(super) async fn run(mut self) {
        let result = self.carry_out().await;
        if let Err(fault) = &result {
            tracing::warn!(host = %self.host, %fault, "order");
        }
        self.send(Event::Done(self.id, result)).await;
    }

    async fn carry_out(&mut self) -> Result<(), Fault> {
        let daemon = through(&mut self.door, &self.host).await?;
        match &self.order {
            Order::Act { target, verb } => act::act(&daemon, &target.id, self.name.as_deref(), *verb).await,
            Order::Inspect(key) => {
                let detail = inspect::inspect(&daemon, &key.id).await?;
                self.tell(HostEvent::Inspected(Box::new(detail))).await;
                Ok(())
            }
            Order::Measure(_) => {
                let load = match daemon.wire().tunnel() {
                    Some(tunnel) => figures::once(tunnel, daemon.engine().data_root()).await,
                    None => measure::measure(&daemon).await,
                };
                self.tell(HostEvent::Load(load)).await;
                Ok(())
            }
            Order::Watch { .. }
            | Order::Follow { .. }
            | Order::Resume { .. }
            | Order::FollowOwnLog(_)
            | Order::FollowRun(..)
            | Order::Unfollow(_)
            | Order::Retry(_) => Ok(()),
        }
    }

    async fn tell(&self, event: HostEvent) {
        self.send(Event::Host(self.host.clone(), event)).await;
    }

    async fn send(&self, event: Event) {
        // A receiver that is gone means that the room is closing: nobody is left to be told.
        drop(self.facts.send(event).await);
    }
}

/// The daemon behind the door, waited for a moment.
pub(super) async fn through(
    door: &mut watch::Receiver<Option<Daemon>>,
    host: &HostName,
) -> Result<Daemon, Fault> {
    let fault = |why: &str| Fault::new(format!("reach {host}"), why);
    match tokio::time::timeout(REACHED_LIMIT, door.wait_for(Option::is_some)).await {
        Ok(Ok(daemon)) => daemon.clone().ok_or_else(|| fault("it is not connected")),
        Ok(Err(_closed)) => Err(fault("Pilothouse is closing")),
        Err(_elapsed) => Err(fault("it is not connected")),
    }
}

pub(super) fn log_panic(done: Result<(), JoinError>) {
    if let Err(fault) = done
        && fault.is_panic()
    {
        tracing::error!(%fault, "an internal task panicked");
    }
}

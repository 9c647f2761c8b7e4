//! The daemons of the fleet: connecting, watching, requests and orders.
//! Facts go out as events, orders come in as data; nothing here depends on the screen.

mod back_off;
mod pipe;
mod tls;
mod wire;
mod lines;
pub mod trouble;
mod engine;
pub mod ssh;
pub mod connect;
mod status_text;
mod listing;
mod happening;
mod inventory;
mod stats_message;
mod stats;
mod mask;
pub mod inspect;
pub mod act;
pub mod registry;
mod measure;
pub mod builder;
pub mod logs;
mod figures;
pub mod disk;
mod tty;
mod shell;
mod task;
mod session;
mod actor;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use connect::{Daemon, Unidentified, Unreached, connect};

use crate::config::Host;
use crate::domain::endpoint::Endpoint;
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerKey, HostName};
use crate::domain::logs::{FollowId, LogRange};
use crate::domain::order::{Access, Order, OrderId};

/// Enough for a bulk action on a page of marked rows; further orders are refused.
const ORDERS_WAITING: usize = 256;

/// All configured daemons, each with its own actor.
pub struct Hosts {
    reaches: BTreeMap<HostName, Reach>,
    /// The followed logs; locked only while an order is passed on.
    desk: Mutex<logs::Desk>,
    /// Ends shells, which do not belong to an actor.
    shutdown: CancellationToken,
    /// Owns the actors.
    actors: JoinSet<()>,
}

/// Access to an actor and its daemon.
struct Reach {
    host: Host,
    orders: mpsc::Sender<(OrderId, Order)>,
    door: watch::Receiver<Option<Daemon>>,
}

/// Starts an actor for each host; all reach out at once. They end with `shutdown`.
///
/// `facts` are waited for; `bulk` (statistics, logs) may be dropped or make its sender wait.
#[must_use]
pub fn start(
    hosts: Vec<Host>,
    access: Access,
    facts: mpsc::Sender<Event>,
    bulk: mpsc::Sender<Event>,
    shutdown: CancellationToken,
) -> Hosts {
    let mut reaches = BTreeMap::new();
    let mut actors = JoinSet::new();
    for host in hosts {
        let (orders, inbox) = mpsc::channel(ORDERS_WAITING);
        let (door, through) = watch::channel(None);
        let actor = actor::Actor {
            host: host.clone(),
            access,
            facts: facts.clone(),
            bulk: bulk.clone(),
            orders: inbox,
            door,
            shutdown: shutdown.clone(),
            inventory: inventory::Inventory::default(),
            watched: Vec::new(),
            tasks: JoinSet::new(),
        };
        actors.spawn(actor.run());
        reaches.insert(
            host.name.clone(),
            Reach {
                host,
                orders,
                door: through,
            },
        );
    }
    drop(facts);
    let desk = Mutex::new(logs::Desk::new(bulk));
    Hosts {
        reaches,
        desk,
        shutdown,
        actors,
    }
}

impl Hosts {
    /// Hands an order on without waiting. `Event::Done` answers `Act`, `Inspect` and `Measure`; the others are answered
    /// by what they bring. Refused when the host is unknown or too many orders wait there already.
    pub fn order(&self, id: OrderId, order: Order) -> Result<(), Fault> {
        let host = match &order {
            Order::Act { target: key, .. } | Order::Inspect(key) => &key.host,
            Order::Watch { host, .. } | Order::Retry(host) | Order::Measure(host) => host,
            Order::Follow { id, targets, range } => {
                let all = targets.iter().map(|key| (key, *range));
                return self.follow(*id, all);
            }
            Order::Resume { id, targets } => {
                return self.follow(*id, targets.iter().map(|(key, range)| (key, *range)));
            }
            Order::FollowOwnLog(_) => {
                return Err(Fault::new("read our own log", "no host has it"));
            }
            Order::FollowRun(..) => {
                return Err(Fault::new("read what a run said", "no host has it"));
            }
            Order::Unfollow(id) => {
                self.desk().unfollow(*id);
                return Ok(());
            }
        };
        let host = host.clone();
        self.reach(&host)?
            .orders
            .try_send((id, order))
            .map_err(|refused| {
                let why = match refused {
                    mpsc::error::TrySendError::Full(_) => "too many requests are already waiting there",
                    mpsc::error::TrySendError::Closed(_) => "Pilothouse is closing",
                };
                Fault::new(format!("send an order to {host}"), why)
            })
    }

    fn follow<'a>(
        &self,
        id: FollowId,
        targets: impl Iterator<Item = (&'a ContainerKey, LogRange)>,
    ) -> Result<(), Fault> {
        let way = |(key, range): (&ContainerKey, LogRange)| {
            let door = self.reach(&key.host)?.door.clone();
            Ok((key.clone(), door, range))
        };
        let ways = targets.map(way).collect::<Result<_, Fault>>()?;
        self.desk().follow(id, ways);
        Ok(())
    }

    /// An interactive `ssh` for a host that needs a person; run it on the terminal, then order `Retry`.
    pub fn lend(&self, host: &HostName) -> Result<Command, Fault> {
        match &self.reach(host)?.host.endpoint {
            Endpoint::Ssh(ssh) => ssh::lend(ssh),
            Endpoint::Unix(_) | Endpoint::Tcp { .. } => Err(Fault::new(
                format!("log in to {host}"),
                "it is not connected over ssh",
            )),
        }
    }

    /// Waits until all actors have ended; cancel the token first.
    pub async fn join(mut self) {
        drop(self.desk);
        while let Some(done) = self.actors.join_next().await {
            task::log_panic(done);
        }
        for reach in self.reaches.values() {
            if let Endpoint::Ssh(ssh) = &reach.host.endpoint {
                ssh::leave(ssh);
            }
        }
    }

    /// A shell in a running container on the controlling terminal, until it ends; its exit code. The caller puts the
    /// terminal into raw mode and lets nobody else read it meanwhile. Refused when read-only.
    pub async fn shell(&self, key: ContainerKey) -> Result<i32, Fault> {
        let daemon = self.daemon(&key.host).await?;
        let door = self.reach(&key.host)?.door.clone();
        shell::shell(&daemon, &key.id, door, &self.shutdown).await
    }

    /// The daemon, after waiting for its connection for a moment.
    pub async fn daemon(&self, host: &HostName) -> Result<Daemon, Fault> {
        task::through(&mut self.reach(host)?.door.clone(), host).await
    }

    /// The daemons that are connected now.
    #[must_use]
    pub fn reached(&self) -> Vec<Daemon> {
        let doors = self.reaches.values().map(|reach| reach.door.borrow().clone());
        doors.flatten().collect()
    }

    fn desk(&self) -> MutexGuard<'_, logs::Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self, host: &HostName) -> Result<&Reach, Fault> {
        self.reaches
            .get(host)
            .ok_or_else(|| Fault::new(format!("find the host {host}"), "it is not in the configuration"))
    }
}

//! The actor of one daemon: connects, watches, carries out orders, and reconnects whenever the link breaks.
//! Never ends by itself; never changes anything without an order.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::back_off::BackOff;
use super::connect::{self, Daemon, Unreached};
use super::inventory::Inventory;
use super::listing::wall_clock;
use super::session::{self, Ended};
use super::task;
use crate::config::Host;
use crate::domain::event::{Event, HostEvent};
use crate::domain::fault::Fault;
use crate::domain::host::Link;
use crate::domain::ids::ContainerId;
use crate::domain::order::{Access, Order, OrderId};
use crate::domain::units::Stamp;

/// Through ssh with a jump host a first connection takes up to a second; 10 s is ssh's own limit per hop.
const OPEN_LIMIT: Duration = Duration::from_secs(45);

pub(super) struct Actor {
    pub(super) host: Host,
    pub(super) access: Access,
    pub(super) facts: mpsc::Sender<Event>,
    pub(super) bulk: mpsc::Sender<Event>,
    pub(super) orders: mpsc::Receiver<(OrderId, Order)>,
    /// The daemon while it is connected, for other users: logs, shells, orders in progress.
    pub(super) door: watch::Sender<Option<Daemon>>,
    pub(super) shutdown: CancellationToken,
    pub(super) inventory: Inventory,
    /// Containers whose statistics are requested; outlives the link.
    pub(super) watched: Vec<ContainerId>,
    /// Orders in progress. They outlive the link: a stop continues in the daemon if its answer is lost.
    pub(super) tasks: JoinSet<()>,
}

/// How waiting ended.
enum Waited<T> {
    Done(T),
    Retry,
    Shutdown,
}

impl Actor {
    pub(super) async fn run(mut self) {
        let mut back_off = BackOff::default();
        let mut lost_since: Option<Stamp> = None;
        loop {
            let ended = self.try_once(&mut back_off, &mut lost_since).await;
            drop(self.door.send_replace(None));
            self.inventory.reconnecting();
            let unreached = match ended {
                Ended::Shutdown => break,
                Ended::Lost(unreached) => unreached,
            };
            let since = *lost_since.get_or_insert_with(wall_clock);
            let wait = match &unreached {
                Unreached::Fault(_) => Some(back_off.next(fastrand::f64())),
                Unreached::NeedsPerson(_) => None,
            };
            let link = match unreached {
                Unreached::Fault(why) => {
                    tracing::warn!(host = %self.host.name, %why, "lost");
                    Link::Lost {
                        since,
                        why,
                        retry_at: wait.map(|wait| wall_clock().plus(wait)),
                    }
                }
                Unreached::NeedsPerson(why) => Link::NeedsPerson { since, why },
            };
            self.tell(HostEvent::Link(link.clone())).await;
            let pause = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            match self.meanwhile(pause, &link).await {
                Waited::Done(()) => {}
                Waited::Retry => back_off.reset(),
                Waited::Shutdown => break,
            }
        }
        self.tasks.shutdown().await;
    }

    /// One connection from its opening to its end.
    async fn try_once(&mut self, back_off: &mut BackOff, lost_since: &mut Option<Stamp>) -> Ended {
        let host = self.host.clone();
        let opening = async move {
            match tokio::time::timeout(OPEN_LIMIT, connect::open(&host)).await {
                Ok(opened) => opened,
                Err(_elapsed) => Err(Unreached::Fault(Fault::new(
                    connect::reaching(&host),
                    format!("no connection within {} s", OPEN_LIMIT.as_secs()),
                ))),
            }
        };
        let link = Link::Connecting { since: wall_clock() };
        let wire = match self.meanwhile(opening, &link).await {
            Waited::Done(Ok(wire)) => wire,
            Waited::Done(Err(unreached)) => return Ended::Lost(unreached),
            // Already being tried.
            Waited::Retry | Waited::Shutdown => return Ended::Shutdown,
        };
        let what = connect::reaching(&self.host);
        let watching = AssertUnwindSafe(session::run(self, wire, || {
            back_off.reset();
            *lost_since = None;
        }));
        match watching.catch_unwind().await {
            Ok(ended) => ended,
            Err(_panic) => Ended::Lost(Unreached::Fault(
                Fault::new(what, "a bug in Pilothouse").hint("please report it with Pilothouse's own log"),
            )),
        }
    }

    /// Until `work` is done, answers orders that need the daemon with the reason why it is not connected.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>, link: &Link) -> Waited<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Waited::Shutdown,
                done = &mut work => return Waited::Done(done),
                order = self.orders.recv() => match order {
                    None => return Waited::Shutdown,
                    Some((_, Order::Retry(_))) if !matches!(link, Link::Connecting { .. }) => return Waited::Retry,
                    Some((id, order)) => self.refuse(id, order, link).await,
                },
                Some(done) = self.tasks.join_next() => task::log_panic(done),
            }
        }
    }

    async fn refuse(&mut self, id: OrderId, order: Order, link: &Link) {
        match order {
            Order::Watch { ids, host: _ } => self.watched = ids,
            Order::Act { .. } | Order::Inspect(_) | Order::Measure(_) => {
                let fault = match link {
                    Link::Lost { why, .. } | Link::NeedsPerson { why, .. } => why.clone(),
                    Link::Connecting { .. } | Link::Live { .. } => {
                        Fault::new(connect::reaching(&self.host), "not connected yet")
                            .hint("try again in a moment")
                    }
                };
                self.send(Event::Done(id, Err(fault))).await;
            }
            Order::Retry(_)
            | Order::Follow { .. }
            | Order::Resume { .. }
            | Order::FollowOwnLog(_)
            | Order::FollowRun(..)
            | Order::Unfollow(_) => {}
        }
    }

    pub(super) async fn tell(&self, event: HostEvent) {
        self.send(Event::Host(self.host.name.clone(), event)).await;
    }

    async fn send(&self, event: Event) {
        if self.facts.send(event).await.is_err() {
            // Nobody is left who would know.
            self.shutdown.cancel();
        }
    }
}

//! One connection to a daemon while it lasts: subscribes to events, lists, then follows.
//! Lists again after any gap; a hung daemon is noticed by a ping. All state ends with the connection.

mod due;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use due::Due;

use super::actor::Actor;
use super::connect::{self, Daemon, Unreached};
use super::happening::Told;
use super::inventory::{self, Step};
use super::lines::Lines;
use super::listing::{self, Listing, wall_clock};
use super::stats::Stats;
use super::task::{Errand, log_panic};
use super::trouble::Trouble;
use super::wire::{ReadWire, Wire};
use super::{figures, happening};
use crate::domain::event::{Event, HostEvent};
use crate::domain::fault::Fault;
use crate::domain::host::{Engine, Link};
use crate::domain::ids::ContainerId;
use crate::domain::order::{Order, OrderId};
use crate::domain::units::Stamp;

/// A person starts to wonder after this.
const PING_EVERY: Duration = Duration::from_secs(5);
/// One slow answer is a busy daemon, two are a lost one.
const PING_LIMIT: Duration = Duration::from_secs(4);
const MISSES_ALLOWED: u32 = 1;
/// What led to the present state is told from this far back, where the daemon still knows (its last 256 events).
const HISTORY: Duration = Duration::from_mins(10);
/// Before the first word of the event stream; its head is sent at once.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(10);
/// Several changes of one container come within milliseconds (die, stop, start): one question for all of them.
const GATHER: Duration = Duration::from_millis(60);
/// A little more than `inventory::SLACK`: then a list counts for certain.
const SETTLE: Duration = Duration::from_millis(3_200);
/// More than these at once are cheaper by a whole list.
const ASKED_SINGLY: usize = 40;
/// An orders' burst is a bulk action; a batch of events, one write of the daemon.
const BATCH: usize = 256;
/// What a daemon remembers is sent at once: this long after the first list its stream tells only of now.
const BACKLOG: Duration = Duration::from_secs(4);
/// A change of latency smaller than this is not worth a repaint.
const LATENCY_STEP: Duration = Duration::from_millis(5);

pub(super) enum Ended {
    Shutdown,
    Lost(Unreached),
}

/// What a question brought back.
enum Report {
    Subscribed(Result<Lines, Trouble>),
    Listed(Result<Listing, Trouble>),
    Refreshed(Vec<ContainerId>, Result<Listing, Trouble>),
    Introduced(Box<Result<Daemon, Fault>>),
    Described(Daemon, Box<Engine>),
    Pinged(Result<Duration, Trouble>),
}

struct Session<'a> {
    actor: &'a mut Actor,
    wire: Wire,
    /// Questions on their way; dropped with the session.
    questions: JoinSet<Report>,
    events: Option<Lines>,
    stats: Stats,
    /// Reads the host's load and disk beside it, over ssh.
    figures: Option<AbortOnDropHandle<()>>,
    /// To be asked about together, and when.
    refresh: Due,
    settle: Due,
    refreshing: bool,
    list: Asked,
    /// The first list and the daemon itself, until both are there: only then it is reached.
    first: First,
    live_since: Option<Stamp>,
    /// When what happened before the connection has been read.
    news_from: Option<Instant>,
    latency: Option<Duration>,
    pinging: bool,
    misses: u32,
}

#[derive(Default)]
struct First {
    listing: Option<Listing>,
    daemon: Option<Daemon>,
}

/// Is a list on its way?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    No,
    Once,
    /// What happened meanwhile may be missing in it: another one follows.
    Again,
}

/// Watches until the link breaks. `reached` is called once, when the first list is in and the daemon can be used.
pub(super) async fn run(actor: &mut Actor, wire: Wire, reached: impl FnOnce()) -> Ended {
    let mut session = Session {
        questions: JoinSet::new(),
        events: None,
        stats: Stats::new(ReadWire::clone(&wire)),
        figures: None,
        refresh: Due::default(),
        settle: Due::default(),
        refreshing: false,
        list: Asked::No,
        first: First::default(),
        live_since: None,
        news_from: None,
        latency: None,
        pinging: false,
        misses: 0,
        wire,
        actor,
    };
    session.watch(reached).await
}

impl Session<'_> {
    async fn watch(&mut self, reached: impl FnOnce()) -> Ended {
        self.subscribe();
        self.list();
        self.introduce();
        let mut ping = every(PING_EVERY);
        let mut second = every(Duration::from_secs(1));
        let mut reached = Some(reached);
        let mut closed = pin!(closed(self.wire.clone()));
        loop {
            let outcome = tokio::select! {
                biased;
                () = self.actor.shutdown.cancelled() => return Ended::Shutdown,
                order = self.actor.orders.recv() => match order {
                    Some((id, order)) => { self.obey(id, order); Ok(()) }
                    None => return Ended::Shutdown,
                },
                Some(report) = self.questions.join_next() => match report {
                    Ok(report) => self.learn(report, &mut reached).await,
                    Err(fault) => Err(Fault::new(connect::reaching(&self.actor.host), fault)),
                },
                why = &mut closed => Err(why),
                _ = ping.tick() => { self.ping(); Ok(()) }
                _ = second.tick(), if !self.stats.is_idle() => { self.sample(); Ok(()) }
                () = self.refresh.come(), if !self.refreshing => { self.ask_refresh(); Ok(()) }
                () = self.settle.come() => { let ids = self.settle.take(); self.refresh.add(ids, Duration::ZERO); Ok(()) }
                Some(done) = self.actor.tasks.join_next() => { log_panic(done); Ok(()) }
                line = next(&mut self.events) => self.read_events(line).await,
            };
            if let Err(why) = outcome {
                return Ended::Lost(Unreached::Fault(why));
            }
        }
    }

    fn subscribe(&mut self) {
        let since = self
            .actor
            .inventory
            .since()
            .unwrap_or_else(|| wall_clock().minus(HISTORY));
        let (wire, path) = (self.wire.clone(), happening::path(since));
        self.questions.spawn(async move {
            Report::Subscribed(Lines::get(&wire, &path, SUBSCRIBE_LIMIT, happening::LONGEST_LINE).await)
        });
    }

    fn list(&mut self) {
        match self.list {
            Asked::No => self.list = Asked::Once,
            Asked::Once | Asked::Again => {
                self.list = Asked::Again;
                return;
            }
        }
        let wire = self.wire.clone();
        self.questions
            .spawn(async move { Report::Listed(listing::all(&wire).await) });
    }

    fn introduce(&mut self) {
        let (host, wire, access) = (self.actor.host.clone(), self.wire.clone(), self.actor.access);
        self.questions.spawn(async move {
            Report::Introduced(Box::new(connect::introduce(&host, wire, access).await))
        });
    }

    fn ping(&mut self) {
        if self.pinging || self.live_since.is_none() {
            return;
        }
        self.pinging = true;
        let wire = self.wire.clone();
        self.questions.spawn(async move {
            let start = Instant::now();
            Report::Pinged(
                wire.get_bytes("/_ping", PING_LIMIT)
                    .await
                    .map(|_| start.elapsed()),
            )
        });
    }

    fn ask_refresh(&mut self) {
        let ids = self.refresh.take();
        if ids.len() > ASKED_SINGLY {
            self.list();
            return;
        }
        self.refreshing = true;
        let wire = self.wire.clone();
        self.questions.spawn(async move {
            let listing = listing::only(&wire, &ids).await;
            Report::Refreshed(ids, listing)
        });
    }

    /// An error ends the connection.
    async fn learn(&mut self, report: Report, reached: &mut Option<impl FnOnce()>) -> Result<(), Fault> {
        match report {
            Report::Subscribed(lines) => self.events = Some(self.or_lost(lines)?),
            Report::Listed(listing) => {
                let listing = self.or_lost(listing)?;
                let asked = std::mem::replace(&mut self.list, Asked::No);
                if self.live_since.is_some() {
                    let step = self.actor.inventory.list(listing);
                    self.follow_up(step).await;
                } else {
                    self.first.listing = Some(listing);
                    self.arrive(reached).await;
                }
                if asked == Asked::Again {
                    self.list();
                }
            }
            Report::Refreshed(asked, listing) => {
                let listing = self.or_lost(listing)?;
                self.refreshing = false;
                let step = self.actor.inventory.refreshed(&asked, listing);
                self.follow_up(step).await;
            }
            Report::Introduced(daemon) => {
                self.first.daemon = Some((*daemon)?);
                self.arrive(reached).await;
            }
            Report::Described(daemon, engine) => {
                self.begin_figures(engine.data_root().map(str::to_owned));
                if engine.info.is_open() {
                    self.questions.spawn(async move {
                        let engine = daemon.describe_later().await;
                        Report::Described(daemon, Box::new(engine))
                    });
                }
                self.actor.tell(HostEvent::Engine(engine)).await;
            }
            Report::Pinged(Ok(latency)) => {
                self.pinging = false;
                self.misses = 0;
                if self.events.is_some() && self.news_from.is_some_and(|from| Instant::now() >= from) {
                    self.actor.inventory.caught_up();
                }
                self.show_latency(latency).await;
            }
            Report::Pinged(Err(trouble)) => {
                self.pinging = false;
                self.misses += 1;
                if self.misses > MISSES_ALLOWED || !matches!(trouble, Trouble::Late(_)) {
                    self.or_lost(Err(trouble))?;
                }
                // Once more at once: a hung daemon is known within two limits.
                self.ping();
            }
        }
        Ok(())
    }

    /// It is reached once the first list is in and its version is one that can be used. What `/info` tells comes later,
    /// or never.
    async fn arrive(&mut self, reached: &mut Option<impl FnOnce()>) {
        let (listing, daemon) = match std::mem::take(&mut self.first) {
            First {
                listing: Some(listing),
                daemon: Some(daemon),
            } => (listing, daemon),
            half => {
                self.first = half;
                return;
            }
        };
        if let Some(reached) = reached.take() {
            reached();
        }
        let since = wall_clock();
        self.live_since = Some(since);
        self.news_from = Some(Instant::now() + BACKLOG);
        self.actor
            .tell(HostEvent::Link(Link::Live { since, latency: None }))
            .await;
        let step = self.actor.inventory.list(listing);
        self.follow_up(step).await;
        drop(self.actor.door.send_replace(Some(daemon.clone())));
        self.questions.spawn(async move {
            let engine = daemon.describe().await;
            Report::Described(daemon, Box::new(engine))
        });
    }

    /// Where the host can be asked over ssh; without it a person asks for them.
    fn begin_figures(&mut self, root: Result<String, String>) {
        if let Some(tunnel) = self.wire.tunnel() {
            let (host, bulk) = (self.actor.host.name.clone(), self.actor.bulk.clone());
            let task = tokio::spawn(figures::follow(Arc::clone(tunnel), root, host, bulk));
            self.figures = Some(AbortOnDropHandle::new(task));
        }
    }

    fn or_lost<T>(&self, answer: Result<T, Trouble>) -> Result<T, Fault> {
        let host = &self.actor.host;
        answer.map_err(|trouble| trouble.fault(connect::reaching(host), &host.endpoint))
    }

    async fn read_events(&mut self, line: Result<Option<Bytes>, Trouble>) -> Result<(), Fault> {
        let Some(line) = self.or_lost(line)? else {
            return Err(Fault::new(
                connect::reaching(&self.actor.host),
                "the daemon closed the connection",
            )
            .hint("it was stopped or restarted"));
        };
        let mut batch = Vec::new();
        self.read_event(&line, &mut batch);
        while batch.len() < BATCH
            && let Some(lines) = self.events.as_mut().filter(|lines| lines.has_more())
        {
            match lines.next().await {
                Ok(Some(line)) => self.read_event(&line, &mut batch),
                Ok(None) => break,
                Err(trouble) => {
                    self.or_lost(Err(trouble))?;
                }
            }
        }
        let step = self.actor.inventory.events(batch);
        self.follow_up(step).await;
        Ok(())
    }

    /// A line that is no event is a gap: what it would have told is told by a list.
    fn read_event(&mut self, line: &[u8], batch: &mut Vec<happening::EngineEvent>) {
        match happening::read(line) {
            Ok(Told::Happened(event)) => batch.push(event),
            Ok(Told::Adopted) => self.list(),
            Ok(Told::Nothing) => {}
            Err(fault) => {
                tracing::warn!(host = %self.actor.host.name, %fault, "an event could not be read, listing again");
                self.list();
            }
        }
    }

    async fn follow_up(&mut self, step: Step) {
        let Step {
            facts,
            refresh,
            settle,
        } = step;
        for fact in facts {
            self.actor.tell(fact).await;
        }
        self.refresh.add(refresh, GATHER);
        self.settle.add(settle, SETTLE);
        self.want_stats();
    }

    fn want_stats(&mut self) {
        if self.actor.watched.is_empty() && self.stats.is_idle() {
            return;
        }
        let running: HashSet<&ContainerId> = self.actor.inventory.running().collect();
        let wanted: HashSet<ContainerId> = self
            .actor
            .watched
            .iter()
            .filter(|id| running.contains(id))
            .take(self.stats.fits())
            .cloned()
            .collect();
        self.stats.want(&wanted);
    }

    fn sample(&mut self) {
        let samples = self.stats.take();
        if !samples.is_empty() {
            let event = Event::Host(self.actor.host.name.clone(), HostEvent::Samples(samples));
            // A full channel drops them: the next second's are better.
            drop(self.actor.bulk.try_send(event));
        }
    }

    async fn show_latency(&mut self, latency: Duration) {
        let Some(since) = self.live_since else {
            return;
        };
        let is_news = self
            .latency
            .is_none_or(|shown| shown.abs_diff(latency) >= LATENCY_STEP.max(shown / 4));
        if is_news {
            self.latency = Some(latency);
            self.actor
                .tell(HostEvent::Link(Link::Live {
                    since,
                    latency: Some(latency),
                }))
                .await;
        }
    }

    fn obey(&mut self, id: OrderId, order: Order) {
        match order {
            Order::Watch { ids, host: _ } => {
                self.actor.watched = ids;
                self.want_stats();
            }
            Order::Act { .. } | Order::Inspect(_) | Order::Measure(_) => {
                let name = match &order {
                    Order::Act { target: key, .. } | Order::Inspect(key) => self
                        .actor
                        .inventory
                        .container(&key.id)
                        .map(|container| container.name.to_string()),
                    _ => None,
                };
                let errand = Errand {
                    name,
                    id,
                    order,
                    host: self.actor.host.name.clone(),
                    door: self.actor.door.subscribe(),
                    facts: self.actor.facts.clone(),
                };
                self.actor.tasks.spawn(errand.run());
            }
            Order::Retry(_) => self.list(),
            Order::Follow { .. }
            | Order::Resume { .. }
            | Order::FollowOwnLog(_)
            | Order::FollowRun(..)
            | Order::Unfollow(_) => {}
        }
    }
}

async fn next(events: &mut Option<Lines>) -> Result<Option<Bytes>, Trouble> {
    match events {
        Some(lines) => lines.next().await,
        None => std::future::pending().await,
    }
}

/// The end of the ssh connection, with ssh's last words; never for a daemon that is reached without.
async fn closed(wire: Wire) -> Fault {
    let ended = wire.tunnel().map(|tunnel| tunnel.closed());
    // Held no longer: the tunnel ends when nobody else uses it.
    drop(wire);
    match ended {
        Some(ended) => ended.await,
        None => std::future::pending().await,
    }
}

fn every(span: Duration) -> Interval {
    let mut interval = tokio::time::interval(span);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

const _: () = assert!(SETTLE.as_millis() > inventory::SLACK.as_millis() + 1_000);

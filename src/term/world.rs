//! Carries out the screen's effects through hosts and runs.
//! Slow ones run as tasks; answers come back as events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::own_log;
use crate::app::effect::{Lend, Save};
use crate::config::Config;
use crate::domain::event::Event;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::logs::FollowId;
use crate::domain::order::{Access, Order, OrderId};
use crate::domain::plan::RunRequest;
use crate::domain::run::Said;
use crate::hosts::{self, Hosts};
use crate::release::plan::Actor;
use crate::release::subject::Subject;
use crate::runs::{self, State};

/// Facts that wait to be drawn: more would only make the screen older than it says.
const FACTS: usize = 256;
/// Batches of figures and log lines.
const BULK: usize = 64;

pub struct World {
    config: Arc<Config>,
    access: Access,
    state: Result<State, Fault>,
    /// Who asks, as runs write it down.
    actor: Actor,
    hosts: Hosts,
    facts: mpsc::Sender<Event>,
    bulk: mpsc::Sender<Event>,
    /// Where our own log is written, if it is.
    log: Option<PathBuf>,
    /// Our own log or what a run said, while somebody reads it: one view shows one of them.
    reading: Option<(FollowId, AbortOnDropHandle<()>)>,
    /// How many runs are told of, the newest.
    runs_shown: watch::Sender<usize>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

/// What the world tells, in the order of its importance.
#[derive(Debug)]
pub struct News {
    pub facts: mpsc::Receiver<Event>,
    pub bulk: mpsc::Receiver<Event>,
}

impl World {
    #[must_use]
    pub fn start(
        config: &Arc<Config>,
        access: Access,
        state: Result<State, Fault>,
        actor: Actor,
        log: Option<PathBuf>,
    ) -> (Self, News) {
        let (facts, facts_out) = mpsc::channel(FACTS);
        let (bulk, bulk_out) = mpsc::channel(BULK);
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (runs_shown, shown) = watch::channel(runs::SHOWN);
        if let Ok(state) = &state {
            let watched = (state.clone(), facts.clone(), shutdown.clone());
            tasks.spawn(async move { runs::watch(&watched.0, shown, watched.1, watched.2).await });
        }
        let hosts = hosts::start(
            config.hosts.clone(),
            access,
            facts.clone(),
            bulk.clone(),
            shutdown.clone(),
        );
        let world = Self {
            config: Arc::clone(config),
            access,
            state,
            actor,
            hosts,
            facts,
            bulk,
            log,
            reading: None,
            runs_shown,
            tasks,
            shutdown,
        };
        let news = News {
            facts: facts_out,
            bulk: bulk_out,
        };
        (world, news)
    }

    /// Never waits: an order that cannot be taken is answered with the reason.
    pub fn order(&mut self, id: OrderId, order: Order) {
        match &order {
            Order::FollowOwnLog(follow) => {
                let (path, bulk) = (self.log.clone(), self.bulk.clone());
                return self.read(id, *follow, own_log::follow(path, *follow, bulk));
            }
            Order::FollowRun(follow, part) => {
                let (state, part, follow, bulk) =
                    (self.state.clone(), part.clone(), *follow, self.bulk.clone());
                return self.read(id, follow, async move {
                    runs::seen::transcript::follow(&state?, part, follow, bulk).await
                });
            }
            Order::Unfollow(follow) if self.reading.as_ref().is_some_and(|(read, _)| read == follow) => {
                self.reading = None;
                return;
            }
            _ => {}
        }
        if let Err(fault) = self.hosts.order(id, order) {
            self.answer(id, std::future::ready(Err(fault)));
        }
    }

    /// A file of this machine, until it is unfollowed; why it cannot be read is the answer.
    fn read(
        &mut self,
        id: OrderId,
        follow: FollowId,
        reading: impl Future<Output = Result<(), Fault>> + Send + 'static,
    ) {
        let facts = self.facts.clone();
        let task = tokio::spawn(async move {
            if let Err(fault) = reading.await {
                // Nobody to tell: the room has ended.
                drop(facts.send(Event::Done(id, Err(fault))).await);
            }
        });
        self.reading = Some((follow, AbortOnDropHandle::new(task)));
    }

    /// Read-only too: a plan changes nothing, but that otherwise the container of a ledger that was pruned is made again.
    pub fn plan(&mut self, id: OrderId, request: RunRequest) {
        let (state, config, access) = (self.state.clone(), Arc::clone(&self.config), self.access);
        let facts = self.facts.clone();
        self.tasks.spawn(async move {
            let plan = match state {
                Ok(state) => runs::plan(&state, &config, &request, access).await.map(Box::new),
                Err(fault) => Err(fault),
            };
            // Nobody to tell: the room has ended.
            drop(facts.send(Event::Planned(id, plan)).await);
        });
    }

    pub fn launch(&mut self, id: OrderId, request: RunRequest) {
        let (state, config, access) = (self.state.clone(), Arc::clone(&self.config), self.access);
        let by = self.actor.clone();
        self.answer(id, async move {
            access.may_change("start the run")?;
            let state = state?;
            let run = runs::launch(&state, &config, &request, by.clone()).await?;
            let behind = runs::launch_behind(&state, &config, &request, &run, &by).await?;
            tracing::debug!(%run, behind = behind.len(), "started");
            Ok(())
        });
    }

    pub fn cancel(&mut self, id: OrderId, run: RunId) {
        let (state, access) = (self.state.clone(), self.access);
        let actor = self.actor.login.clone();
        self.answer(id, async move {
            access.may_change("cancel the run")?;
            runs::cancel(&state?, &run, &actor)
        });
    }

    pub fn approve(&mut self, id: OrderId, run: RunId, said: Said) {
        let (state, access) = (self.state.clone(), self.access);
        let word = runs::Word {
            yes: said.yes,
            by: self.actor.login.clone(),
            reason: said.reason,
        };
        self.answer(id, async move {
            access.may_change("answer the run")?;
            runs::approve(&state?, &run, Some(&said.stage), &word)
        });
    }

    pub fn recover(&mut self, id: OrderId, run: RunId) {
        let (state, config, access) = (self.state.clone(), Arc::clone(&self.config), self.access);
        self.answer(id, async move {
            let recovered = Box::pin(runs::recover(&state?, &config, run, access)).await;
            recovered.map(drop).map_err(|failure| failure.fault)
        });
    }

    pub fn look_at_locks(&mut self, asked: BTreeMap<Subject, BTreeSet<HostName>>) {
        let (reached, facts) = (self.hosts.reached(), self.facts.clone());
        self.tasks.spawn(async move {
            let left = runs::left_locks(&reached, &asked).await;
            // Nobody to tell: the room has ended.
            drop(facts.send(Event::LeftLocks(left)).await);
        });
    }

    pub fn older_runs(&self) {
        self.runs_shown.send_modify(|shown| *shown += runs::SHOWN);
    }

    pub fn save(&mut self, id: OrderId, save: Save) {
        self.answer(id, async move {
            let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
            let written = tokio::task::spawn_blocking(move || super::save::save(&save, home.as_deref()));
            written
                .await
                .unwrap_or_else(|fault| Err(Fault::new("save", fault)))
        });
    }

    /// Until the one who borrowed the terminal has ended.
    pub async fn lend(&self, lend: Lend) -> Result<(), Fault> {
        match lend {
            Lend::Shell(key) => {
                let what = format!("open a shell in {} on {}", key.id.short(), key.host);
                match self.hosts.shell(key).await? {
                    code @ (126 | 127) => {
                        Err(Fault::new(what, format!("it exited at once with code {code}"))
                            .hint("the image may have no shell"))
                    }
                    // Any other exit code is the person's own business.
                    _ => Ok(()),
                }
            }
            Lend::Host(host) => {
                let command = self.hosts.lend(&host)?;
                let what = || format!("log in to {host}");
                let ended = tokio::process::Command::from(command)
                    .kill_on_drop(true)
                    .status()
                    .await;
                ended.map_err(|fault| Fault::new(what(), fault)).map(drop)
            }
        }
    }

    /// Everything is told to end; `leave` waits for it.
    pub fn part(&self) {
        self.shutdown.cancel();
    }

    /// Ends what was started here. Runs go on: they are processes of their own.
    pub async fn end(mut self) {
        self.shutdown.cancel();
        self.tasks.shutdown().await;
        self.hosts.join().await;
    }

    fn answer(&mut self, id: OrderId, work: impl Future<Output = Result<(), Fault>> + Send + 'static) {
        let facts = self.facts.clone();
        self.tasks.spawn(async move {
            let result = work.await;
            // Nobody to tell: the room has ended.
            drop(facts.send(Event::Done(id, result)).await);
        });
        // Those that have ended are forgotten.
        while self.tasks.try_join_next().is_some() {}
    }
}

//! One simulated daemon: its socket, its connections, its world, and the tasks that belong to it.
//! Answers nothing itself; `routes` knows who does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::Clock;
use super::http::{Ask, Refused, Reply, broken};
use super::line::Lines;
use super::routes;
use super::world::World;
use crate::domain::units::Stamp;

/// Requests that tests can ask about afterwards.
const REQUESTS_REMEMBERED: usize = 512;

#[derive(Debug)]
pub(super) struct Engine {
    pub(super) name: String,
    pub(super) socket: PathBuf,
    pub(super) clock: Clock,
    world: Mutex<World>,
    /// Counts changes, so that whoever waits for one wakes up.
    pulse: watch::Sender<u64>,
    pub(super) lines: Arc<Lines>,
    pub(super) faults: Mutex<Faults>,
    /// Ends with the daemon's process; a started daemon has a new one.
    alive: Mutex<CancellationToken>,
    tasks: TaskTracker,
    /// Ends with the fleet.
    shutdown: CancellationToken,
}

/// What goes wrong with requests, whatever they ask for.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) slow: Duration,
    pub(super) failures: Vec<Failure>,
    pub(super) requests: VecDeque<String>,
}

#[derive(Debug)]
pub(super) struct Failure {
    /// `POST`, or `*`
    pub(super) method: String,
    /// A part of the path.
    pub(super) path: String,
    pub(super) times: u32,
    pub(super) status: StatusCode,
    pub(super) message: String,
}

/// The world, held; whoever waits for changes learns of them when it is let go.
pub(super) struct Held<'a> {
    guard: MutexGuard<'a, World>,
    pulse: &'a watch::Sender<u64>,
}

impl Deref for Held<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        &self.guard
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.guard
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.guard.take_touched() {
            self.pulse.send_modify(|count| *count += 1);
        }
    }
}

impl Engine {
    pub(super) fn new(
        name: String,
        socket: PathBuf,
        clock: Clock,
        world: World,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            socket,
            clock,
            world: Mutex::new(world),
            pulse: watch::Sender::new(0),
            lines: Arc::new(Lines::default()),
            faults: Mutex::default(),
            alive: Mutex::new(shutdown.child_token()),
            tasks,
            shutdown,
        })
    }

    /// The world as it is now.
    pub(super) fn world(&self) -> Held<'_> {
        let mut guard = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        guard.settle(self.clock.now());
        Held {
            guard,
            pulse: &self.pulse,
        }
    }

    pub(super) fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> MutexGuard<'_, CancellationToken> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_up(&self) -> bool {
        !self.alive().is_cancelled()
    }

    /// Runs as long as the daemon does.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let alive = self.alive().clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = alive.cancelled() => (),
                () = work => (),
            }
        });
    }

    /// Runs on when the daemon is killed; ends with the fleet.
    pub(super) fn spawn_outside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => (),
                () = work => (),
            }
        });
    }

    /// Listens on its socket, in the place of whatever is there.
    pub(super) fn listen(self: &Arc<Self>) -> io::Result<()> {
        if let Err(error) = std::fs::remove_file(&self.socket)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let listener = UnixListener::bind(&self.socket)?;
        *self.alive() = self.shutdown.child_token();
        let engine = Arc::clone(self);
        self.spawn(async move { engine.accept(listener).await });
        let engine = Arc::clone(self);
        self.spawn(async move { engine.keep_time().await });
        Ok(())
    }

    /// As SIGKILL does it: nobody is told, the socket's file stays.
    pub(super) fn die(&self) {
        self.alive().cancel();
        self.lines.cut_all();
    }

    async fn accept(self: Arc<Self>, listener: UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                return;
            };
            let line = self.lines.open(stream);
            let engine = Arc::clone(&self);
            self.spawn(async move {
                let service = service_fn(|request| {
                    let engine = Arc::clone(&engine);
                    async move { Ok::<_, Infallible>(engine.answer(request).await) }
                });
                let served = http1::Builder::new()
                    .serve_connection(TokioIo::new(line), service)
                    .with_upgrades()
                    .await;
                if let Err(error) = served {
                    tracing::trace!(host = %engine.name, %error, "a connection to the simulated engine ended");
                }
            });
        }
    }

    /// Lets what is planned happen at its time, also while nobody asks.
    async fn keep_time(self: Arc<Self>) {
        let mut pulse = self.pulse();
        loop {
            let next = self.world().next_deed();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(self.clock.instant(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => (),
                changed = pulse.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        let ask = Ask::read(request);
        let (slow, failure) = self.note(&ask);
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let ping = ask.path.first().is_some_and(|word| word == "_ping");
        let mut reply = if let Some(refused) = failure {
            refused.into_reply()
        } else {
            // What was asked for goes on when the client leaves.
            let engine = Arc::clone(&self);
            let alive = self.alive().clone();
            let work = self.tasks.spawn(async move {
                tokio::select! {
                    () = alive.cancelled() => Err(broken("the daemon was killed")),
                    answer = routes::answer(&engine, ask) => answer,
                }
            });
            match work.await {
                Ok(Ok(reply)) => reply,
                Ok(Err(refused)) => refused.into_reply(),
                Err(_) => broken("the simulated engine failed").into_reply(),
            }
        };
        let headers = reply.headers_mut();
        if let Some(date) = date(self.clock.now()) {
            headers.insert("Date", date);
        }
        headers.insert("Api-Version", HeaderValue::from_static("1.41"));
        headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
        headers.insert("Ostype", HeaderValue::from_static("linux"));
        headers.insert(
            "Server",
            HeaderValue::from_static("Docker/20.10.24+dfsg1 (linux)"),
        );
        if ping {
            headers.insert(
                "Cache-Control",
                HeaderValue::from_static("no-cache, no-store, must-revalidate"),
            );
            headers.insert("Pragma", HeaderValue::from_static("no-cache"));
        }
        reply
    }

    /// Remembers the request; says how slow it is to be, and whether it fails whatever it asks.
    fn note(&self, ask: &Ask) -> (Duration, Option<Refused>) {
        let mut faults = self.faults();
        let path = format!("/{}", ask.path.join("/"));
        if faults.requests.len() == REQUESTS_REMEMBERED {
            faults.requests.pop_front();
        }
        faults.requests.push_back(format!("{} {path}", ask.method));
        let slow = faults.slow;
        let matching = faults.failures.iter_mut().find(|failure| {
            failure.times > 0
                && (failure.method == "*" || failure.method == ask.method.as_str())
                && path.contains(&failure.path)
        });
        let failure = matching.map(|failure| {
            failure.times -= 1;
            Refused {
                status: failure.status,
                message: failure.message.clone(),
            }
        });
        faults.failures.retain(|failure| failure.times > 0);
        (slow, failure)
    }
}

/// As the host's clock has it.
fn date(now: Stamp) -> Option<HeaderValue> {
    let now = jiff::Timestamp::from_second(now.seconds()).ok()?;
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok()?;
    HeaderValue::from_str(&text).ok()
}

//! Connects to a daemon: opens its endpoint, negotiates the API version, reads what the engine is.
//! All requests go through a `Daemon`, which enforces read-only mode; every wait has a limit.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use hyper::Method;
use tokio_util::task::AbortOnDropHandle;

use super::back_off::BackOff;
use super::engine;
use super::pipe::Route;
use super::ssh::Tunnel;
use super::tls;
use super::trouble::Trouble;
use super::wire::{ReadWire, Wire};
use crate::config::Host;
use crate::domain::adoption::{self, Adoption};
use crate::domain::container::Container;
use crate::domain::endpoint::Endpoint;
use crate::domain::fault::Fault;
use crate::domain::host::{Engine, Uninformed};
use crate::domain::ids::HostName;
use crate::domain::order::Access;
use crate::domain::units::Stamp;

/// The limit of a read request; a daemon that takes longer hangs.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Until the head of an answer; longer than any grace that a stop is given without being told (its own is added by who asks).
const CHANGE_LIMIT: Duration = Duration::from_mins(2);

/// An unused second connection is closed after this time, because the next log is often opened soon.
const BULK_IDLE: Duration = Duration::from_mins(1);
/// How often that is checked.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Why a daemon could not be connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// Trying again later may help.
    Fault(Fault),
    /// Only a person at the terminal can help (passphrase, touch, second factor).
    NeedsPerson(Fault),
}

impl Unreached {
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Fault(fault) | Self::NeedsPerson(fault) => fault,
        }
    }
}

/// Why it is unknown which daemon it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unidentified {
    /// It would say the same again.
    Denied(Fault),
    /// Trying again later may help.
    Unanswered(Fault),
}

/// A connected daemon. Clones share its connections, which are closed with the last one.
#[derive(Clone, Debug)]
pub struct Daemon {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: Host,
    /// By `/version`.
    engine: Engine,
    /// With what came of `/info`, once that is final; a room's daemon is asked when its rows are already shown.
    whole: OnceLock<Engine>,
    access: Access,
    read: Docker,
    change: Docker,
    wire: Wire,
    /// The second connection over ssh, shared by its users and kept for a while after the last one.
    bulk: tokio::sync::Mutex<Option<Second>>,
}

#[derive(Debug)]
struct Second {
    shared: Arc<Shared>,
    idle: Idle,
    /// The task that closes it.
    _tidying: AbortOnDropHandle<()>,
}

/// Since when something is unused.
#[derive(Debug, Default)]
struct Idle(Option<Instant>);

/// Opens the endpoint and negotiates the API version: enough to list, to read and to act. `/info` is not asked, which takes a
/// loaded daemon seconds.
pub async fn reach(host: &Host, access: Access) -> Result<Daemon, Unreached> {
    let wire = open(host).await?;
    introduce(host, wire, access).await.map_err(Unreached::Fault)
}

/// As [`reach`], and asks for what only `/info` tells.
pub async fn connect(host: &Host, access: Access) -> Result<Daemon, Unreached> {
    let wire = open(host).await?;
    let engine = engine::whole(&wire).await;
    introduced(host, &wire, access, engine).map_err(Unreached::Fault)
}

/// Opens the endpoint without sending a request.
pub(super) async fn open(host: &Host) -> Result<Wire, Unreached> {
    let route = match &host.endpoint {
        Endpoint::Unix(path) => Route::Unix(path.clone()),
        Endpoint::Tcp {
            host,
            port,
            tls: None,
        } => Route::Tcp {
            host: host.clone(),
            port: *port,
        },
        Endpoint::Tcp {
            host,
            port,
            tls: Some(files),
        } => {
            let files = files.clone();
            let config = tokio::task::spawn_blocking(move || tls::client_config(&files))
                .await
                .map_err(|fault| Unreached::Fault(Fault::new("read the files of `tls`", fault)))?
                .map_err(Unreached::Fault)?;
            Route::Tls {
                host: host.clone(),
                port: *port,
                config,
            }
        }
        Endpoint::Ssh(ssh) => {
            let tunnel = Tunnel::open(&host.name, ssh).await?;
            let route = Route::Unix(tunnel.socket().to_path_buf());
            return Ok(Wire::new(route, Some(Arc::new(tunnel))));
        }
    };
    Ok(Wire::new(route, None))
}

/// Asks a daemon for its version and wraps it up; `Daemon::describe` asks for the rest.
pub(super) async fn introduce(host: &Host, wire: Wire, access: Access) -> Result<Daemon, Fault> {
    let engine = engine::version(&wire).await;
    introduced(host, &wire, access, engine)
}

fn introduced(
    host: &Host,
    wire: &Wire,
    access: Access,
    engine: Result<Engine, Trouble>,
) -> Result<Daemon, Fault> {
    let engine = engine.map_err(|trouble| trouble.fault(reaching(host), &host.endpoint))?;
    wire.pin(&engine.api);
    daemon(host, engine, wire, access)
}

fn daemon(host: &Host, engine: Engine, wire: &Wire, access: Access) -> Result<Daemon, Fault> {
    let docker = |allowed, limit| {
        docker(wire, &engine.api, allowed, limit).map_err(|fault| Fault::new(reaching(host), fault))
    };
    Ok(Daemon {
        shared: Arc::new(Shared {
            host: host.clone(),
            read: docker(Allowed::Reading, READ_LIMIT)?,
            change: docker(Allowed::Everything, CHANGE_LIMIT)?,
            engine,
            whole: OnceLock::new(),
            access,
            wire: wire.clone(),
            bulk: tokio::sync::Mutex::default(),
        }),
    })
}

/// `reach db-2 at ssh://db-2`
pub(super) fn reaching(host: &Host) -> String {
    format!("reach {} at {}", host.name, host.endpoint)
}

impl Daemon {
    /// All its containers, running or not, from one request; for commands that do not watch.
    pub async fn containers(&self) -> Result<(Vec<Container>, Vec<Adoption>), Fault> {
        let Shared { host, wire, .. } = self.shared.as_ref();
        let listing = super::listing::all(wire).await;
        let listing = listing.map_err(|trouble| {
            trouble.fault(format!("list the containers of {}", host.name), &host.endpoint)
        });
        listing.map(|listing| {
            let (mut containers, adopted) = (listing.containers, listing.adopted.unwrap_or_default());
            for container in &mut containers {
                adoption::adopt(&adopted, container);
            }
            (containers, adopted)
        })
    }

    #[must_use]
    pub fn name(&self) -> &HostName {
        &self.shared.host.name
    }

    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.shared.whole.get().unwrap_or(&self.shared.engine)
    }

    /// Asks for what only `/info` tells. A final answer is known of all clones from then on; otherwise ask again.
    pub(super) async fn describe(&self) -> Engine {
        let engine = engine::with_info(self.shared.engine.clone(), &self.shared.wire).await;
        if engine.info.is_open() {
            return engine;
        }
        self.shared.whole.get_or_init(|| engine).clone()
    }

    /// The same, less and less often until the answer is final: a daemon that is loaded or just started answers later.
    pub(super) async fn describe_later(&self) -> Engine {
        let mut back_off = BackOff::default();
        loop {
            tokio::time::sleep(back_off.next(fastrand::f64())).await;
            let engine = self.describe().await;
            if !engine.info.is_open() {
                return engine;
            }
        }
    }

    /// By which runs tell daemons apart, whatever they are called.
    pub fn id(&self) -> Result<&str, Unidentified> {
        let what = || format!("tell which daemon {} is", self.name());
        match self.engine().installation() {
            Ok(known) => known.daemon_id.as_deref().ok_or_else(|| {
                Unidentified::Denied(Fault::new(what(), "its answer to GET /info holds no ID"))
            }),
            Err(Uninformed::Denied(why)) => Err(Unidentified::Denied(
                Fault::new(what(), why)
                    .hint("a run needs GET /info: allow it if a proxy stands before the daemon"),
            )),
            Err(why @ (Uninformed::NotAsked | Uninformed::Unanswered(_))) => Err(Unidentified::Unanswered(
                Fault::new(what(), format!("GET /info: {why}")),
            )),
        }
    }

    #[must_use]
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    #[must_use]
    pub fn access(&self) -> Access {
        self.shared.access
    }

    /// The client for reading: methods other than GET and HEAD (and waiting for a container) are refused.
    #[must_use]
    pub fn read(&self) -> &Docker {
        &self.shared.read
    }

    /// The daemon's own clock to the second, rounded down, as it dates its answers: the cheapest request there is; `None` if a
    /// proxy removes the date.
    pub async fn clock(&self) -> Result<Option<Stamp>, Error> {
        let asked = Box::pin(self.wire().get_bytes("/_ping", READ_LIMIT)).await;
        let (_, date) = asked.map_err(engine_error)?;
        Ok(date.as_deref().and_then(super::listing::parse_date))
    }

    /// For everything that changes something, runs something or attaches: refused when the program runs read-only.
    pub fn change(&self) -> Result<&Docker, Fault> {
        self.may_change()?;
        Ok(&self.shared.change)
    }

    fn may_change(&self) -> Result<(), Fault> {
        let what = format!("change anything on {}", self.shared.host.name);
        self.shared.access.may_change(what)
    }

    /// The same daemon for logs, builds and transfers: over ssh by a second connection, so that an action never
    /// waits behind a log. Keep it for as long as what was asked by it: unused for a minute, it is closed.
    pub async fn bulk(&self) -> Result<Self, Unreached> {
        if !matches!(self.shared.host.endpoint, Endpoint::Ssh(_)) {
            return Ok(self.clone());
        }
        let mut second = self.shared.bulk.lock().await;
        if let Some(second) = second.as_mut().filter(|second| !second.is_over()) {
            second.idle = Idle::default();
            return Ok(Self {
                shared: Arc::clone(&second.shared),
            });
        }
        let wire = open(&self.shared.host).await?;
        wire.pin(&self.shared.engine.api);
        let opened = daemon(
            &self.shared.host,
            self.engine().clone(),
            &wire,
            self.shared.access,
        )
        .map_err(Unreached::Fault)?;
        *second = Some(Second {
            shared: Arc::clone(&opened.shared),
            idle: Idle::default(),
            _tidying: AbortOnDropHandle::new(tokio::spawn(tidy(Arc::downgrade(&self.shared)))),
        });
        Ok(opened)
    }

    pub(super) fn wire(&self) -> &ReadWire {
        &self.shared.wire
    }

    /// As `change`, for requests of our own.
    pub(super) fn change_wire(&self) -> Result<&Wire, Fault> {
        self.may_change()?;
        Ok(&self.shared.wire)
    }
}

/// Closes the second connection after it was unused for a while.
async fn tidy(first: Weak<Shared>) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        let Some(first) = first.upgrade() else { return };
        // Somebody is just opening it.
        let Ok(mut second) = first.bulk.try_lock() else {
            continue;
        };
        let Some(used) = second.as_mut() else { return };
        if used.is_idle(Instant::now()) {
            tracing::debug!(host = %first.host.name, "closing the second connection");
            // With it this task, which has nothing left to do.
            *second = None;
        }
    }
}

impl Second {
    fn is_over(&self) -> bool {
        self.shared.wire.tunnel().is_some_and(|tunnel| tunnel.is_over())
    }

    fn is_idle(&mut self, now: Instant) -> bool {
        // One is our own.
        self.idle
            .is_over(Arc::strong_count(&self.shared).saturating_sub(1), now)
    }
}

impl Idle {
    fn is_over(&mut self, users: usize, now: Instant) -> bool {
        if users > 0 {
            self.0 = None;
            return false;
        }
        now.saturating_duration_since(*self.0.get_or_insert(now)) >= BULK_IDLE
    }
}

#[derive(Clone, Copy)]
enum Allowed {
    Reading,
    Everything,
}

fn docker(wire: &Wire, api: &str, allowed: Allowed, limit: Duration) -> Result<Docker, Error> {
    let (major, minor) = engine::parse_api(api).unwrap_or((1, 41));
    let version = ClientVersion {
        major_version: usize::try_from(major).unwrap_or(1),
        minor_version: usize::try_from(minor).unwrap_or(41),
    };
    let wire = wire.clone();
    let transport = move |request: BollardRequest| {
        let wire = wire.clone();
        async move {
            match allowed {
                Allowed::Reading if !only_reads(&request) => Err(Trouble::ReadOnly),
                Allowed::Reading | Allowed::Everything => wire.send(request).await,
            }
            .map_err(engine_error)
        }
    };
    Docker::connect_with_custom_transport(transport, Some("http://docker"), limit.as_secs(), &version)
}

fn only_reads(request: &BollardRequest) -> bool {
    let path = request.uri().path();
    match *request.method() {
        Method::GET | Method::HEAD => !path.contains("/attach"),
        Method::POST => path.ends_with("/wait"),
        _ => false,
    }
}

/// bollard has no variant for the errors of a transport of one's own: the nearest that keeps the words.
pub(super) fn engine_error(trouble: Trouble) -> Error {
    match trouble {
        Trouble::Open(err) => Error::IOError { err },
        Trouble::Broken(err) => Error::HyperResponseError { err },
        Trouble::Late(_) | Trouble::Lost => Error::RequestTimeoutError,
        Trouble::Refused { status, message } => Error::DockerResponseServerError {
            status_code: status,
            message,
        },
        Trouble::ReadOnly => Error::DockerResponseServerError {
            status_code: 403,
            message: "this connection only reads".to_owned(),
        },
        other @ (Trouble::Unreadable(_) | Trouble::TooLarge(_) | Trouble::Invalid(_)) => Error::IOError {
            err: std::io::Error::other(other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_again_is_not_idle_before_a_whole_span_has_passed() {
        let mut idle = Idle::default();
        let start = Instant::now();
        assert!(!idle.is_over(0, start));
        assert!(!idle.is_over(2, start + BULK_IDLE));
        assert!(!idle.is_over(0, start + BULK_IDLE * 2));
        assert!(!idle.is_over(0, start + BULK_IDLE * 2 + BULK_IDLE / 2));
        assert!(idle.is_over(0, start + BULK_IDLE * 3));
    }

    #[test]
    fn the_reading_client_only_lets_through_what_changes_and_runs_nothing() {
        let passes = |method: &str, path: &str| {
            let request = hyper::Request::builder().method(method);
            let request = request.uri(format!("http://docker/v1.41{path}"));
            only_reads(&request.body(bollard::body_full(bytes::Bytes::new())).unwrap())
        };
        for (method, path) in [
            ("GET", "/containers/json?all=true"),
            ("GET", "/containers/abc/logs?follow=true"),
            ("HEAD", "/containers/abc/archive?path=/"),
            ("POST", "/containers/abc/wait?condition=next-exit"),
        ] {
            assert!(passes(method, path), "{method} {path}");
        }
        for (method, path) in [
            ("GET", "/containers/abc/attach/ws?stream=true"),
            ("POST", "/containers/abc/attach?stream=true"),
            ("POST", "/containers/create?name=wait"),
            ("POST", "/containers/abc/start"),
            ("POST", "/containers/abc/exec"),
            ("POST", "/exec/abc/start"),
            ("POST", "/build"),
            ("POST", "/images/create?fromImage=busybox"),
            ("POST", "/containers/prune"),
            ("PUT", "/containers/abc/archive?path=/"),
            ("PATCH", "/containers/abc"),
            ("DELETE", "/containers/abc"),
        ] {
            assert!(!passes(method, path), "{method} {path}");
        }
    }
}

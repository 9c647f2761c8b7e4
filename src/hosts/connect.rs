//! Reaching a daemon: its endpoint opened, its version agreed on, what it is found out.
//! Everything that is sent to it goes through a `Daemon`, where read-only is enforced; nothing waits without a limit.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bollard::errors::Error;
use bollard::{BollardRequest, ClientVersion, Docker};
use hyper::Method;
use tokio_util::task::AbortOnDropHandle;

use super::engine;
use super::pipe::Route;
use super::ssh::Tunnel;
use super::tls;
use super::trouble::Trouble;
use super::wire::Wire;
use crate::config::Host;
use crate::domain::adoption::{self, Adoption};
use crate::domain::container::Container;
use crate::domain::endpoint::Endpoint;
use crate::domain::fault::Fault;
use crate::domain::host::Engine;
use crate::domain::ids::HostName;
use crate::domain::order::Access;

/// A question is answered within this, or the daemon hangs.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// Until the head of an answer; longer than any grace that a stop is given without being told (its own is added by who asks).
const CHANGE_LIMIT: Duration = Duration::from_mins(2);

/// A second connection nobody uses is closed after this: the next log is often opened soon.
const BULK_IDLE: Duration = Duration::from_mins(1);
/// How often is looked whether it is.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// Why a daemon could not be reached.
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

/// A daemon that answered. Clones share its connections; the last one to go closes them.
#[derive(Clone, Debug)]
pub struct Daemon {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    host: Host,
    engine: Engine,
    access: Access,
    read: Docker,
    change: Docker,
    wire: Wire,
    /// The second connection over ssh while somebody uses it and a while longer, so that several share one.
    bulk: tokio::sync::Mutex<Option<Second>>,
}

#[derive(Debug)]
struct Second {
    shared: Arc<Shared>,
    idle: Idle,
    /// Closes it; whoever has the daemon, a room, a command or a run, need not think of that.
    _tidying: AbortOnDropHandle<()>,
}

/// Since when nobody was seen to use something.
#[derive(Debug, Default)]
struct Idle(Option<Instant>);

/// Opens the endpoint, asks what is there, agrees on the API version.
pub async fn connect(host: &Host, access: Access) -> Result<Daemon, Unreached> {
    let wire = open(host).await?;
    introduce(host, wire, access).await.map_err(Unreached::Fault)
}

/// The way to the daemon, before a word was said.
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

/// Asks a daemon what it is and wraps it up.
pub(super) async fn introduce(host: &Host, wire: Wire, access: Access) -> Result<Daemon, Fault> {
    let engine = engine::ask(&wire)
        .await
        .map_err(|trouble| trouble.fault(reaching(host), &host.endpoint))?;
    wire.pin(&engine.api);
    daemon(host, engine, &wire, access)
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
    /// All its containers, running or not, from one request: for whoever looks once instead of watching.
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
        &self.shared.engine
    }

    #[must_use]
    pub fn host(&self) -> &Host {
        &self.shared.host
    }

    #[must_use]
    pub fn access(&self) -> Access {
        self.shared.access
    }

    /// For requests that change nothing: any other method than GET and HEAD (and waiting for a container) is refused here.
    #[must_use]
    pub fn read(&self) -> &Docker {
        &self.shared.read
    }

    /// For everything that changes something, runs something or attaches: refused when the program runs read-only.
    pub fn change(&self) -> Result<&Docker, Fault> {
        match self.shared.access {
            Access::Full => Ok(&self.shared.change),
            Access::ReadOnly => Err(Fault::new(
                format!("change anything on {}", self.shared.host.name),
                "Pilothouse runs read-only",
            )
            .hint("start it without --read-only")),
        }
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
            self.shared.engine.clone(),
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

    pub(super) fn wire(&self) -> &Wire {
        &self.shared.wire
    }
}

/// Closes the second connection once nobody has used it for a while.
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
}

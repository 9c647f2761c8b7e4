//! HTTP to one daemon: our own requests, and the transport under bollard.
//! Connections are reused while they are young, and opened if none is free. Never retries a request that may have been carried out.

use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use super::pipe::Route;
use super::ssh::Tunnel;
use super::trouble::Trouble;

/// The body that bollard sends.
pub(super) type Body =
    Either<Full<Bytes>, StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>>;

/// A ping every 5 s finds its connection again; an ssh channel is not held for long.
const IDLE_AGE: Duration = Duration::from_secs(20);
/// As many requests as the actor has on the way at once.
const IDLE_KEPT: usize = 4;
/// What one connection buffers at most; a line of a log or a row of a list is far smaller.
const READ_BUFFER: usize = 64 << 10;
/// A list of some ten thousand containers.
const LARGEST_ANSWER: usize = 64 << 20;
const LARGEST_REFUSAL: usize = 16 << 10;

/// A daemon's HTTP endpoint, for reading only; clones share connections and whatever keeps the route open.
#[derive(Clone)]
pub(super) struct ReadWire {
    shared: Arc<Shared>,
}

/// The same for all requests. A `Daemon` gives it out only if changes are allowed.
#[derive(Clone, Debug)]
pub(super) struct Wire {
    read: ReadWire,
}

struct Shared {
    route: Route,
    /// What goes into `Host:`.
    authority: HeaderValue,
    /// `/v1.41` once the version is negotiated; before that the daemon speaks its newest.
    prefix: OnceLock<String>,
    idle: Mutex<Vec<(SendRequest<Body>, Instant)>>,
    /// What keeps the route open: without it the socket leads nowhere.
    tunnel: Option<Arc<Tunnel>>,
}

impl std::fmt::Debug for ReadWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadWire")
            .field("route", &self.shared.route)
            .finish_non_exhaustive()
    }
}

impl Deref for Wire {
    type Target = ReadWire;

    fn deref(&self) -> &ReadWire {
        &self.read
    }
}

impl Wire {
    pub(super) fn new(route: Route, tunnel: Option<Arc<Tunnel>>) -> Self {
        let host = match &route {
            Route::Unix(_) => "docker".to_owned(),
            Route::Tcp { host, port }
            | Route::Tls {
                host,
                port,
                config: _,
            } => format!("{host}:{port}"),
        };
        let shared = Arc::new(Shared {
            route,
            authority: HeaderValue::from_str(&host).unwrap_or(HeaderValue::from_static("docker")),
            prefix: OnceLock::new(),
            idle: Mutex::new(Vec::new()),
            tunnel,
        });
        Self {
            read: ReadWire { shared },
        }
    }

    /// Requests of our own carry this API version from now on; the first to say so wins.
    pub(super) fn pin(&self, api: &str) {
        // Losing a second value is right: one connection has one version.
        drop(self.read.shared.prefix.set(format!("/v{api}")));
    }

    /// Asks for something to be done and reads the answer. Never sent twice.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
        limit: Duration,
    ) -> Result<Bytes, Trouble> {
        let request = self.post_request(path, body)?;
        within(limit, async {
            read_all(self.ask(request).await?.into_body(), LARGEST_ANSWER).await
        })
        .await
    }

    /// Asks for a stream in both directions (Docker's hijacked connection).
    pub(super) async fn upgrade(
        &self,
        path: &str,
        body: &serde_json::Value,
        limit: Duration,
    ) -> Result<TokioIo<hyper::upgrade::Upgraded>, Trouble> {
        let request = self.post_request(path, body)?;
        self.hijack(request, "tcp", limit).await
    }

    /// The same with a request as it is, for whatever protocol is spoken afterwards.
    pub(super) async fn hijack(
        &self,
        mut request: Request<Body>,
        protocol: &'static str,
        limit: Duration,
    ) -> Result<TokioIo<hyper::upgrade::Upgraded>, Trouble> {
        let headers = request.headers_mut();
        headers.insert(hyper::header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(hyper::header::UPGRADE, HeaderValue::from_static(protocol));
        within(limit, async {
            let response = self.send(request).await?;
            if response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
                checked(response).await?;
                return Err(Trouble::Unreadable("it opened no stream".to_owned()));
            }
            hyper::upgrade::on(response)
                .await
                .map(TokioIo::new)
                .map_err(Trouble::Broken)
        })
        .await
    }

    /// A POST whose body and headers are the caller's.
    pub(super) fn post_with(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        body: Body,
    ) -> Result<Request<Body>, Trouble> {
        let mut request = Request::post(self.read.uri(path));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request
            .body(body)
            .map_err(|fault| Trouble::Invalid(fault.to_string()))
    }

    /// Any request, as it is. Has no limit of its own.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, Trouble> {
        self.read.send(request).await
    }

    /// The answer's head; its body is the caller's to read. Never sent twice, and without a limit of its own.
    pub(super) async fn ask(&self, request: Request<Body>) -> Result<Response<Incoming>, Trouble> {
        checked(self.send(request).await?).await
    }

    fn post_request(&self, path: &str, body: &serde_json::Value) -> Result<Request<Body>, Trouble> {
        Request::post(self.read.uri(path))
            .header(hyper::header::CONTENT_TYPE, "application/json")
            .body(Either::Left(Full::new(Bytes::from(body.to_string()))))
            .map_err(|fault| Trouble::Invalid(fault.to_string()))
    }
}

impl ReadWire {
    pub(super) fn tunnel(&self) -> Option<&Arc<Tunnel>> {
        self.shared.tunnel.as_ref()
    }

    /// The answer's head; its body is the caller's to read. Any status but success is a refusal with the daemon's words.
    pub(super) async fn get(&self, path: &str) -> Result<Response<Incoming>, Trouble> {
        self.get_with(path, &[]).await
    }

    /// The same with headers of the caller's.
    async fn get_with(
        &self,
        path: &str,
        headers: &[(&'static str, HeaderValue)],
    ) -> Result<Response<Incoming>, Trouble> {
        match self.send(self.get_request(path, headers)?).await {
            // A connection that the daemon closed just then: nothing was changed by a GET, so ask again.
            Err(Trouble::Broken(fault)) if fault.is_incomplete_message() || fault.is_canceled() => {
                self.forget();
                checked(self.send(self.get_request(path, headers)?).await?).await
            }
            other => checked(other?).await,
        }
    }

    pub(super) async fn get_bytes(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<(Bytes, Option<String>), Trouble> {
        within(limit, async {
            let response = self.get(path).await?;
            let date = response
                .headers()
                .get(hyper::header::DATE)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned);
            Ok((read_all(response.into_body(), LARGEST_ANSWER).await?, date))
        })
        .await
    }

    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<T, Trouble> {
        let (bytes, _date) = self.get_bytes(path, limit).await?;
        serde_json::from_slice(&bytes).map_err(|fault| Trouble::Unreadable(fault.to_string()))
    }

    /// The whole answer to a question with a header of its own.
    pub(super) async fn get_bytes_with(
        &self,
        path: &str,
        header: (&'static str, HeaderValue),
        limit: Duration,
    ) -> Result<Bytes, Trouble> {
        within(limit, async {
            let response = self.get_with(path, &[header]).await?;
            read_all(response.into_body(), LARGEST_ANSWER).await
        })
        .await
    }

    fn get_request(
        &self,
        path: &str,
        headers: &[(&'static str, HeaderValue)],
    ) -> Result<Request<Body>, Trouble> {
        let mut request = Request::get(self.uri(path));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request
            .body(empty())
            .map_err(|fault| Trouble::Invalid(fault.to_string()))
    }

    fn uri(&self, path: &str) -> String {
        let prefix = self.shared.prefix.get().map_or("", String::as_str);
        format!("{prefix}{path}")
    }

    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, Trouble> {
        if request.uri().authority().is_some() {
            // bollard's: its version gets lost when it joins the path to it.
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let prefix = self.shared.prefix.get().map_or("", String::as_str);
            *request.uri_mut() = format!("{prefix}{path}")
                .parse::<Uri>()
                .map_err(|fault| Trouble::Invalid(fault.to_string()))?;
        }
        request.headers_mut().insert(HOST, self.shared.authority.clone());
        let plain = matches!(
            *request.method(),
            Method::GET | Method::HEAD | Method::POST | Method::DELETE
        ) && !request.headers().contains_key(hyper::header::UPGRADE);
        while let Some(mut sender) = self.take() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.give_back(sender, response)),
                Err(mut unsent) => match unsent.take_message() {
                    // It was closed before a byte went out.
                    Some(same) => request = same,
                    None => return Err(Trouble::Broken(unsent.into_error())),
                },
            }
        }
        let mut sender = self.open().await?;
        let response = sender.send_request(request).await.map_err(Trouble::Broken)?;
        Ok(if plain {
            self.give_back(sender, response)
        } else {
            response
        })
    }

    async fn open(&self) -> Result<SendRequest<Body>, Trouble> {
        let pipe = self.shared.route.open().await.map_err(Trouble::Open)?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BUFFER)
            .handshake(TokioIo::new(pipe))
            .await
            .map_err(Trouble::Broken)?;
        // Ends with the connection; its owner is whoever holds the sender or the answer's body.
        tokio::spawn(async move {
            if let Err(fault) = connection.with_upgrades().await {
                tracing::debug!(%fault, "connection ended");
            }
        });
        Ok(sender)
    }

    fn take(&self) -> Option<SendRequest<Body>> {
        let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(sender, since)| !sender.is_closed() && since.elapsed() < IDLE_AGE);
        let at = idle.iter().rposition(|(sender, _)| sender.is_ready())?;
        Some(idle.swap_remove(at).0)
    }

    /// The connection may serve again once the answer is read to its end.
    fn give_back(&self, sender: SendRequest<Body>, response: Response<Incoming>) -> Response<Incoming> {
        if !sender.is_closed() {
            let mut idle = self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() == IDLE_KEPT {
                idle.remove(0);
            }
            idle.push((sender, Instant::now()));
        }
        response
    }

    fn forget(&self) {
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

pub(super) fn empty() -> Body {
    Either::Left(Full::new(Bytes::new()))
}

pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_elapsed) => Err(Trouble::Late(limit)),
    }
}

pub(super) async fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, Trouble> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let said = read_all(response.into_body(), LARGEST_REFUSAL)
        .await
        .unwrap_or_default();
    Err(Trouble::Refused {
        status,
        message: refusal(&said, status),
    })
}

/// `{"message": "…"}` on Docker, `{"cause": …, "message": …}` on Podman, plain text from what stands in between.
fn refusal(said: &[u8], status: u16) -> String {
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    let message = serde_json::from_slice::<Said>(said).map_or_else(
        |_| String::from_utf8_lossy(said).into_owned(),
        |said| said.message,
    );
    let message = message.trim();
    if message.is_empty() {
        format!("HTTP status {status}")
    } else {
        message.to_owned()
    }
}

async fn read_all(mut body: Incoming, largest: usize) -> Result<Bytes, Trouble> {
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Trouble::Broken)?.into_data() else {
            continue;
        };
        if all.len() + data.len() + first.as_ref().map_or(0, Bytes::len) > largest {
            return Err(Trouble::TooLarge(largest));
        }
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(one) => {
                all.extend_from_slice(&one);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

//! The HTTP server: one request per connection, few connections, short limits on time and size.
//! Slow or large requests cost a connection for some seconds at most.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Limits;
use super::desk::Desk;
use super::verdict::{Refusal, Verdict};

/// Headers of a request; forges send about one kilobyte.
const LONGEST_HEAD: usize = 16 << 10;
/// How often refusals are told: a flood of them is one line a minute.
const NEWS: Duration = Duration::from_mins(1);
/// Out of file descriptors, or a connection that is gone already: trying at once again would only burn a core.
const BREATH: Duration = Duration::from_millis(100);

pub(super) async fn serve(socket: TcpListener, desk: Arc<Desk>, limits: Limits, stop: CancellationToken) {
    let (open, places) = (TaskTracker::new(), Arc::new(Semaphore::new(limits.connections)));
    let limits = Arc::new(limits);
    let mut news = tokio::time::interval(NEWS);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = news.tick() => {
                tell_refusals(&desk);
                continue;
            }
            accepted = accept(&socket, &places) => accepted,
        };
        match accepted {
            Ok((stream, from, place)) => {
                let (desk, limits) = (Arc::clone(&desk), Arc::clone(&limits));
                let stop = stop.clone();
                open.spawn(async move {
                    connection(stream, from, desk, limits, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(socket);
    open.close();
    open.wait().await;
    desk.close().await;
    tell_refusals(&desk);
}

fn tell_refusals(desk: &Desk) {
    if let Some(news) = desk.counts.news() {
        desk.tell(&format!("refused: {news}"));
        tracing::warn!(news, "refused");
    }
}

/// A place first, then a connection: what is beyond the places waits outside.
async fn accept(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, from) = socket.accept().await?;
    Ok((stream, from, place))
}

/// One request and its answer.
async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    desk: Arc<Desk>,
    limits: Arc<Limits>,
    stop: CancellationToken,
) {
    let (answering, head, body) = (Arc::clone(&desk), limits.head, limits.body);
    let service = service_fn(move |request| {
        let (desk, limits) = (Arc::clone(&answering), Arc::clone(&limits));
        async move { Ok::<_, Infallible>(answer(request, from.ip(), &desk, &limits).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(LONGEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // What has not sent its head by now has asked for nothing.
            match tokio::time::timeout(head + body, connection).await {
                Ok(served) => served,
                Err(_elapsed) => return,
            }
        }
    };
    if let Err(error) = served {
        if error.is_timeout() {
            desk.counts.count(&Verdict::Refused(Refusal::TooSlow));
        } else if error.is_parse() {
            desk.counts.count(&Verdict::Refused(Refusal::Malformed));
        }
        // Only the kind of it: a parser's words may quote what was sent.
        tracing::debug!(%from, timeout = error.is_timeout(), "a connection broke");
    }
}

async fn answer(
    request: Request<Incoming>,
    from: IpAddr,
    desk: &Arc<Desk>,
    limits: &Limits,
) -> Response<Full<Bytes>> {
    match (request.uri().path(), request.method()) {
        ("/health", &Method::GET) => return reply(&desk.counts.answer(), hyper::StatusCode::OK),
        ("/hook", &Method::POST) => {}
        ("/health" | "/hook", _) => return refuse(desk, Refusal::Method, from),
        (_, _) => return refuse(desk, Refusal::NoSuchPlace, from),
    }
    let (head, body) = request.into_parts();
    let most = usize::try_from(limits.max_body).unwrap_or(usize::MAX);
    // Said before it is sent, where the sender says its length.
    if body.size_hint().lower() > limits.max_body {
        return refuse(desk, Refusal::TooLarge, from);
    }
    let read = tokio::time::timeout(limits.body, Limited::new(body, most).collect()).await;
    let body = match read {
        Err(_elapsed) => return refuse(desk, Refusal::TooSlow, from),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return refuse(desk, Refusal::TooLarge, from);
        }
        Ok(Err(_broken)) => return refuse(desk, Refusal::Malformed, from),
        Ok(Ok(body)) => body.to_bytes(),
    };
    match desk.judge(&head.headers, &body, from).await {
        Verdict::Refused(refusal) => refuse(desk, refusal, from),
        verdict => {
            desk.counts.count(&verdict);
            tracing::debug!(verdict = verdict.word(), %from, "answered");
            reply(&verdict.answer(), verdict.status())
        }
    }
}

fn refuse(desk: &Desk, refusal: Refusal, from: IpAddr) -> Response<Full<Bytes>> {
    let verdict = Verdict::Refused(refusal);
    desk.counts.count(&verdict);
    tracing::info!(why = refusal.word(), %from, "refused a request");
    let mut reply = reply(&verdict.answer(), verdict.status());
    if refusal == Refusal::Method {
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    reply
}

fn reply(answer: &serde_json::Value, status: hyper::StatusCode) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from(format!("{answer}\n"))));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

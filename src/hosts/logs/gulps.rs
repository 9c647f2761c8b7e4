//! Reads a log stream in batches: a single piece at once, the pieces of a flood together.
//! A daemon sends every line separately; waking up for each of ten thousand lines a second costs more than the lines.

use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// The pause between two reads in a flood; unnoticeable, and the socket buffers meanwhile.
const REST: Duration = Duration::from_millis(5);
/// The limit of one read, except for its last piece.
const LARGEST: usize = 64 << 10;

pub(super) struct Gulps {
    body: Incoming,
    /// When everything available was last read.
    emptied: Option<Instant>,
    /// The end or error after the last read.
    over: Option<Result<(), hyper::Error>>,
}

impl Gulps {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            emptied: None,
            over: None,
        }
    }

    /// The data received since the last call, never empty; `None` at the end. Not cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, hyper::Error> {
        if let Some(over) = self.over.take() {
            return over.map(|()| None);
        }
        if self.emptied.is_some_and(|at| at.elapsed() < REST) {
            tokio::time::sleep(REST).await;
        }
        let Some(first) = piece(&mut self.body).await? else {
            return Ok(None);
        };
        let mut gulp = BytesMut::from(first);
        while gulp.len() < LARGEST {
            match at_hand(&mut self.body).await {
                Some(Ok(Some(more))) => gulp.extend_from_slice(&more),
                Some(over) => {
                    self.over = Some(over.map(|_end| ()));
                    break;
                }
                None => {
                    self.emptied = Some(Instant::now());
                    return Ok(Some(gulp.freeze()));
                }
            }
        }
        self.emptied = None;
        Ok(Some(gulp.freeze()))
    }
}

/// The next piece that is data; `None` at the end.
async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, hyper::Error> {
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The same without waiting, after letting the connection's task read once.
async fn at_hand(body: &mut Incoming) -> Option<Result<Option<Bytes>, hyper::Error>> {
    if let Some(there) = piece(body).now_or_never() {
        return Some(there);
    }
    step_back().await;
    piece(body).now_or_never()
}

/// Whoever is ready runs first. Unlike tokio's own `yield_now` no socket is asked in between: that would be a system
/// call for each line.
async fn step_back() {
    let mut has_waited = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

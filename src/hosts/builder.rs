//! The requests of a build: the builder a daemon prefers, the build itself, and its session.
//! Passes messages through; they are interpreted in `runs::step::build`.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bollard::errors::Error;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Either, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::upgrade::Upgraded;
use tokio::sync::mpsc;

use super::Daemon;
use super::connect::engine_error;
use super::listing::encode;
use super::registry::Login;
use super::trouble::Trouble;
use super::wire::{Body, empty};
use crate::domain::fault::Fault;
use crate::domain::host::EngineKind;

const LIMIT: Duration = Duration::from_secs(10);
/// The limit of one message of a build; `BuildKit` collects a step's output for some tenths of a second.
const LONGEST_MESSAGE: usize = 32 << 20;

/// Which builder a daemon has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Only the classic one: Podman, an old API, or disabled by configuration.
    Classic,
    /// `BuildKit`, as far as can be determined without a build.
    BuildKit,
}

/// The messages of a build (JSON, one per line); the build is cancelled when this is dropped.
pub struct Messages {
    body: Incoming,
    rest: BytesMut,
    /// The length of the rest that contains no line end.
    looked: usize,
    is_over: bool,
}

impl Daemon {
    /// A daemon whose settings say `"features": { "buildkit": false }` says so in the answer to a ping; one whose
    /// settings say nothing may (20.10) or may not have the header.
    pub async fn offers(&self) -> Result<Offer, Error> {
        let api = super::engine::parse_api(&self.engine().api).unwrap_or_default();
        if self.engine().kind != EngineKind::Docker || api < (1, 39) {
            return Ok(Offer::Classic);
        }
        let ping = super::wire::within(LIMIT, async { self.wire().get("/_ping").await });
        let ping = ping.await.map_err(engine_error)?;
        let prefers_classic = ping
            .headers()
            .get("Builder-Version")
            .is_some_and(|version| version == "1");
        Ok(if prefers_classic {
            Offer::Classic
        } else {
            Offer::BuildKit
        })
    }

    /// `POST /build`. The body is sent while the answer is read; a piece that is an error ends the request.
    /// `logins`: what the classic builder may show registries; `BuildKit` asks on its session.
    /// Has no limit: whoever waits has one.
    pub async fn build(
        &self,
        query: &[(&str, String)],
        logins: &BTreeMap<String, Option<Login>>,
        body: Option<mpsc::Receiver<io::Result<Bytes>>>,
    ) -> Result<Messages, BuildRefused> {
        let wire = self.change_wire().map_err(BuildRefused::Fault)?;
        let headers = [("Content-Type", "application/x-tar".to_owned())];
        let body: Body = match body {
            Some(mut pieces) => {
                let pieces = futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx));
                let frames = pieces.map(|piece| piece.map(Frame::data));
                Either::Right(StreamBody::new(Box::pin(frames)))
            }
            None => empty(),
        };
        let query: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let path = format!("/build?{}", query.join("&"));
        let asking = async {
            let mut request = wire.post_with(&path, &headers, body)?;
            if logins.values().any(Option::is_some) {
                let config = super::registry::config(logins)?;
                request.headers_mut().insert("X-Registry-Config", config);
            }
            wire.ask(request).await
        };
        let response = asking.await.map_err(|trouble| match trouble {
            Trouble::Refused { .. } => BuildRefused::Daemon(engine_error(trouble)),
            other => BuildRefused::Broken(engine_error(other)),
        })?;
        Ok(Messages {
            body: response.into_body(),
            rest: BytesMut::new(),
            looked: 0,
            is_over: false,
        })
    }

    /// `POST /session`: a stream on which the daemon's builder asks us for things, by gRPC.
    pub async fn session(&self, headers: &[(&'static str, String)]) -> Result<Upgraded, BuildRefused> {
        let wire = self.change_wire().map_err(BuildRefused::Fault)?;
        let opening = async {
            let request = wire.post_with("/session", headers, empty())?;
            wire.hijack(request, "h2c", LIMIT).await
        };
        match opening.await {
            Ok(stream) => Ok(stream.into_inner()),
            Err(trouble @ Trouble::Refused { .. }) => Err(BuildRefused::Daemon(engine_error(trouble))),
            Err(trouble) => Err(BuildRefused::Broken(engine_error(trouble))),
        }
    }
}

/// Why a build was refused.
#[derive(Debug)]
pub enum BuildRefused {
    /// Refused by the daemon, in its words.
    Daemon(Error),
    /// The connection broke, or nothing came.
    Broken(Error),
    Fault(Fault),
}

impl Messages {
    /// The next message; cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let unseen = self.rest.get(self.looked..).unwrap_or_default();
            if let Some(end) = unseen.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(self.looked + end + 1).freeze();
                self.looked = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return Some(Ok(line));
            }
            self.looked = self.rest.len();
            if self.is_over {
                let line = std::mem::take(&mut self.rest).freeze();
                self.looked = 0;
                return (!line.trim_ascii().is_empty()).then_some(Ok(line));
            }
            if self.rest.len() > LONGEST_MESSAGE {
                return Some(Err(self.end(Trouble::TooLarge(LONGEST_MESSAGE))));
            }
            match self.body.frame().await {
                None => self.is_over = true,
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.rest.extend_from_slice(data);
                    }
                }
                Some(Err(fault)) => return Some(Err(self.end(Trouble::Broken(fault)))),
            }
        }
    }

    fn end(&mut self, trouble: Trouble) -> Error {
        self.is_over = true;
        self.rest.clear();
        engine_error(trouble)
    }
}

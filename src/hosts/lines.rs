//! Splits a streamed answer at line ends: events and statistics are one JSON object per line.
//! Holds at most one line, up to a limit; does not interpret it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::trouble::Trouble;
use super::wire::{ReadWire, within};

/// A streamed body, split at line ends; holds at most one line, up to a limit.
pub(super) struct Lines {
    body: Incoming,
    /// What came after the last line end.
    rest: BytesMut,
    /// The unprocessed rest of the last frame.
    ahead: Bytes,
    longest: usize,
}

impl Lines {
    fn new(body: Incoming, longest: usize) -> Self {
        Self {
            body,
            rest: BytesMut::new(),
            ahead: Bytes::new(),
            longest,
        }
    }

    /// Sends the request; the limit applies to the head of the answer only.
    pub(super) async fn get(
        wire: &ReadWire,
        path: &str,
        limit: Duration,
        longest: usize,
    ) -> Result<Self, Trouble> {
        let response = within(limit, wire.get(path)).await?;
        Ok(Self::new(response.into_body(), longest))
    }

    /// The next line without its end; `None` at the end of the body. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Trouble> {
        loop {
            if let Some(line) = self.cut() {
                return Ok(Some(line));
            }
            if self.rest.len() > self.longest {
                return Err(Trouble::TooLarge(self.longest));
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(Trouble::Broken)?.into_data() {
                        self.ahead = data;
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// Whether another line is available without waiting.
    pub(super) fn has_more(&self) -> bool {
        self.ahead.contains(&b'\n')
    }

    fn cut(&mut self) -> Option<Bytes> {
        while let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n') {
            let piece = self.ahead.split_to(end + 1);
            let piece = piece.slice(..end);
            let line = if self.rest.is_empty() {
                piece
            } else {
                self.rest.extend_from_slice(&piece);
                self.rest.split().freeze()
            };
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
        self.rest.extend_from_slice(&self.ahead);
        self.ahead = Bytes::new();
        None
    }
}

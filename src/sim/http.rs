//! Requests and answers as Docker's API has them: paths, queries, error bodies, streams, upgrades.
//! Knows no containers; who answers what is `routes`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Waiting pieces of a stream; the producer waits when the client does not read.
const STREAM_PIECES: usize = 16;

/// What goes out: known at once, or piece by piece.
#[derive(Debug)]
pub(super) enum Sent {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Bytes>),
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(Some(bytes)) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Self::Whole(None) => SizeHint::with_exact(0),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

pub(super) type Reply = Response<Sent>;

/// An error in the daemon's own words.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

pub(super) type Answer = Result<Reply, Refused>;

pub(super) fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused {
        status,
        message: message.into(),
    }
}

pub(super) fn bad(message: impl Into<String>) -> Refused {
    refused(StatusCode::BAD_REQUEST, message)
}

pub(super) fn missing(message: impl Into<String>) -> Refused {
    refused(StatusCode::NOT_FOUND, message)
}

pub(super) fn conflict(message: impl Into<String>) -> Refused {
    refused(StatusCode::CONFLICT, message)
}

pub(super) fn broken(message: impl Into<String>) -> Refused {
    refused(StatusCode::INTERNAL_SERVER_ERROR, message)
}

impl Refused {
    pub(super) fn into_reply(self) -> Reply {
        json_reply(self.status, &json!({ "message": self.message }))
    }
}

pub(super) fn json_reply(status: StatusCode, value: &Value) -> Reply {
    let mut text = value.to_string();
    text.push('\n');
    reply(status, "application/json", Sent::Whole(Some(text.into())))
}

pub(super) fn ok(value: &Value) -> Reply {
    json_reply(StatusCode::OK, value)
}

pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Sent::Whole(None));
    *reply.status_mut() = status;
    reply
}

pub(super) fn reply(status: StatusCode, content: &'static str, sent: Sent) -> Reply {
    let mut reply = Response::new(sent);
    *reply.status_mut() = status;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content));
    reply
}

/// An answer that goes on; the producer ends it by dropping the sender, and learns of a client that left by a failed send.
pub(super) fn stream(content: &'static str) -> (mpsc::Sender<Bytes>, Reply) {
    let (pieces, receiver) = mpsc::channel(STREAM_PIECES);
    (pieces, reply(StatusCode::OK, content, Sent::Stream(receiver)))
}

pub(super) fn switching(content: &'static str) -> Reply {
    let mut reply = reply(StatusCode::SWITCHING_PROTOCOLS, content, Sent::Whole(None));
    reply
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    reply
        .headers_mut()
        .insert(UPGRADE, HeaderValue::from_static("tcp"));
    reply
}

/// A request taken apart.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Without the version, decoded.
    pub(super) path: Vec<String>,
    query: BTreeMap<String, Vec<String>>,
    pub(super) body: Incoming,
    /// Present when the client wants the bare connection afterwards.
    pub(super) upgrade: Option<OnUpgrade>,
}

impl Ask {
    pub(super) fn read(mut request: Request<Incoming>) -> Self {
        let upgrade = request
            .headers()
            .contains_key(UPGRADE)
            .then(|| hyper::upgrade::on(&mut request));
        let mut path: Vec<String> = Vec::new();
        let text = request.uri().path();
        for (place, part) in text.split('/').filter(|part| !part.is_empty()).enumerate() {
            let version = place == 0
                && part
                    .strip_prefix('v')
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            if !version {
                path.push(decoded(part));
            }
        }
        let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in request.uri().query().unwrap_or_default().split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !key.is_empty() {
                query
                    .entry(decoded(key))
                    .or_default()
                    .push(decoded(&value.replace('+', " ")));
            }
        }
        let (parts, body) = request.into_parts();
        Self {
            method: parts.method,
            path,
            query,
            body,
            upgrade,
        }
    }

    pub(super) fn query(&self, key: &str) -> Option<&str> {
        self.query.get(key)?.first().map(String::as_str)
    }

    /// Docker takes anything but these as yes.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.query(key)
            .is_some_and(|value| !matches!(value, "" | "0" | "false" | "False" | "no" | "none"))
    }

    pub(super) fn all(&self, key: &str) -> &[String] {
        self.query.get(key).map_or(&[], Vec::as_slice)
    }

    /// `filters={"label":["a=b"]}`, or the older `{"label":{"a=b":true}}`.
    pub(super) fn filters(&self) -> Result<Filters, Refused> {
        let Some(text) = self.query("filters").filter(|text| !text.is_empty()) else {
            return Ok(Filters::default());
        };
        let value: Value = serde_json::from_str(text).map_err(|_error| broken(go_words(text)))?;
        let mut all = BTreeMap::new();
        for (key, values) in value.as_object().into_iter().flatten() {
            let wanted: Vec<String> = match values {
                Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                Value::Object(map) => map.keys().cloned().collect(),
                _ => Vec::new(),
            };
            all.insert(key.clone(), wanted);
        }
        Ok(Filters(all))
    }

    pub(super) async fn bytes(&mut self) -> Result<Bytes, Refused> {
        let body = (&mut self.body).collect().await;
        body.map(http_body_util::Collected::to_bytes)
            .map_err(|error| bad(error.to_string()))
    }

    /// The body as JSON; nothing at all is `null`.
    pub(super) async fn json(&mut self) -> Result<Value, Refused> {
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|_error| broken(go_words(&String::from_utf8_lossy(&bytes))))
    }
}

/// What Go says of text that is no JSON at all.
fn go_words(text: &str) -> String {
    let first = text.trim_start().chars().next();
    first.map_or_else(
        || "unexpected end of JSON input".to_owned(),
        |letter| format!("invalid character '{letter}' looking for beginning of value"),
    )
}

/// Conditions of a list: of one key any, of several keys all.
#[derive(Debug, Default)]
pub(super) struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    pub(super) fn get(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Nothing asked for, or one of what is asked for.
    pub(super) fn admits(&self, key: &str, test: impl Fn(&str) -> bool) -> bool {
        let wanted = self.get(key);
        wanted.is_empty() || wanted.iter().any(|value| test(value))
    }

    /// Labels are the exception: all of them must be there; `label!` must not.
    pub(super) fn admits_labels(&self, labels: &Value) -> bool {
        let has = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).and_then(Value::as_str) == Some(value),
            None => labels.get(wanted).is_some(),
        };
        self.get("label").iter().all(|wanted| has(wanted))
            && !self.get("label!").iter().any(|unwanted| has(unwanted))
    }
}

/// `%2F` → `/`; what is no escape stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut ahead = rest.clone();
        let digits = (ahead.next().and_then(hex), ahead.next().and_then(hex));
        if let (Some(high), Some(low)) = digits {
            bytes.push(high * 16 + low);
            rest = ahead;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_what_is_none_stays() {
        assert_eq!(decoded("a%2Fb%3ac%zz%4"), "a/b:c%zz%4");
    }

    #[test]
    fn several_labels_must_all_be_there() {
        let filters = Filters(BTreeMap::from([(
            "label".to_owned(),
            vec!["a".to_owned(), "b=1".to_owned()],
        )]));
        assert!(filters.admits_labels(&json!({"a": "", "b": "1"})));
        assert!(!filters.admits_labels(&json!({"a": "", "b": "2"})));
    }
}

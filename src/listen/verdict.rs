//! The possible outcomes of a request to the listener: its HTTP status, and its name in the counters.
//! Answers describe the delivery, never secrets or paths of this machine.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::domain::ids::{RunId, ServiceName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Started(Vec<(ServiceName, RunId)>),
    /// The forge tries whether somebody listens.
    Pong,
    /// Proven and understood, and nobody wants it. No failure: GitLab switches off a hook that fails four times in a row.
    Ignored(&'static str),
    Refused(Refusal),
}

/// Why nothing was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Refusal {
    NoSuchPlace,
    Method,
    TooLarge,
    TooSlow,
    Unsigned,
    Forged,
    NotJson,
    Malformed,
    UnknownEvent,
    UnknownRepository,
    Replayed,
    Busy,
    /// It was proven and wanted, and could not be started: sent again, it may be.
    Failed,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NoSuchPlace | Self::UnknownRepository => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unsigned => StatusCode::UNAUTHORIZED,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::UnknownEvent => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Replayed => StatusCode::CONFLICT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// In counts, answers and logs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::NoSuchPlace => "no such place",
            Self::Method => "method",
            Self::TooLarge => "too large",
            Self::TooSlow => "too slow",
            Self::Unsigned => "unsigned",
            Self::Forged => "wrongly signed",
            Self::NotJson => "not JSON",
            Self::Malformed => "malformed",
            Self::UnknownEvent => "unknown event",
            Self::UnknownRepository => "unknown repository",
            Self::Replayed => "replayed",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::NoSuchPlace => "webhooks go to /hook",
            Self::Method => "webhooks are sent with POST",
            Self::TooLarge => "it is larger than `max_body` of [listen]",
            Self::TooSlow => "it did not arrive in time",
            Self::Unsigned => "give the webhook a secret",
            Self::Forged => "the webhook's secret matches none of the configured ones",
            Self::NotJson => "choose the content type application/json",
            Self::Malformed => "it is not what the forge documents",
            Self::UnknownEvent => "only push events start runs: select only these for the webhook",
            Self::UnknownRepository => "no [services.trigger] with this secret names the repository",
            Self::Replayed => "this delivery was already accepted",
            Self::Busy => "too many deliveries at once: send it again later",
            Self::Failed => "it could not be started; the listener's log says why, and it may be sent again",
        }
    }
}

impl Verdict {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Started(_) => StatusCode::ACCEPTED,
            Self::Pong | Self::Ignored(_) => StatusCode::OK,
            Self::Refused(refusal) => refusal.status(),
        }
    }

    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Started(_) => "started",
            Self::Pong => "ping",
            Self::Ignored(_) => "ignored",
            Self::Refused(refusal) => refusal.word(),
        }
    }

    pub(super) fn answer(&self) -> Value {
        match self {
            Self::Started(runs) => {
                let runs: Vec<Value> = runs
                    .iter()
                    .map(|(service, run)| json!({ "service": service, "run": run }))
                    .collect();
                json!({ "started": runs })
            }
            Self::Pong => json!({ "pong": true }),
            Self::Ignored(why) => json!({ "ignored": why }),
            Self::Refused(refusal) => json!({ "refused": refusal.word(), "hint": refusal.hint() }),
        }
    }
}

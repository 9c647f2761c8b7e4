//! One daemon as the fleet sees it: its link, its engine, its load.
//! Plain data, written by `hosts::actor`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::units::{Bytes, Stamp};

/// The state of the connection to a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// Connecting for the first time.
    Connecting { since: Stamp },
    /// Answering; `latency` is the last ping's round trip.
    Live { since: Stamp, latency: Option<Duration> },
    /// The connection was lost or never succeeded; its rows stay, marked stale. Retried at `retry_at`.
    Lost {
        since: Stamp,
        why: Fault,
        retry_at: Option<Stamp>,
    },
    /// Needs a person (passphrase, FIDO touch, second factor): `Enter` lends the terminal to ssh.
    NeedsPerson { since: Stamp, why: Fault },
}

impl Link {
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }
}

/// What kind of engine answers behind Docker's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    Docker,
    Podman,
    /// The simulated engine of `pilothouse demo`.
    Simulated,
}

/// What a daemon said of itself when it was reached: `GET /version`, and `GET /info` where that is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    pub kind: EngineKind,
    /// `20.10.24`
    pub version: String,
    /// The API version negotiated with it: `1.41`.
    pub api: String,
    /// The distribution, if `/info` tells it; otherwise `linux`.
    pub os: String,
    /// In Go's and images' notation: `amd64`, `arm64`.
    pub arch: String,
    pub kernel: String,
    #[serde(flatten)]
    pub info: Info,
}

/// What only `GET /info` tells, or why that is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Info {
    // First: an installation's fields would be read past it.
    Unknown { info_unknown: Uninformed },
    Known(Installation),
}

/// The daemon's machine and how it is set up there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Docker's own id of the daemon, never empty: two hosts with one id are one daemon.
    pub daemon_id: Option<String>,
    /// The host name the daemon runs under.
    pub hostname: String,
    pub cpus: u32,
    pub memory: Bytes,
    pub storage_driver: String,
    pub logging_driver: String,
    /// 1 or 2.
    pub cgroup: u8,
    pub data_root: String,
}

/// Why it is unknown what `GET /info` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Uninformed {
    #[error("not answered yet")]
    NotAsked,
    /// Asked again, it would say the same: a proxy stands before the daemon.
    #[error("{0}")]
    Denied(String),
    /// Trying again later may help.
    #[error("{0}")]
    Unanswered(String),
}

impl Info {
    /// Asked again, it may be known.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Unknown {
                info_unknown: Uninformed::NotAsked | Uninformed::Unanswered(_),
            } => true,
            Self::Known(_)
            | Self::Unknown {
                info_unknown: Uninformed::Denied(_),
            } => false,
        }
    }
}

impl Engine {
    pub fn installation(&self) -> Result<&Installation, &Uninformed> {
        match &self.info {
            Info::Known(installation) => Ok(installation),
            Info::Unknown { info_unknown } => Err(info_unknown),
        }
    }

    /// By which daemons are told apart, whatever they are called; `None` if it is unknown.
    #[must_use]
    pub fn daemon_id(&self) -> Option<&str> {
        self.installation().ok()?.daemon_id.as_deref()
    }

    /// Where its images and volumes are, or why that is unknown.
    pub fn data_root(&self) -> Result<&str, String> {
        match self.installation() {
            Ok(known) if known.data_root.is_empty() => {
                Err("GET /info does not name the data root".to_owned())
            }
            Ok(known) => Ok(&known.data_root),
            Err(unknown) => Err(format!("GET /info, which names the data root: {unknown}")),
        }
    }
}

/// A figure, or the reason why it is unknown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reading<T> {
    Known(T),
    Unknown { why: String },
}

impl<T: fmt::Display> fmt::Display for Reading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Unknown { .. } => f.pad("–"),
        }
    }
}

/// Load and disk of a host, from `/proc` over ssh, or measured by exec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostLoad {
    pub at: Stamp,
    /// Percent of all its cores together, 0–100.
    pub cpu: Reading<f32>,
    /// Used and total, without caches.
    pub memory: Reading<(Bytes, Bytes)>,
    /// Used and total of the file system under Docker's data root.
    pub disk: Reading<(Bytes, Bytes)>,
}

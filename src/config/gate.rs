//! When a new replica counts as ready, and its probe.
//! Serialisable, because it is part of plans.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Running without a restart, healthy where a check is declared, and answering its probe where one is, for at least
/// `steady`, within `within`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub steady: Duration,
    pub within: Duration,
    #[serde(default)]
    pub probe: Option<Probe>,
    /// The probe must pass so often in a row before it counts.
    #[serde(default = "once")]
    pub times: u32,
    /// Of one probe.
    #[serde(default = "patience")]
    pub timeout: Duration,
}

fn once() -> u32 {
    1
}

/// A person waiting for a page has gone by then.
fn patience() -> Duration {
    Duration::from_secs(2)
}

impl Gate {
    /// As it can be used on this machine: a file of authorities that another one named is not read here.
    #[must_use]
    pub fn with_files_of(mut self, here: &Self) -> Self {
        let ca = match &here.probe {
            Some(Probe::Http(probe)) => probe.tls.as_ref().and_then(|tls| tls.ca.clone()),
            Some(Probe::Tcp(_)) | None => None,
        };
        if let Some(Probe::Http(probe)) = &mut self.probe
            && let Some(tls) = &mut probe.tls
        {
            tls.ca = ca;
        }
        self
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            steady: Duration::from_secs(3),
            within: Duration::from_mins(1),
            probe: None,
            times: once(),
            timeout: patience(),
        }
    }
}

/// What asks a replica, at its own address in its own network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    Http(HttpProbe),
    /// Something listens on this port for others, not on the loopback alone.
    Tcp(u16),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    pub tls: Option<ProbeTls>,
    /// Begins with `/`.
    pub path: String,
    pub port: u16,
    /// What the request says it is for; with TLS also the name that is asked for and that the certificate must have.
    pub host: Option<String>,
    /// Absent: any from 200 to 399.
    pub status: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeTls {
    /// PEM; absent: the system's authorities.
    pub ca: Option<PathBuf>,
}

impl HttpProbe {
    #[must_use]
    pub fn is_wanted(&self, status: u16) -> bool {
        match self.status {
            Some(wanted) => status == wanted,
            None => (200..400).contains(&status),
        }
    }
}

impl Probe {
    /// `http :8080/healthz`, `tcp :5432`
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Tcp(port) => format!("tcp :{port}"),
            Self::Http(http) => {
                let scheme = if http.tls.is_some() { "https" } else { "http" };
                let host = http.host.as_deref().unwrap_or_default();
                format!("{scheme} {host}:{}{}", http.port, http.path)
            }
        }
    }
}

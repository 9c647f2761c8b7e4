//! Where a daemon listens and how to connect, as given by the configuration or a Docker context.
//! Data only; `hosts::connect` connects.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A daemon's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// `unix:///var/run/docker.sock`
    Unix(PathBuf),
    /// `tcp://10.0.0.7:2375`; with `tls`, https with both sides proven.
    Tcp {
        /// A name or an address; IPv6 in brackets.
        host: String,
        port: u16,
        tls: Option<Tls>,
    },
    /// `ssh://user@host:port/path/of/docker.sock`, through the user's own `ssh`.
    Ssh(Ssh),
}

/// PEM files: the authority that signed the daemon's certificate, and our own certificate and key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What is handed to `ssh`; what is absent is left to the user's `ssh_config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ssh {
    pub user: Option<String>,
    /// As `ssh` takes it: IPv6 without brackets.
    pub host: String,
    pub port: Option<u16>,
    /// The daemon's socket on the far side; `/var/run/docker.sock` where the URL has no path.
    pub socket: PathBuf,
    /// Use the user's own `ControlMaster` instead of a connection of our own.
    pub reuse_master: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port, tls: _ } => write!(f, "tcp://{host}:{port}"),
            Self::Ssh(ssh) => {
                write!(f, "ssh://")?;
                if let Some(user) = &ssh.user {
                    write!(f, "{user}@")?;
                }
                if ssh.host.contains(':') {
                    write!(f, "[{}]", ssh.host)?;
                } else {
                    write!(f, "{}", ssh.host)?;
                }
                if let Some(port) = ssh.port {
                    write!(f, ":{port}")?;
                }
                Ok(())
            }
        }
    }
}

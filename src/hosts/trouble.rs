//! What can go wrong with a request to a daemon, and the message for it.
//! Classifies only; adds a remedy if one is known.

use std::io;
use std::time::Duration;

use tokio_rustls::rustls;

use super::tls;
use crate::domain::endpoint::Endpoint;
use crate::domain::fault::Fault;
use crate::domain::order::Access;

#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Open(#[source] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[source] hyper::Error),
    #[error("no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// A stream that said nothing of it.
    #[error("it no longer answers")]
    Lost,
    /// The daemon's own words.
    #[error("{message}")]
    Refused { status: u16, message: String },
    #[error("unexpected answer: {0}")]
    Unreadable(String),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Invalid(String),
    #[error("{}", Access::REFUSED)]
    ReadOnly,
}

impl Trouble {
    /// The daemon will give the same answer next time.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, message } => {
                matches!(status, 400..=499 | 501) || message.contains("does not support reading")
            }
            Self::ReadOnly | Self::Invalid(_) | Self::TooLarge(_) => true,
            Self::Open(_) | Self::Broken(_) | Self::Late(_) | Self::Lost | Self::Unreadable(_) => false,
        }
    }

    /// As a fault of trying `what`, which names the thing and the place.
    pub(super) fn fault(&self, what: impl Into<String>, endpoint: &Endpoint) -> Fault {
        let (why, hint) = self.words(endpoint);
        let fault = Fault::new(what, why);
        match hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }

    fn words(&self, endpoint: &Endpoint) -> (String, Option<String>) {
        match self {
            Self::Open(fault) => opening(fault, endpoint),
            Self::Broken(fault) => breaking(fault),
            Self::Late(_) => (
                self.to_string(),
                Some(
                    "the daemon may hang or be overloaded; see its log on the host (journalctl -u docker)"
                        .to_owned(),
                ),
            ),
            Self::Refused { status: 400, message } if message.contains("HTTP request to an HTTPS server") => {
                (
                    "the daemon requires TLS".to_owned(),
                    Some("give tls = { ca, cert, key } for this host".to_owned()),
                )
            }
            Self::Unreadable(_) => (
                self.to_string(),
                Some("is it Docker's API that listens there?".to_owned()),
            ),
            Self::Lost | Self::Refused { .. } | Self::TooLarge(_) | Self::Invalid(_) => {
                (self.to_string(), None)
            }
            Self::ReadOnly => (self.to_string(), Some(Access::REMEDY.to_owned())),
        }
    }
}

fn opening(fault: &io::Error, endpoint: &Endpoint) -> (String, Option<String>) {
    if let Some(refused) = fault
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return tls::words(refused);
    }
    let hint = match (fault.kind(), endpoint) {
        (io::ErrorKind::PermissionDenied, Endpoint::Unix(_)) => {
            "add your user to the group of the socket (sudo usermod -aG docker $USER), then log in again"
        }
        (io::ErrorKind::PermissionDenied, Endpoint::Ssh(_)) => {
            "add the ssh user to the docker group on the host (sudo usermod -aG docker USER)"
        }
        (io::ErrorKind::NotFound, Endpoint::Unix(_)) => {
            "is the daemon installed and running (systemctl status docker)? is the path right?"
        }
        (io::ErrorKind::ConnectionRefused, Endpoint::Unix(_)) => {
            "the socket exists but nothing listens on it: start the daemon (systemctl start docker)"
        }
        (io::ErrorKind::ConnectionRefused, Endpoint::Tcp { .. }) => {
            "nothing listens on that port: is the daemon running with -H tcp://…? is the port right (2376 with TLS, 2375 without)?"
        }
        (io::ErrorKind::TimedOut, _) => "is the host up, and does a firewall let this port through?",
        (_, Endpoint::Tcp { .. }) if is_lookup(fault) => {
            "the host name cannot be resolved: check it, or use an address"
        }
        (_, Endpoint::Unix(_) | Endpoint::Tcp { .. } | Endpoint::Ssh(_)) => return (bare(fault), None),
    };
    (bare(fault), Some(hint.to_owned()))
}

fn is_lookup(fault: &io::Error) -> bool {
    fault.to_string().contains("lookup")
}

/// `connection refused`, not `Connection refused (os error 111)`.
fn bare(fault: &io::Error) -> String {
    let text = fault.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

fn breaking(fault: &hyper::Error) -> (String, Option<String>) {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(fault);
    while let Some(error) = cause {
        if let Some(refused) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return tls::words(refused);
        }
        cause = error.source();
    }
    if fault.is_parse() {
        return (
            "the answer is not HTTP".to_owned(),
            Some("does the daemon require TLS there? give tls = { ca, cert, key } for this host".to_owned()),
        );
    }
    let cause = std::error::Error::source(fault)
        .map_or_else(|| fault.to_string(), |inner| format!("{fault}: {inner}"));
    (format!("the connection broke ({cause})"), None)
}

/// bollard's errors in the daemon's own words, without the wrapping.
#[must_use]
pub fn engine_words(fault: &bollard::errors::Error) -> String {
    use bollard::errors::Error;
    match fault {
        Error::DockerResponseServerError { message, .. } => message.clone(),
        Error::DockerStreamError { error } => error.clone(),
        Error::RequestTimeoutError => "no answer in time".to_owned(),
        Error::IOError { err } => bare(err),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_may_not_be_opened_says_which_group_to_join() {
        let endpoint = Endpoint::Unix("/var/run/docker.sock".into());
        let trouble = Trouble::Open(io::Error::from_raw_os_error(13));
        let fault = trouble.fault("reach local at unix:///var/run/docker.sock", &endpoint);
        assert_eq!(fault.why, "permission denied");
        assert!(fault.hint.unwrap().contains("usermod -aG docker"));
    }

    #[test]
    fn a_refused_port_says_what_to_check() {
        let endpoint = Endpoint::Tcp {
            host: "h".into(),
            port: 2375,
            tls: None,
        };
        let fault = Trouble::Open(io::Error::from_raw_os_error(111)).fault("reach h", &endpoint);
        assert_eq!(fault.to_string(), "could not reach h: connection refused");
        assert!(fault.hint.unwrap().contains("-H tcp://"));
    }
}

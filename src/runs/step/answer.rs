//! What a daemon's refusal or silence means for a run.
//! After a refusal the state is known; after silence it is unknown whether the request was carried out.

use bollard::errors::Error;

use crate::domain::fault::Fault;
use crate::hosts::{Daemon, Unidentified};
use crate::release::record::{Failure, FailureKind};

/// `what` names the thing; the host is added.
pub(super) fn failure(daemon: &Daemon, what: &str, error: &Error) -> Failure {
    let what = format!("{what} on {}", daemon.name());
    match error {
        Error::DockerResponseServerError { message, .. } => {
            Failure::of(FailureKind::Refused, Fault::new(what, message.trim()))
        }
        Error::DockerStreamError { error } => {
            Failure::of(FailureKind::Refused, Fault::new(what, error.trim()))
        }
        Error::RequestTimeoutError => Failure::of(
            FailureKind::Unreachable,
            Fault::new(what, "the daemon did not answer in time"),
        ),
        other => Failure::of(FailureKind::Unreachable, Fault::new(what, other)),
    }
}

/// It is not known which daemon this is.
pub(in crate::runs) fn unidentified(why: Unidentified) -> Failure {
    match why {
        Unidentified::Denied(fault) => Failure::refused(fault),
        Unidentified::Unanswered(fault) => Failure::of(FailureKind::Unreachable, fault),
    }
}

/// The HTTP status, if the daemon answered.
pub(super) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// The client for changing requests.
pub(super) fn change(daemon: &Daemon) -> Result<&bollard::Docker, Failure> {
    daemon.change().map_err(Failure::refused)
}

//! Actions on a container: start, stop, restart, kill, pause, unpause, remove.
//! Uses `Daemon::change`, so read-only mode refuses it; after a lost answer the container's state is read again.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{
    KillContainerOptions, RemoveContainerOptionsBuilder, RestartContainerOptions, StartContainerOptions,
    StopContainerOptions,
};
use serde_json::Value;

use super::connect::Daemon;
use super::trouble::engine_words;
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::domain::order::Verb;

/// Added to the container's stop grace, for signalling, unmounting and freeing its network.
const MARGIN: Duration = Duration::from_secs(30);
/// Docker's own where the container has none.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// `name` is used in messages. Succeeds if the daemon confirms, or if an inspection shows that it was done.
pub async fn act(daemon: &Daemon, id: &ContainerId, name: Option<&str>, verb: Verb) -> Result<(), Fault> {
    let docker = daemon.change()?;
    let what = format!(
        "{} {} on {}",
        verb.word(),
        name.unwrap_or(id.short()),
        daemon.name()
    );
    let grace = match verb {
        Verb::Stop | Verb::Restart => look(daemon, id).await.and_then(|seen| seen.grace),
        Verb::Start | Verb::Kill | Verb::Pause | Verb::Unpause | Verb::Remove => None,
    };
    let docker = docker.clone().with_timeout(stop_limit(grace));
    match send(&docker, id.as_str(), verb).await {
        Ok(()) => Ok(()),
        Err(fault) if is_unknown(&fault) => match look(daemon, id).await {
            Some(seen) if verb == Verb::Remove || !seen.is(verb) => Err(Fault::new(
                what,
                format!("{}; the container is now {}", engine_words(&fault), seen.word),
            )
            .hint("the daemon may still be doing it: check the row before trying again")),
            Some(_) => Ok(()),
            None if verb == Verb::Remove => Ok(()),
            None => Err(Fault::new(
                what,
                format!("{}; it is unknown whether it was done", engine_words(&fault)),
            )),
        },
        Err(fault) => Err(refused(what, verb, &fault)),
    }
}

/// How long a daemon may take to stop a container with this grace of its own.
#[must_use]
pub fn stop_limit(grace: Option<Duration>) -> Duration {
    grace.unwrap_or(DEFAULT_GRACE).saturating_add(MARGIN)
}

async fn send(docker: &bollard::Docker, id: &str, verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Start => docker.start_container(id, None::<StartContainerOptions>).await,
        Verb::Stop => docker.stop_container(id, None::<StopContainerOptions>).await,
        Verb::Restart => {
            docker
                .restart_container(id, None::<RestartContainerOptions>)
                .await
        }
        Verb::Kill => docker.kill_container(id, None::<KillContainerOptions>).await,
        Verb::Pause => docker.pause_container(id).await,
        Verb::Unpause => docker.unpause_container(id).await,
        Verb::Remove => {
            let gently = RemoveContainerOptionsBuilder::default()
                .force(false)
                .v(false)
                .build();
            docker.remove_container(id, Some(gently)).await
        }
    }
}

/// Whether the outcome is unknown: without an answer it may have been done.
fn is_unknown(fault: &Error) -> bool {
    matches!(
        fault,
        Error::RequestTimeoutError | Error::HyperResponseError { .. } | Error::IOError { .. }
    )
}

fn refused(what: String, verb: Verb, fault: &Error) -> Fault {
    let words = engine_words(fault);
    let hint = match (verb, fault) {
        (Verb::Remove, Error::DockerResponseServerError { status_code: 409, .. }) => Some("stop it first"),
        (
            Verb::Kill | Verb::Pause,
            Error::DockerResponseServerError {
                status_code: 409 | 500,
                ..
            },
        ) => Some("it must be running for that"),
        (_, Error::DockerResponseServerError { status_code: 404, .. }) => Some("it was removed meanwhile"),
        (Verb::Start, Error::DockerResponseServerError { message, .. })
            if message.contains("port is already allocated") =>
        {
            Some("another container or process of the host has that port")
        }
        _ => None,
    };
    let refused = Fault::new(what, words);
    match hint {
        Some(hint) => refused.hint(hint),
        None => refused,
    }
}

struct Seen {
    word: String,
    grace: Option<Duration>,
}

impl Seen {
    /// Whether the container is in the state the verb leads to.
    fn is(&self, verb: Verb) -> bool {
        match verb {
            Verb::Start | Verb::Unpause => self.word == "running",
            // Running before and after: nobody can tell.
            Verb::Restart | Verb::Remove => false,
            Verb::Stop | Verb::Kill => self.word == "exited",
            Verb::Pause => self.word == "paused",
        }
    }
}

async fn look(daemon: &Daemon, id: &ContainerId) -> Option<Seen> {
    let seen: Value = daemon
        .wire()
        .get_json(&format!("/containers/{id}/json"), LOOK_LIMIT)
        .await
        .ok()?;
    let text = |path: &str| {
        seen.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Some(Seen {
        word: text("/State/Status"),
        grace: seen
            .pointer("/Config/StopTimeout")
            .and_then(Value::as_u64)
            .map(Duration::from_secs),
    })
}

//! Connects to all configured hosts at once, for commands without a screen.
//! An unreachable host does not hide the others: it is reported on stderr and in the exit code.

use tokio::task::JoinSet;

use super::out::{self, Exit};
use crate::config;
use crate::domain::adoption::Adoption;
use crate::domain::container::Container;
use crate::domain::fault::Fault;
use crate::domain::order::Access;
use crate::hosts::connect::{self, Daemon, Unreached};

/// What each host is asked.
#[derive(Clone, Copy)]
pub(super) enum Question {
    /// Its version and its containers.
    Containers,
    /// Also `GET /info`, which takes a loaded daemon seconds.
    Everything,
}

/// What one host answered.
pub(super) struct Answer {
    pub(super) host: config::Host,
    pub(super) result: Result<Seen, Fault>,
}

/// A host that answered.
pub(super) struct Seen {
    pub(super) daemon: Daemon,
    pub(super) containers: Vec<Container>,
    /// What was adopted there.
    pub(super) adopted: Vec<Adoption>,
}

/// Connects to every host and lists its containers, all at once; in the order of the configuration.
pub(super) async fn all(hosts: &[config::Host], access: Access, question: Question) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    for (place, host) in hosts.iter().cloned().enumerate() {
        asked.spawn(async move {
            (
                place,
                Answer {
                    result: ask(&host, access, question).await,
                    host,
                },
            )
        });
    }
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn ask(host: &config::Host, access: Access, question: Question) -> Result<Seen, Fault> {
    let daemon = match question {
        Question::Containers => connect::reach(host, access).await,
        Question::Everything => connect::connect(host, access).await,
    };
    let daemon = daemon.map_err(Unreached::fault)?;
    let (containers, adopted) = daemon.containers().await?;
    Ok(Seen {
        daemon,
        containers,
        adopted,
    })
}

/// Names those that did not answer on stderr; the exit code that follows.
pub(super) fn say_missing(answers: &[Answer]) -> Exit {
    let faults: Vec<&Fault> = answers
        .iter()
        .filter_map(|answer| answer.result.as_ref().err())
        .collect();
    for fault in &faults {
        out::fault(fault);
    }
    if faults.is_empty() {
        Exit::Done
    } else {
        Exit::Unreachable
    }
}

//! A test: one command in a container of exactly the image that was built, and what came out.
//! The container is removed whatever happens; one that outlived its run is found by its labels.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig, HostConfigLogConfig};
use bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
    WaitContainerOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{Lines, Progress, cancelled};
use crate::config::service::Test;
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::domain::ids::{ImageId, RunId};
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;

/// The value of `label::ROLE` on what runs here.
pub const ROLE: &str = "test";

/// What a cancelled test may still do before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// A container that has ended has written its last line; the rest is on its way.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// Removing takes a daemon under load seconds.
const TIDY_LIMIT: Duration = Duration::from_mins(1);
/// On the daemon's disk, for one test: the lines that count were streamed before that.
const LOG_FILE: &str = "16m";

/// How a test ended that could be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestResult {
    Passed,
    Failed {
        code: i64,
    },
    /// The kernel killed something in it for memory, and it failed.
    OutOfMemory {
        code: i64,
    },
    /// It was killed because it took longer than it may.
    TimedOut {
        limit: Duration,
    },
}

impl TestResult {
    #[must_use]
    pub fn passed(&self) -> bool {
        *self == Self::Passed
    }

    /// `exit code 3`, for the fault of a stage that failed.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Passed => "passed".to_owned(),
            Self::Failed { code } => format!("exit code {code}"),
            Self::OutOfMemory { code } => format!("out of memory (exit code {code})"),
            Self::TimedOut { limit } => format!("still running after {} s: killed", limit.as_secs()),
        }
    }
}

/// Runs the test and takes its exit code. A fault: it could not be run, or nobody knows how it ended.
pub async fn test(
    daemon: &Daemon,
    image: &ImageId,
    test: &Test,
    run: &RunId,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<TestResult, Fault> {
    let what = format!("run the test {} on {}", test.name, daemon.name());
    let daemon = daemon.bulk().await.map_err(crate::hosts::Unreached::fault)?;
    let docker = daemon.change()?;
    let fault = |error: Error| Fault::new(&what, engine_words(&error));
    if cancel.is_cancelled() {
        return Err(cancelled(&what));
    }
    // Not given up midway: a container whose id nobody knows could not be removed.
    let name = format!("pilothouse-test-{run}-{}", test.name);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let created = docker
        .create_container(Some(options), body(image, test, run))
        .await
        .map_err(fault)?;
    let container = Container {
        docker,
        id: created.id,
        limit: test.timeout,
    };
    let outcome = container.work(progress, cancel, &what).await;
    let removed = tokio::time::timeout(TIDY_LIMIT, remove(docker, &container.id)).await;
    let left = match removed {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(engine_words(&error)),
        Err(_elapsed) => Some("no answer in time".to_owned()),
    };
    if let Some(why) = left {
        progress.line(&format!("could not remove the container {name}: {why}"));
    }
    outcome
}

fn body(image: &ImageId, test: &Test, run: &RunId) -> ContainerCreateBody {
    let labels = HashMap::from([
        (label::SCHEMA.to_owned(), "1".to_owned()),
        (label::ROLE.to_owned(), ROLE.to_owned()),
        (label::RUN.to_owned(), run.to_string()),
    ]);
    let env: Vec<String> = test
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // Whatever the daemon's own choice is: this one can be read back, and has an end.
    let log = HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(HashMap::from([
            ("max-size".to_owned(), LOG_FILE.to_owned()),
            ("max-file".to_owned(), "2".to_owned()),
        ])),
    };
    ContainerCreateBody {
        image: Some(image.to_string()),
        cmd: (!test.command.is_empty()).then(|| test.command.clone()),
        env: Some(env),
        labels: Some(labels),
        host_config: Some(HostConfig {
            log_config: Some(log),
            memory: test.memory.and_then(|bytes| i64::try_from(bytes).ok()),
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::NO),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

struct Container<'d> {
    docker: &'d Docker,
    id: String,
    limit: Duration,
}

impl Container<'_> {
    async fn work(
        &self,
        progress: &mut dyn Progress,
        cancel: &CancellationToken,
        what: &str,
    ) -> Result<TestResult, Fault> {
        let fault = |error: Error| Fault::new(what, engine_words(&error));
        self.docker
            .start_container(&self.id, None)
            .await
            .map_err(|error| {
                let fault = fault(error);
                if fault.why.contains("executable file not found") || fault.why.contains("no such file") {
                    fault.hint("is the program of `command` in the image?")
                } else {
                    fault
                }
            })?;
        progress.text("running");
        let ended = tokio::select! {
            ended = self.follow(progress) => ended.map_err(fault)?,
            () = tokio::time::sleep(self.limit) => false,
            () = cancel.cancelled() => {
                progress.text("stopping");
                let grace = i32::try_from(GRACE.as_secs()).unwrap_or(1);
                let options = StopContainerOptionsBuilder::default().t(grace).build();
                // Removing it by force comes next, whatever this says.
                drop(self.docker.stop_container(&self.id, Some(options)).await);
                return Err(cancelled(what));
            }
        };
        if !ended {
            let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
            // It may have ended in this very moment; it is removed by force in any case.
            drop(self.docker.kill_container(&self.id, Some(options)).await);
            return Ok(TestResult::TimedOut { limit: self.limit });
        }
        self.result()
            .await
            .map_err(fault)?
            .ok_or_else(|| Fault::new(what, "the daemon does not say how it ended"))
    }

    /// Hands on the output until the container has ended and its output is read.
    async fn follow(&self, progress: &mut dyn Progress) -> Result<bool, Error> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut ends = std::pin::pin!(self.docker.wait_container(&self.id, Some(options)));
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .tail("all")
            .build();
        let mut output = std::pin::pin!(self.docker.logs(&self.id, Some(options)));
        let (mut out, mut err) = (Lines::default(), Lines::default());
        let mut has_output = true;
        let mut has_ended = false;
        let drained = tokio::time::sleep(DRAIN_LIMIT);
        tokio::pin!(drained);
        while has_output || !has_ended {
            tokio::select! {
                piece = output.next(), if has_output => match piece {
                    Some(Ok(bollard::container::LogOutput::StdErr { message })) => err.push(&message, progress),
                    Some(Ok(piece)) => out.push(piece.as_ref(), progress),
                    // Reading the output failed: how it ended is what counts.
                    Some(Err(error)) => {
                        progress.line(&format!("its output broke off: {}", engine_words(&error)));
                        has_output = false;
                    }
                    None => has_output = false,
                },
                end = ends.next(), if !has_ended => match end {
                    // A code other than 0 comes as an error.
                    Some(Ok(_) | Err(Error::DockerContainerWaitError { .. })) | None => {
                        has_ended = true;
                        drained.as_mut().reset(tokio::time::Instant::now() + DRAIN_LIMIT);
                    }
                    Some(Err(error)) => return Err(error),
                },
                () = &mut drained, if has_ended => has_output = false,
            }
        }
        out.finish(progress);
        err.finish(progress);
        Ok(true)
    }

    async fn result(&self) -> Result<Option<TestResult>, Error> {
        let state = self.docker.inspect_container(&self.id, None).await?.state;
        Ok(state.and_then(|state| {
            // The wait ended although it runs: the daemon went away under it.
            if state.running.unwrap_or_default() {
                return None;
            }
            Some(match (state.exit_code?, state.oom_killed.unwrap_or_default()) {
                (0, _) => TestResult::Passed,
                (code, true) => TestResult::OutOfMemory { code },
                (code, false) => TestResult::Failed { code },
            })
        }))
    }
}

/// With the volumes it made itself, which nobody else can have.
async fn remove(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    match docker.remove_container(id, Some(options)).await {
        Ok(())
        | Err(Error::DockerResponseServerError {
            // Gone, or being removed by somebody else.
            status_code: 404 | 409,
            ..
        }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes every test container that a run left on the host; gives their names.
pub async fn sweep(daemon: &Daemon, run: &RunId) -> Result<Vec<String>, Fault> {
    let what = format!("remove the test containers of run {run} on {}", daemon.name());
    let fault = |error: Error| Fault::new(&what, engine_words(&error));
    let filters = HashMap::from([(
        "label".to_owned(),
        vec![format!("{}={ROLE}", label::ROLE), format!("{}={run}", label::RUN)],
    )]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let left: Vec<ContainerSummary> = daemon
        .read()
        .list_containers(Some(options))
        .await
        .map_err(fault)?;
    let mut removed = Vec::new();
    for container in left {
        let Some(id) = container.id else { continue };
        remove(daemon.change()?, &id).await.map_err(fault)?;
        let name = container
            .names
            .unwrap_or_default()
            .into_iter()
            .next()
            .unwrap_or(id);
        removed.push(name.trim_start_matches('/').to_owned());
    }
    Ok(removed)
}

//! The container of a test while it runs: passes on its output, enforces its limit, classifies its end.
//! Starts it; creating and removing it is done elsewhere.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::ContainerState;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, EventsOptionsBuilder, KillContainerOptionsBuilder,
    StopContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::ending::{LastLine, judge};
use super::{Progress, TestResult};
use crate::config::test::Test;
use crate::domain::fault::Fault;
use crate::hosts::trouble::engine_words;
use crate::runs::step::{Lines, cancelled};

/// What a cancelled test may still do before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// A container that has ended has written its last line; the rest is on its way.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// The kernel's word that memory was short may come after the end.
const LATE_WORD: Duration = Duration::from_secs(1);
/// What a process killed by SIGKILL leaves.
const SIGKILLED: i64 = 137;

pub(super) struct Container<'a> {
    pub(super) docker: &'a Docker,
    pub(super) id: String,
    pub(super) test: &'a Test,
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// What was heard of it.
struct Heard {
    ended: bool,
    last: LastLine,
}

impl Container<'_> {
    pub(super) async fn work(
        &self,
        progress: &mut dyn Progress,
        cancel: &CancellationToken,
        what: &str,
    ) -> Result<TestResult, Fault> {
        let fault = |error: Error| Fault::new(what, engine_words(&error));
        let output = self.attach().await.map_err(fault)?;
        self.docker
            .start_container(&self.id, None)
            .await
            .map_err(|error| unstarted(fault(error), "is the program of `command` in the image?"))?;
        progress.text("running");
        let mut heard = Heard {
            ended: false,
            last: LastLine::default(),
        };
        tokio::select! {
            ended = self.follow(output, progress, &mut heard) => ended.map_err(fault)?,
            () = tokio::time::sleep(self.test.timeout) => {}
            () = cancel.cancelled() => {
                progress.text("stopping");
                let grace = i32::try_from(GRACE.as_secs()).unwrap_or(1);
                let options = StopContainerOptionsBuilder::default().t(grace).build();
                // Removing it by force comes next, whatever this says.
                drop(self.docker.stop_container(&self.id, Some(options)).await);
                return Err(cancelled(what));
            }
        }
        if !heard.ended {
            let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
            // It may have ended in this very moment; it is removed by force in any case.
            drop(self.docker.kill_container(&self.id, Some(options)).await);
            return Ok(TestResult::TimedOut {
                limit: self.test.timeout,
            });
        }
        let ended = self
            .result()
            .await
            .map_err(fault)?
            .ok_or_else(|| Fault::new(what, "the daemon does not report how it ended"))?;
        judge(ended, &self.test.passes, heard.last).map_err(|why| Fault::new(what, why))
    }

    /// Before the start: a stream of its own waits for a slow reader, while of a log that is turned over millions of
    /// lines were lost.
    async fn attach(&self) -> Result<Output, Error> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdout(true)
            .stderr(true)
            .build();
        Ok(self
            .docker
            .attach_container(&self.id, Some(options))
            .await?
            .output)
    }

    /// Hands on the output until the container has ended and its output is read.
    async fn follow(
        &self,
        mut output: Output,
        progress: &mut dyn Progress,
        heard: &mut Heard,
    ) -> Result<(), Error> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut ends = std::pin::pin!(self.docker.wait_container(&self.id, Some(options)));
        let (mut out, mut err) = (Lines::default(), Lines::default());
        let mut has_output = true;
        let mut has_ended = false;
        let drained = tokio::time::sleep(DRAIN_LIMIT);
        tokio::pin!(drained);
        while has_output || !has_ended {
            tokio::select! {
                piece = output.next(), if has_output => match piece {
                    Some(Ok(LogOutput::StdErr { message })) => err.push(&message, progress),
                    Some(Ok(piece)) => {
                        heard.last.push(piece.as_ref());
                        out.push(piece.as_ref(), progress);
                    }
                    // Reading the output failed: how it ended is what counts, unless its last line does.
                    Some(Err(error)) => {
                        heard.last.broke_off();
                        progress.line(&format!("its output was cut off: {}", engine_words(&error)));
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
                () = &mut drained, if has_ended => {
                    heard.last.broke_off();
                    progress.line("(its output did not end with the process)");
                    has_output = false;
                }
            }
        }
        out.finish(progress);
        err.finish(progress);
        heard.ended = true;
        Ok(())
    }

    async fn result(&self) -> Result<Option<TestResult>, Error> {
        let state = self.docker.inspect_container(&self.id, None).await?.state;
        let Some(state) = state else { return Ok(None) };
        // The wait ended although it runs: the daemon went away under it.
        if state.running.unwrap_or_default() {
            return Ok(None);
        }
        Ok(match (state.exit_code, state.oom_killed.unwrap_or_default()) {
            (None, _) => None,
            (Some(0), _) => Some(TestResult::Passed),
            (Some(code), true) => Some(TestResult::OutOfMemory { code }),
            (Some(SIGKILLED), false) => Some(if self.hears_of_memory(&state).await {
                TestResult::OutOfMemory { code: SIGKILLED }
            } else {
                TestResult::Killed {
                    code: SIGKILLED,
                    memory: self.test.memory,
                }
            }),
            (Some(code), false) => Some(TestResult::Failed { code }),
        })
    }

    /// A container killed in its first moment is gone before the daemon hears why: the event comes late, and only there.
    async fn hears_of_memory(&self, state: &ContainerState) -> bool {
        let finished = state
            .finished_at
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        let Ok(finished) = finished.parse::<jiff::Timestamp>() else {
            return false;
        };
        // By the daemon's own clock.
        let until = finished
            .as_second()
            .saturating_add(1 + i64::try_from(LATE_WORD.as_secs()).unwrap_or(1));
        let filters = HashMap::from([("container", vec![self.id.as_str()]), ("event", vec!["oom"])]);
        let options = EventsOptionsBuilder::default()
            .since("1")
            .until(&until.to_string())
            .filters(&filters)
            .build();
        let mut events = std::pin::pin!(self.docker.events(Some(options)));
        let heard = tokio::time::timeout(LATE_WORD * 3, events.next()).await;
        matches!(heard, Ok(Some(Ok(_))))
    }
}

/// The daemon's words where there is no such program, with what may help.
pub(super) fn unstarted(fault: Fault, hint: &str) -> Fault {
    if fault.why.contains("executable file not found") || fault.why.contains("no such file") {
        fault.hint(hint)
    } else {
        fault
    }
}

//! Waits until a dependency is ready: healthy, listening, a command succeeds, or a text is in its log.
//! If it exits first, it has failed; the reason is the last observation.

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerState, HealthStatusEnum};
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};
use std::pin::Pin;
use tokio_util::sync::CancellationToken;

use super::ground::Ground;
use super::{Progress, listening};
use crate::config::test::{Need, Ready};
use crate::domain::fault::Fault;
use crate::runs::step::cancelled;

const LOOK: Duration = Duration::from_millis(150);
/// Of one command that asks; one that hangs is asked again.
const ASK_LIMIT: Duration = Duration::from_secs(10);
/// Of what one command says.
const MOST_SAID: usize = 256 << 10;
/// Of what is told of it.
const SHOWN: usize = 200;

type Pieces<'a> = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send + 'a>>;

/// The result of one check.
pub(super) enum Look {
    Good,
    /// Not yet ready, and why.
    Wait(String),
    /// It can no longer become ready.
    Bad(Fault),
}

pub(super) async fn wait(
    ground: &Ground<'_>,
    id: &str,
    need: &Need,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Fault> {
    let begun = Instant::now();
    let mut log = Log::of(ground, id, need)?;
    let mut last = "there is no information about it".to_owned();
    let name = &need.name;
    loop {
        let look = tokio::select! {
            () = cancel.cancelled() => return Err(cancelled(ground.what)),
            () = tokio::time::sleep(need.within.saturating_sub(begun.elapsed())) => {
                return Err(Fault::new(
                    ground.what,
                    format!("{name}, which it needs, was not ready within {} s: {last}", need.within.as_secs_f64()),
                ));
            }
            look = look(ground, id, need, &mut log) => look?,
        };
        match look {
            Look::Good => return Ok(()),
            Look::Wait(why) => {
                progress.text(&format!("{name}: {why}, {} s", begun.elapsed().as_secs()));
                last = why;
            }
            Look::Bad(fault) => return Err(fault),
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(cancelled(ground.what)),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn look(ground: &Ground<'_>, id: &str, need: &Need, log: &mut Log<'_>) -> Result<Look, Fault> {
    // A line that was said counts, even if it was the last.
    if let Log::Awaited { .. } = log
        && log.said().await
    {
        return Ok(Look::Good);
    }
    let seen = ground
        .docker
        .inspect_container(id, None)
        .await
        .map_err(|error| ground.fault(&error))?;
    let state = seen.state.unwrap_or_default();
    if !state.running.unwrap_or_default() {
        return Ok(bad(ground, need, &ended(&state)));
    }
    match &need.ready {
        Ready::Running => Ok(healthy(ground, need, &state, false)),
        Ready::Health => Ok(healthy(ground, need, &state, true)),
        Ready::Log(pattern) => Ok(Look::Wait(format!("{pattern:?} is not in its log yet"))),
        Ready::Tcp(port) => listening::look(ground, id, need, *port).await,
        Ready::Command(command) => {
            let said = ask(ground.docker, id, command)
                .await
                .map_err(|error| ground.fault(&error))?;
            let words = command.join(" ");
            Ok(match said {
                Said::Ended { code: 0, .. } => Look::Good,
                Said::Ended { code, text } if is_missing(code, &text) => bad(
                    ground,
                    need,
                    &format!("it has no {}", command.first().map_or("", String::as_str)),
                ),
                Said::Ended { code, text } => {
                    Look::Wait(format!("{words} ends with {code}{}", quoted(&text)))
                }
                Said::Nothing => Look::Wait(format!("{words} does not exit")),
            })
        }
    }
}

fn bad(ground: &Ground<'_>, need: &Need, why: &str) -> Look {
    Look::Bad(unready(ground, need, why))
}

fn unready(ground: &Ground<'_>, need: &Need, why: &str) -> Fault {
    Fault::new(
        ground.what,
        format!("{}, which it needs, is not ready: {why}", need.name),
    )
}

fn ended(state: &ContainerState) -> String {
    if let Some(error) = state.error.as_ref().filter(|error| !error.is_empty()) {
        return error.clone();
    }
    let code = state.exit_code.unwrap_or_default();
    if state.oom_killed.unwrap_or_default() {
        format!("it ran out of memory (exit code {code})")
    } else {
        format!("it ended with exit code {code}")
    }
}

fn healthy(ground: &Ground<'_>, need: &Need, state: &ContainerState, must: bool) -> Look {
    let health = state.health.as_ref();
    match health.and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Look::Wait(format!("health starting{}", checked(state))),
        Some(HealthStatusEnum::UNHEALTHY) => bad(ground, need, &format!("it is unhealthy{}", checked(state))),
        Some(HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None if must => {
            let fault = unready(ground, need, "it has no health check");
            Look::Bad(fault.hint("`health = [\"CMD\", …]` adds one; or use ready = { tcp = … }"))
        }
        Some(HealthStatusEnum::HEALTHY | HealthStatusEnum::NONE | HealthStatusEnum::EMPTY) | None => {
            Look::Good
        }
    }
}

/// What its check said last.
fn checked(state: &ContainerState) -> String {
    let last = state
        .health
        .as_ref()
        .and_then(|health| health.log.as_ref()?.last()?.output.clone());
    quoted(&last.unwrap_or_default())
}

/// `: could not connect`; empty where nothing was said.
pub(super) fn quoted(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    match line {
        Some(line) => format!(": {}", line.trim().chars().take(SHOWN).collect::<String>()),
        None => String::new(),
    }
}

/// As runtimes say that there is no such program.
pub(super) fn is_missing(code: i64, text: &str) -> bool {
    matches!(code, 126 | 127)
        && (text.contains("executable file not found") || text.contains("no such file or directory"))
        && text.contains("exec")
}

/// How a command in a container ended.
pub(super) enum Said {
    Ended {
        code: i64,
        text: String,
    },
    /// Not within its limit.
    Nothing,
}

pub(super) async fn ask(docker: &Docker, id: &str, command: &[String]) -> Result<Said, Error> {
    let asking = async {
        let options = CreateExecOptions {
            cmd: Some(command.to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let exec = docker.create_exec(id, options).await?;
        let mut said = Vec::new();
        if let StartExecResults::Attached { mut output, input: _ } = docker.start_exec(&exec.id, None).await?
        {
            while let Some(piece) = output.next().await {
                let piece = piece?.into_bytes();
                let room = MOST_SAID.saturating_sub(said.len());
                said.extend_from_slice(piece.get(..room).unwrap_or(&piece));
            }
        }
        let code = docker.inspect_exec(&exec.id).await?.exit_code;
        Ok::<_, Error>((code, said))
    };
    match tokio::time::timeout(ASK_LIMIT, asking).await {
        Ok(Ok((code, said))) => Ok(Said::Ended {
            code: code.unwrap_or_default(),
            text: String::from_utf8_lossy(&said).into_owned(),
        }),
        // Some engines refuse a program that is not there when it is started: with words.
        Ok(Err(Error::DockerResponseServerError {
            status_code: 400 | 409 | 500,
            message,
        })) => Ok(Said::Ended {
            code: 127,
            text: message,
        }),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Ok(Said::Nothing),
    }
}

/// Its output as far as it was read, where a line of it is waited for.
enum Log<'a> {
    NotAwaited,
    Awaited {
        pattern: regex::Regex,
        pieces: Pieces<'a>,
        line: Vec<u8>,
    },
    Said,
}

/// Of a line that is looked at.
const LONGEST_LINE: usize = 64 << 10;

impl<'a> Log<'a> {
    fn of(ground: &Ground<'a>, id: &str, need: &Need) -> Result<Self, Fault> {
        let Ready::Log(pattern) = &need.ready else {
            return Ok(Self::NotAwaited);
        };
        let pattern = regex::Regex::new(pattern).map_err(|error| Fault::new(ground.what, error))?;
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .tail("all")
            .build();
        Ok(Self::Awaited {
            pattern,
            pieces: Box::pin(ground.docker.logs(id, Some(options))),
            line: Vec::new(),
        })
    }

    /// Reads what there is; waits for more no longer than one look.
    async fn said(&mut self) -> bool {
        let Self::Awaited {
            pattern,
            pieces,
            line,
        } = self
        else {
            return matches!(self, Self::Said);
        };
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(LOOK, pieces.next()).await {
            for part in piece.as_ref().split_inclusive(|byte| *byte == b'\n') {
                if line.len() < LONGEST_LINE {
                    line.extend_from_slice(part);
                }
                if pattern.is_match(String::from_utf8_lossy(line).trim_end_matches(['\n', '\r'])) {
                    *self = Self::Said;
                    return true;
                }
                if part.ends_with(b"\n") {
                    line.clear();
                }
            }
        }
        false
    }
}

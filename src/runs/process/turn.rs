//! Waits for a run's turn: the run it depends on has succeeded, no living run of its service is ahead of it, and none is
//! in progress.
//! Only checks; the driver decides how long to wait.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::plan::Wait;
use crate::domain::run::{Outcome, RunStatus};
use crate::runs::disk::queue::{Ahead, Place, Queue, Turn};
use crate::runs::disk::state::{RunFile, State, is_alive, read_run_file};

/// A run that is in the queue.
#[derive(Debug)]
pub struct Waiting {
    state: State,
    queue: Queue,
    run: RunId,
    place: Place,
    wait: Wait,
    /// Runs it depends on that have not ended yet.
    bases: VecDeque<Base>,
    begun: Instant,
    behind: Option<Ahead>,
    turn: Option<Turn>,
}

/// The result of asking for the turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Ours,
    /// `run … by …`: ask again soon.
    Behind(String),
    /// That run is in progress, and this one may not wait any longer.
    Late(String),
    /// A run it depends on failed.
    Unfounded(String),
}

/// A run of a service that this one depends on.
#[derive(Debug)]
struct Base {
    run: RunId,
    /// `run … of base`
    words: String,
}

impl Base {
    fn of(state: &State, run: &RunId) -> Self {
        let subject = read_run_file(&state.dir(run)).map(|file| file.plan.subject.to_string());
        let of = subject
            .map(|subject| format!(" of {subject}"))
            .unwrap_or_default();
        Self {
            run: run.clone(),
            words: format!("run {run}{of}"),
        }
    }

    /// `None` while it is alive; then whether it succeeded, or why not.
    fn ended(&self, state: &State) -> Option<Result<(), String>> {
        if is_alive(&state.dir(&self.run)) {
            return None;
        }
        let words = &self.words;
        Some(
            match crate::runs::view(state, &self.run).map(|view| view.status) {
                Ok(RunStatus::Closed {
                    outcome: Outcome::Converged,
                    ..
                }) => Ok(()),
                Ok(RunStatus::Closed {
                    outcome: Outcome::Reverted { why, .. } | Outcome::NeedsHuman { why, .. },
                    ..
                }) => Err(format!("{words}, which it depends on, failed: {why}")),
                Ok(RunStatus::Dead | RunStatus::Running) => {
                    Err(format!("{words}, which it depends on, died"))
                }
                Err(fault) => Err(format!(
                    "the result of {words}, which it depends on, is unknown: {}",
                    fault.why
                )),
            },
        )
    }
}

impl Waiting {
    /// Enters the queue; later runs wait for it.
    pub fn enter(state: State, file: &RunFile) -> Result<Self, Fault> {
        let (subject, run) = (&file.plan.subject, &file.plan.run);
        let queue = state.queue_of(subject);
        let place = state
            .place(subject, run)
            .map_err(|error| Fault::new(format!("take the place of run {run} in the queue"), error))?;
        Ok(Self {
            bases: file.behind.iter().map(|base| Base::of(&state, base)).collect(),
            state,
            queue,
            run: run.clone(),
            place,
            wait: file.wait,
            begun: Instant::now(),
            behind: None,
            turn: None,
        })
    }

    pub fn ask(&mut self) -> Result<Asked, Fault> {
        while let Some(base) = self.bases.front() {
            match base.ended(&self.state) {
                None => return Ok(Asked::Behind(base.words.clone())),
                Some(Err(why)) => return Ok(Asked::Unfounded(why)),
                Some(Ok(())) => {
                    self.bases.pop_front();
                    // How long it may wait for others counts from here on.
                    self.begun = Instant::now();
                }
            }
        }
        // As long as the one right before lives there is nothing else to look at.
        self.behind = match self.behind.take() {
            Some(ahead) if self.queue.is_held(&ahead.run) => Some(ahead),
            Some(_) | None => self.queue.ahead(&self.run),
        };
        let words = if let Some(ahead) = &self.behind {
            ahead.to_string()
        } else {
            self.turn = self
                .queue
                .turn(&self.state)
                .map_err(|error| Fault::new(format!("take the turn of run {}", self.run), error))?;
            if self.turn.is_some() {
                return Ok(Asked::Ours);
            }
            // A later one that began while this one was recovered, or was late in starting.
            let other = self.queue.other(&self.run);
            other.map_or_else(|| "another run".to_owned(), |other| other.to_string())
        };
        let late = match self.wait {
            Wait::No => true,
            Wait::Turn => false,
            Wait::UpTo(limit) => self.begun.elapsed() > limit,
        };
        Ok(if late {
            Asked::Late(words)
        } else {
            Asked::Behind(words)
        })
    }

    /// The time it has waited for other runs so far.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Leaves the queue after the run has ended.
    pub fn leave(self) {
        self.place.leave();
        drop(self.turn);
    }
}

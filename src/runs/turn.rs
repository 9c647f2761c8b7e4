//! Waiting for the turn: a run begins when no living run of its service is before it, and none is under way.
//! Asks only; who waits, for how long, and what ends it is the driver's.

use std::time::Instant;

use super::queue::{Ahead, Place, Queue, Turn};
use super::state::State;
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::plan::Wait;
use crate::release::subject::Subject;

/// A run that is in the queue.
#[derive(Debug)]
pub struct Waiting {
    state: State,
    queue: Queue,
    run: RunId,
    place: Place,
    wait: Wait,
    begun: Instant,
    behind: Option<Ahead>,
    turn: Option<Turn>,
}

/// What asking for the turn came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Ours,
    /// `run … by …`: it is worth asking again soon.
    Behind(String),
    /// No more asking: that run is under way, and this one may not wait any longer.
    Late(String),
}

impl Waiting {
    /// From now on whoever comes later waits behind it.
    pub fn enter(state: State, subject: &Subject, run: &RunId, wait: Wait) -> Result<Self, Fault> {
        let queue = state.queue_of(subject);
        let place = state
            .place(subject, run)
            .map_err(|error| Fault::new(format!("take the place of run {run} in the queue"), error))?;
        Ok(Self {
            state,
            queue,
            run: run.clone(),
            place,
            wait,
            begun: Instant::now(),
            behind: None,
            turn: None,
        })
    }

    pub fn ask(&mut self) -> Result<Asked, Fault> {
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

    /// The run has ended: the next one may begin.
    pub fn leave(self) {
        self.place.leave();
        drop(self.turn);
    }
}

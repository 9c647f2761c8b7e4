//! The signals that concern a screen.
//! Listens only; what follows is the loop's.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    resume: Signal,
    resize: Signal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// Give the terminal back and end: SIGTERM, SIGHUP.
    End,
    /// SIGINT: the same, unless the terminal is lent. Then it was meant for who has it and came here only because both are in the foreground.
    Interrupted,
    /// Continued after a stop that we did not ask for.
    Resumed,
    Resized,
}

impl Signals {
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            resume: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// A SIGINT, and no other signal. Nothing is lost when this future is dropped.
    pub async fn interrupted(&mut self) {
        self.interrupt.recv().await;
    }

    /// Nothing is lost when this future is dropped.
    pub async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::End,
            _ = self.interrupt.recv() => Caught::Interrupted,
            _ = self.hang_up.recv() => Caught::End,
            _ = self.resume.recv() => Caught::Resumed,
            _ = self.resize.recv() => Caught::Resized,
        }
    }
}

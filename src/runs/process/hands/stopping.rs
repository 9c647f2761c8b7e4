//! Remembers on which hosts a stop was begun whose end was not heard: the daemon finishes it all the same.
//! Before anything is restored there, waits for its end.

use std::time::Instant;

use super::Hands;
use crate::release::record::{Failure, Finding};
use crate::release::stage::{Stage, Step, Turn};
use crate::runs::step::under_way;

impl Hands {
    pub(super) fn stops(&self, step: &Step) {
        self.held().stopping.begun(step);
    }

    pub(super) fn stopped(&self, step: &Step, done: &Result<Finding, Failure>) {
        if done.is_ok() {
            self.held().stopping.done(step);
        }
    }

    /// Before what was is restored on the host: waits until none of its containers is being stopped. A silent host is waited
    /// for as long as in a step, from its last answer on.
    pub(super) async fn wait_for_stops(&self, step: &Step) -> Result<(), Failure> {
        let is_way_back = matches!(step.stage, Stage::Restore | Stage::Wave(_, Turn::Restore));
        if !is_way_back || !self.held().stopping.may_be_on(&step.host) {
            return Ok(());
        }
        let decision = self.decision()?;
        let scene = self.scene(&decision, &step.host).at(&step.stage);
        let mut answered = Instant::now();
        loop {
            let daemon = self.daemon(&step.host)?;
            let mut teller = self.pen.teller(step);
            match under_way::stops(&daemon, &scene, &mut teller, &mut answered).await {
                Err(failure) if self.may_wait(&failure, answered) => self.reconnect(&step.host).await,
                other => return other,
            }
        }
    }
}

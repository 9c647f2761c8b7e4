//! Stops of what ran before that were begun and whose end nobody heard: the daemon finishes them all the same.
//! Before anything is put back they are waited for; whether one is under way is asked of its daemon.

use super::Hands;
use crate::hosts::Daemon;
use crate::release::deeds::Scene;
use crate::release::record::{Failure, Finding};
use crate::release::stage::{Is, Stage, Step, Turn};
use crate::runs::step::under_way;

impl Hands {
    pub(super) fn stops(&self, step: &Step) {
        if step.stage.is(Is::StoppingOld) {
            self.held().stopping.insert(step.host.clone());
        }
    }

    pub(super) fn stopped(&self, step: &Step, done: &Result<Finding, Failure>) {
        if done.is_ok() && (step.stage.is(Is::StoppingOld) || step.stage == Stage::Restore) {
            self.held().stopping.remove(&step.host);
        }
    }

    /// Until what is seen there stays so.
    pub(super) async fn settle(
        &self,
        step: &Step,
        daemon: &Daemon,
        scene: &Scene<'_>,
    ) -> Result<(), Failure> {
        let is_way_back = matches!(step.stage, Stage::Restore | Stage::Wave(_, Turn::Restore));
        if !is_way_back || !self.held().stopping.contains(&step.host) {
            return Ok(());
        }
        under_way::stops(daemon, &scene.at(&step.stage), &mut self.pen.teller(step)).await
    }
}

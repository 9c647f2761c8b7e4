//! Waiting for a place on a host that takes only so many stages at once.
//! One place a stage, and nothing else is waited for while it is held: nobody can wait in a circle.

use std::time::Duration;

use super::Hands;
use crate::domain::fault::Fault;
use crate::release::record::{Entry, Failure, FailureKind};
use crate::release::stage::Step;
use crate::runs::slot::Slot;

/// Between two looks, ms: those who wait must not all look at the same moments.
const LOOK: std::ops::Range<u64> = 50..150;

impl Hands {
    /// At once where the host takes any number, or the step is no work of that kind.
    pub(super) async fn place(&self, step: &Step) -> Result<Option<Slot>, Failure> {
        let places = self.hosts.get(&step.host).and_then(|host| host.concurrency);
        let Some(places) = places.filter(|_| step.stage.takes_a_place()) else {
            return Ok(None);
        };
        let what = || step.to_string();
        let mut waits = false;
        loop {
            let slot = self
                .state
                .slot(&step.host, places)
                .map_err(|error| Failure::refused(Fault::new(what(), error)))?;
            if slot.is_some() {
                return Ok(slot);
            }
            if !waits {
                waits = true;
                let text = format!("for a place on {} ({places} of {places} taken)", step.host);
                self.pen.write(Entry::Waits { text }).map_err(Failure::refused)?;
            }
            tokio::select! {
                biased;
                () = self.ends(step).cancelled() => {
                    let fault = Fault::new(what(), format!("it waited for a place on {} and was ended", step.host));
                    return Err(Failure::of(FailureKind::Interrupted, fault));
                }
                () = tokio::time::sleep(Duration::from_millis(fastrand::u64(LOOK))) => {}
            }
        }
    }
}

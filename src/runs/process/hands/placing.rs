//! Waiting for a place on a host that takes only so many stages at once.
//! A stage that has another image built first takes a place on the builder, too. Places are taken in the order of the
//! hosts' names, and nothing else is waited for while they are held: nobody can wait in a circle.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::release::record::{Entry, Failure, FailureKind};
use crate::release::stage::Step;
use crate::runs::disk::slot::Slot;

/// Between two looks, ms: those who wait must not all look at the same moments.
const LOOK: std::ops::Range<u64> = 50..150;

impl Hands {
    /// At once where the host takes any number, or the step is no work of that kind.
    pub(super) async fn places(&self, step: &Step) -> Result<Vec<Slot>, Failure> {
        let mut slots = Vec::new();
        for host in self.plan.places_of(step) {
            if let Some(places) = self.hosts.get(host).and_then(|host| host.concurrency) {
                slots.push(self.place(step, host, places).await?);
            }
        }
        Ok(slots)
    }

    async fn place(&self, step: &Step, host: &HostName, places: NonZeroU32) -> Result<Slot, Failure> {
        let what = || step.to_string();
        let mut waits = false;
        loop {
            let slot = self
                .state
                .slot(host, places)
                .map_err(|error| Failure::refused(Fault::new(what(), error)))?;
            if let Some(slot) = slot {
                return Ok(slot);
            }
            if !waits {
                waits = true;
                let text = format!("for a place on {host} ({places} of {places} taken)");
                self.pen.write(Entry::Waits { text }).map_err(Failure::refused)?;
            }
            tokio::select! {
                biased;
                () = self.ends(step).cancelled() => {
                    let fault = Fault::new(what(), format!("it waited for a place on {host} and was ended"));
                    return Err(Failure::of(FailureKind::Interrupted, fault));
                }
                () = tokio::time::sleep(Duration::from_millis(fastrand::u64(LOOK))) => {}
            }
        }
    }
}

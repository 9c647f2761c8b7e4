//! Waits for a slot on a host with a `concurrency` limit.
//! A stage that builds another image first takes a slot on the build host, too. Slots are taken in the order of the hosts'
//! names, and nothing else is waited for while one is held, so there is no deadlock.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::release::record::{Entry, Failure, FailureKind};
use crate::release::stage::Step;
use crate::runs::disk::slot::Slot;

/// The pause between two checks in ms; random, so that waiting runs do not check at the same time.
const LOOK: std::ops::Range<u64> = 50..150;

impl Hands {
    /// Returns at once if the host has no limit or the step needs no slot.
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
                let text = format!("for a free slot on {host} ({places} of {places} in use)");
                self.pen.write(Entry::Waits { text }).map_err(Failure::refused)?;
            }
            tokio::select! {
                biased;
                () = self.ends(step).cancelled() => {
                    let fault = Fault::new(what(), format!("it was waiting for a slot on {host} and was stopped"));
                    return Err(Failure::of(FailureKind::Interrupted, fault));
                }
                () = tokio::time::sleep(Duration::from_millis(fastrand::u64(LOOK))) => {}
            }
        }
    }
}

//! Slots of a host: its `concurrency` limits how many stages of all runs of a state folder work there at once.
//! Slots are file locks, so a dead process holds none. Waiting has no guaranteed order.

use std::fs::{File, TryLockError};
use std::io;
use std::num::NonZeroU32;

use super::state::State;
use crate::domain::ids::HostName;

/// A slot, held while the stage works.
#[derive(Debug)]
pub struct Slot {
    _held: File,
}

impl State {
    /// `None` while all slots are in use.
    pub fn slot(&self, host: &HostName, places: NonZeroU32) -> io::Result<Option<Slot>> {
        self.make_common(&self.slots())?;
        for number in 1..=places.get() {
            let file = self.open_common(&self.slots().join(format!("{host}.{number}")))?;
            match file.try_lock() {
                Ok(()) => return Ok(Some(Slot { _held: file })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}

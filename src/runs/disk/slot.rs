//! Places on a host: so many stages of all runs of a state folder work there at once as its `concurrency` says.
//! Locked files: who died holds none. No order is promised among those who wait.

use std::fs::{File, TryLockError};
use std::io;
use std::num::NonZeroU32;

use super::state::State;
use crate::domain::ids::HostName;

/// Held as long as the stage works.
#[derive(Debug)]
pub struct Slot {
    _held: File,
}

impl State {
    /// `None` while all are taken.
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

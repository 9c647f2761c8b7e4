//! Reserves disk space beside a journal while its run is in progress, so that a full disk cannot stop a run halfway.
//! Freed when the disk is full, or when the run ends; if the runner was killed, its recovery inherits it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::domain::fault::Fault;

/// Bytes: ten times what a run of 50 hosts writes on its way back.
const RESERVED: u64 = 1 << 20;

#[derive(Debug)]
pub(in crate::runs) struct Reserve(PathBuf);

impl Reserve {
    /// Called before the locks are taken, so that a full disk stops a run before it has changed anything.
    pub(in crate::runs) fn hold(dir: &Path) -> Result<Self, Fault> {
        let reserve = Self(dir.join("reserve"));
        let try_it = || -> io::Result<()> {
            let file = super::state::open_private(&reserve.0)?;
            match fallocate(&file, FallocateFlags::empty(), 0, RESERVED) {
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
            file.sync_all()
        };
        try_it().map_err(|error| {
            Fault::new(
                format!("reserve space for the journal in {}", dir.display()),
                error,
            )
            .hint("free some space on that disk; nothing was changed")
        })?;
        Ok(reserve)
    }

    /// Moves the reserve to this file, after its first `length` bytes, so that no other process can take the space.
    pub(in crate::runs) fn give_to(self, file: &File, length: u64) {
        drop(self);
        if let Err(error) = fallocate(file, FallocateFlags::KEEP_SIZE, length, RESERVED / 2) {
            tracing::debug!(%error, "the space is anybody's");
        }
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "reserved space could not be given back");
        }
    }
}

/// Whether the error means that the disk or the user's quota is full.
pub(in crate::runs) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

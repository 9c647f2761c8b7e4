//! Space held beside a journal for as long as its run goes: a run that cannot write any more would leave a fleet half done.
//! Given back when the disk is full, or with the run; a runner that was killed leaves it to its recovery.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::domain::fault::Fault;

/// Bytes: what a run of 50 hosts writes on its way back, ten times over.
const RESERVED: u64 = 1 << 20;

#[derive(Debug)]
pub(in crate::runs) struct Reserve(PathBuf);

impl Reserve {
    /// Before the locks: a disk that is full already stops a run that has changed nothing yet.
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
            .hint("make room on that disk; nothing was changed")
        })?;
        Ok(reserve)
    }

    /// For this file alone, behind its first `length` bytes: whatever filled the disk would take the space at once.
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

/// Does it say that no more fits on the disk, or into what its user may take of it?
pub(in crate::runs) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

//! Whether commands in a file may be run: only if nobody but its owner and root can write it.
//! Judges permissions only; reads no content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// Why a file may not hold commands: who else may write it, or replace it through a folder above it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Distrust {
    pub(super) why: String,
    pub(super) remedy: String,
}

/// `file` is what `metadata` was read of, by the same open file.
pub(super) fn distrust(file: &Path, metadata: &Metadata, user: u32) -> Option<Distrust> {
    if let Some(distrust) = of_one(file, metadata, user, false) {
        return Some(distrust);
    }
    let real: PathBuf = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    real.ancestors().skip(1).find_map(|folder| {
        // A folder that cannot be looked at can be no worse than what was read through it.
        let metadata = std::fs::metadata(folder).ok()?;
        of_one(folder, &metadata, user, true)
    })
}

fn of_one(path: &Path, metadata: &Metadata, user: u32, is_folder: bool) -> Option<Distrust> {
    let shown = path.display();
    let (owner, mode) = (metadata.uid(), metadata.mode());
    if owner != user && owner != 0 {
        return Some(Distrust {
            why: format!("{shown} belongs to another user (uid {owner})"),
            remedy: format!("chown {user} {shown}"),
        });
    }
    // In a sticky folder (/tmp) others may add files, not replace ours.
    let guarded = is_folder && mode & STICKY != 0;
    (mode & WRITABLE_BY_OTHERS != 0 && !guarded).then(|| Distrust {
        why: format!("other users may write {shown} (mode {:04o})", mode & 0o7777),
        remedy: format!("chmod go-w {shown}"),
    })
}

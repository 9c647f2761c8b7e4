//! The private folder of the demo: created for one process and removed with it; leftovers are removed at the next start.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

const NAME: &str = "pilothouse-demo-";
/// Locked for as long as its process lives, however that ends.
const ALIVE: &str = "alive";

/// Mode 0700; removed with all that is in it when this is dropped.
pub(super) struct Folder {
    dir: TempDir,
    _alive: File,
}

impl Folder {
    pub(super) fn make() -> io::Result<Self> {
        sweep(&std::env::temp_dir());
        let dir = tempfile::Builder::new().prefix(NAME).tempdir()?;
        let alive = File::create(dir.path().join(ALIVE))?;
        alive.lock()?;
        Ok(Self { dir, _alive: alive })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Only folders of ours, of this user, whose process is gone. What can't be removed is left for the next time.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.filter_map(Result::ok) {
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(NAME))
            && entry
                .metadata()
                .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
        let dead = || File::open(entry.path().join(ALIVE)).is_ok_and(|alive| alive.try_lock().is_ok());
        if ours && dead() {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

//! The private folder for this process's sockets: created by it, mode 0700.
//! Follows no links, and removes nothing that belongs to another living process.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::domain::fault::Fault;

/// `sockaddr_un` holds 108 bytes; ssh appends 17 of its own while it binds a control socket.
const LONGEST_PATH: usize = 90;
/// Held locked for as long as its process lives; the kernel lets go of it however that ends.
const LOCK: &str = "alive";
/// Names `ssh` for proxies that our own ssh starts: they are held, too.
const HELD: &str = "bin";
/// Only a folder whose maker died between `mkdir` and `flock` has no lock for longer than this.
const MAKING: Duration = Duration::from_mins(1);
/// Names are random: a second collision is an attack or a broken file system.
const TRIES: u8 = 8;

/// One folder a process; it is removed when the last tunnel is gone, or by whoever it was handed to.
pub(super) struct Folder {
    path: PathBuf,
    /// Each socket gets a short name of its own, never used twice.
    next: AtomicU32,
    /// Locked, shared: others can tell that somebody who uses it lives.
    alive: File,
}

static SHARED: Mutex<Weak<Folder>> = Mutex::new(Weak::new());

impl Folder {
    /// The folder of this process, made if it is not there; those of dead processes are swept then.
    pub(super) fn shared() -> Result<Arc<Self>, Fault> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = shared.upgrade() {
            return Ok(folder);
        }
        let base = base();
        sweep(&base);
        let folder = Self::make(&base).map(Arc::new).map_err(|error| {
            Fault::new(
                format!("make a private folder for sockets in {}", base.display()),
                error,
            )
            .hint("XDG_RUNTIME_DIR or /tmp must be writable for you")
        })?;
        *shared = Arc::downgrade(&folder);
        Ok(folder)
    }

    fn make(base: &Path) -> io::Result<Self> {
        let mut refused = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            let path = base.join(format!("{}{:08x}", prefix(), fastrand::u32(..)));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(error) => {
                    refused = error;
                    continue;
                }
            }
            if !is_private(&path) {
                return Err(io::Error::other(format!(
                    "{} is not private to this user",
                    path.display()
                )));
            }
            let alive = open_lock(&path, OFlags::CREATE | OFlags::EXCL)?;
            flock(&alive, FlockOperation::NonBlockingLockShared)?;
            return Ok(Self {
                path,
                next: AtomicU32::new(0),
                alive,
            });
        }
        Err(refused)
    }

    /// Another process's folder, of which this one was told: it stays until both have let go.
    pub(super) fn adopt(path: &Path) -> io::Result<Self> {
        let is_ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&prefix()));
        if !is_ours || !is_private(path) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        let alive = open_lock(path, OFlags::empty())?;
        flock(&alive, FlockOperation::NonBlockingLockShared)?;
        Ok(Self {
            path: path.to_owned(),
            next: AtomicU32::new(0),
            alive,
        })
    }

    /// A path for a new socket, short enough for the kernel and for ssh.
    pub(super) fn socket(&self, kind: char) -> Result<PathBuf, Fault> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!("{kind}{number}"));
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(
                Fault::new("name a socket", format!("{} is too long", path.display()))
                    .hint("XDG_RUNTIME_DIR must be shorter"),
            );
        }
        Ok(path)
    }

    /// A folder to put first on the `PATH` of an ssh, so that what it starts as `ssh` (a jump host) runs `script`.
    /// `None` where scripts cannot be run from here (a file system mounted `noexec`).
    pub(super) fn held(&self, script: &str) -> Option<PathBuf> {
        let bin = self.path.join(HELD);
        let ssh = bin.join("ssh");
        if !ssh.exists() {
            DirBuilder::new().mode(0o700).recursive(true).create(&bin).ok()?;
            // Written aside, by each who writes it, and renamed: nobody runs half of it.
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let draft = bin.join(format!("draft{number}"));
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o700)
                .open(&draft)
                .ok()?;
            file.write_all(script.as_bytes()).ok()?;
            drop(file);
            fs::rename(&draft, &ssh).ok()?;
        }
        rustix::fs::access(&ssh, rustix::fs::Access::EXEC_OK).ok()?;
        Some(bin)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if flock(&self.alive, FlockOperation::NonBlockingLockExclusive).is_ok() {
            clear(&self.path);
        }
    }
}

/// The user's runtime folder where it is one, else `/tmp`.
fn base() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| {
            path.is_absolute() && path.as_os_str().len() < 40 && is_plain(path) && is_private(path)
        })
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Such a path needs no quoting anywhere ssh hands it on.
fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|text| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
    })
}

fn prefix() -> String {
    format!("pilothouse-{}-", rustix::process::geteuid().as_raw())
}

/// Promises: a folder itself and no link to one; of this user; nobody else may even look into it.
fn is_private(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| {
        found.is_dir()
            && found.uid() == rustix::process::geteuid().as_raw()
            && found.permissions().mode().trailing_zeros() >= 6
    })
}

fn open_lock(folder: &Path, how: OFlags) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
    let lock = rustix::fs::open(
        folder.join(LOCK),
        flags,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    )?;
    Ok(File::from(lock))
}

/// Removes the folders of processes that died without doing so: their lock is free.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    let prefix = prefix();
    for entry in entries.flatten() {
        let path = entry.path();
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&prefix))
            && is_private(&path);
        if !ours {
            continue;
        }
        match open_lock(&path, OFlags::empty()) {
            Ok(lock) => {
                if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    clear(&path);
                }
            }
            Err(_) if is_older(&path, MAKING) => clear(&path),
            Err(_) => {}
        }
    }
}

fn is_older(path: &Path, span: Duration) -> bool {
    fs::symlink_metadata(path)
        .and_then(|found| found.modified())
        .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > span))
}

/// The lock goes last but the folder: whoever looks meanwhile sees a living or a dead folder, never a nameless one.
fn clear(folder: &Path) {
    for inner in [folder.join(HELD), folder.to_owned()] {
        let Ok(entries) = fs::read_dir(&inner) else {
            continue;
        };
        for entry in entries.flatten().filter(|entry| entry.file_name() != LOCK) {
            discard(fs::remove_file(entry.path()));
        }
        if inner != folder {
            discard(fs::remove_dir(&inner));
        }
    }
    discard(fs::remove_file(folder.join(LOCK)));
    discard(fs::remove_dir(folder));
}

/// What could not be removed now is swept by the next process that starts.
fn discard(removed: io::Result<()>) {
    if let Err(error) = removed
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(%error, "a leftover of the sockets' folder stays");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_gone_when_its_last_user_is() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::make(base.path()).unwrap();
        assert!(is_private(&folder.path));
        let socket = folder.socket('s').unwrap();
        fs::write(&socket, "").unwrap();
        folder.held("#!/bin/sh\n").unwrap();
        let path = folder.path.clone();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn folders_of_the_dead_are_swept_and_those_of_the_living_are_not() {
        let base = tempfile::tempdir().unwrap();
        let living = Folder::make(base.path()).unwrap();
        let dead = base.path().join(format!("{}dead", prefix()));
        DirBuilder::new().mode(0o700).create(&dead).unwrap();
        drop(open_lock(&dead, OFlags::CREATE).unwrap());
        fs::write(dead.join("s0"), "").unwrap();
        let making = base.path().join(format!("{}making", prefix()));
        DirBuilder::new().mode(0o700).create(&making).unwrap();
        sweep(base.path());
        assert!(living.path.exists());
        assert!(!dead.exists());
        assert!(making.exists(), "it may just be being made");
    }

    #[test]
    fn a_folder_that_was_handed_on_goes_with_its_last_user() {
        let base = tempfile::tempdir().unwrap();
        let maker = Folder::make(base.path()).unwrap();
        let path = maker.path.clone();
        let heir = Folder::adopt(&path).unwrap();
        drop(maker);
        sweep(base.path());
        assert!(path.exists());
        drop(heir);
        assert!(!path.exists());
        assert!(Folder::adopt(base.path()).is_err(), "no folder of ours");
    }

    #[test]
    fn a_link_or_a_folder_open_to_others_is_not_private() {
        let base = tempfile::tempdir().unwrap();
        let real = base.path().join("real");
        DirBuilder::new().mode(0o700).create(&real).unwrap();
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(is_private(&real));
        assert!(!is_private(&link));
        fs::set_permissions(&real, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(!is_private(&real));
    }
}

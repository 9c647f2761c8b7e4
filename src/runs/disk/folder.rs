//! Checks the state folder before it is used: it must belong to its owner alone, or to a group.
//! Refuses a folder that others can write, one of another group, and a file system without locks.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, getegid, getgroups};

use super::state::State;
use crate::domain::fault::Fault;

/// Every member of the group may create entries, and remove only their own.
const COMMON: u32 = 0o3770;
const PRIVATE: u32 = 0o700;

impl State {
    /// The folder of the queues.
    #[must_use]
    pub fn queue(&self) -> PathBuf {
        self.root().join("queue")
    }

    /// The folder of the hosts' slots.
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.root().join("slots")
    }

    /// Creates a folder that everybody who may start runs can write to.
    pub(in crate::runs) fn make_common(&self, dir: &Path) -> io::Result<()> {
        let mode = if self.shared { COMMON } else { PRIVATE };
        match DirBuilder::new().mode(mode).create(dir) {
            Ok(()) if self.shared => fs::set_permissions(dir, Permissions::from_mode(mode)),
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Opens a file that everybody who may start runs can read, write and lock; creates it if necessary.
    pub(in crate::runs) fn open_common(&self, path: &Path) -> io::Result<File> {
        let mode = if self.shared { 0o660 } else { 0o600 };
        loop {
            // Not in one request: in a sticky folder the kernel refuses to "create" what is another's.
            match OpenOptions::new().read(true).write(true).open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
            let created = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(path);
            match created {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Ok(file) => {
                    if self.shared {
                        file.set_permissions(Permissions::from_mode(mode))?;
                    }
                    return Ok(file);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Creates the folder if necessary; every refusal has a reason and a hint.
pub(in crate::runs) fn prepare(state: &State, group: Option<&str>) -> Result<(), Fault> {
    let root = state.root();
    let what = || format!("use the state folder {}", root.display());
    let group = match group {
        Some(name) => Some((
            name,
            member_of(name).map_err(|fault| Fault {
                what: what(),
                ..fault
            })?,
        )),
        None => None,
    };
    let fault = |error: io::Error| {
        let fault = Fault::new(what(), &error);
        if error.kind() == io::ErrorKind::PermissionDenied {
            fault.hint(denied(root))
        } else {
            fault.hint("[state] dir may name another folder")
        }
    };
    if let Some(parent) = root.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE)
            .create(parent)
            .map_err(fault)?;
        let seen = fs::metadata(parent).map_err(fault)?;
        if seen.mode() & 0o1002 == 0o002 {
            return Err(open_to_all(&what(), parent));
        }
    }
    // A folder that holds other things is not ours to change.
    let adopted =
        fs::read_dir(root).is_ok_and(|mut inside| inside.next().is_some()) && !state.runs().is_dir();
    for dir in [root.to_path_buf(), state.runs(), state.queue(), state.slots()] {
        let may_change = dir != root || !adopted;
        state.make_common(&dir).map_err(fault)?;
        let seen = fs::metadata(&dir).map_err(fault)?;
        if seen.mode() & 0o002 != 0 {
            return Err(open_to_all(&what(), &dir));
        }
        let own = may_change && seen.uid() == rustix::process::geteuid().as_raw();
        match group {
            Some((name, gid)) => {
                let fits = seen.gid() == gid.as_raw() && seen.mode() & 0o2070 == 0o2070;
                if own && !(fits && seen.mode() & 0o7777 == COMMON) {
                    std::os::unix::fs::chown(&dir, None, Some(gid.as_raw())).map_err(fault)?;
                    fs::set_permissions(&dir, Permissions::from_mode(COMMON)).map_err(fault)?;
                } else if !fits {
                    return Err(
                        Fault::new(what(), format!("{} is not the group {name}'s", dir.display())).hint(
                            format!(
                                "its owner or root: chgrp {name} {0} && chmod {COMMON:o} {0}",
                                dir.display()
                            ),
                        ),
                    );
                }
            }
            // It was a group's before.
            None if own && seen.mode() & 0o2000 != 0 => {
                fs::set_permissions(&dir, Permissions::from_mode(PRIVATE)).map_err(fault)?;
            }
            None => {}
        }
    }
    try_locking(root).map_err(|error| {
        Fault::new(what(), error).hint("its file system must support flock: choose another [state] dir")
    })
}

/// What to do where this account may not use the folder, or not make it.
fn denied(root: &Path) -> String {
    let (place, owner) = owner(root);
    let (folder, place_words) = (root.display(), place.display());
    if place == root {
        format!(
            "{folder} belongs to {owner}: give it to this account (chown), or choose another [state] dir, \
             or share it by [state] group"
        )
    } else {
        format!(
            "{place_words} belongs to {owner}: root: install -d -m 700 -o LOGIN {folder}, or choose another [state] dir"
        )
    }
}

/// The owner of the folder, or of the nearest one above it that is there.
fn owner(root: &Path) -> (&Path, String) {
    let there = root
        .ancestors()
        .find_map(|place| Some((place, fs::metadata(place).ok()?.uid())));
    let (place, uid) = there.unwrap_or((root, 0));
    let name = crate::runs::begin::actor::name_of(uid);
    (place, name.unwrap_or_else(|| format!("account {uid}")))
}

fn open_to_all(what: &str, dir: &Path) -> Fault {
    Fault::new(what, format!("{} is world-writable", dir.display()))
        .hint(format!("chmod o-w {}", dir.display()))
}

/// The group, by name or number, if this process is in it.
fn member_of(name: &str) -> Result<Gid, Fault> {
    let fault = |why: String| Fault::new("use the state folder", why);
    let known = match name.parse::<u32>() {
        Ok(number) => Some(Gid::from_raw(number)),
        Err(_) => Group::from_name(name)
            .map_err(|error| fault(format!("the group {name} cannot be looked up: {error}")))?
            .map(|group| group.gid),
    };
    let gid = known.ok_or_else(|| {
        fault(format!("this machine has no group {name}")).hint(format!("root: groupadd {name}"))
    })?;
    let groups = getgroups().map_err(|error| fault(format!("the groups of this process: {error}")))?;
    if rustix::process::geteuid().is_root() || getegid() == gid || groups.contains(&gid) {
        return Ok(gid);
    }
    Err(fault(format!(
        "its runs are for the group {name}, and your user is not in it"
    ))
    .hint(format!(
        "root: usermod -aG {name} LOGIN; takes effect at the next login"
    )))
}

/// Checks that locks work: on a file system that only pretends, dead runs would seem alive.
fn try_locking(root: &Path) -> io::Result<()> {
    let one = tempfile::NamedTempFile::with_prefix_in(".locks-work-", root)?;
    let two = one.reopen()?;
    match one.as_file().try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(io::Error::other("a new file is locked already")),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    match two.try_lock_shared() {
        Err(fs::TryLockError::WouldBlock) => Ok(()),
        Err(fs::TryLockError::Error(error)) => Err(error),
        Ok(()) => Err(io::Error::other("two processes could lock one file there")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_made_and_the_one_above_it_is_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        let own = denied(temp.path());
        assert!(own.contains("(chown)"), "{own}");
        let missing = temp.path().join("a/b");
        let hint = denied(&missing);
        let made = format!("install -d -m 700 -o LOGIN {}", missing.display());
        assert!(hint.contains(&made) && !hint.contains("chown"), "{hint}");
    }
}

//! Connections a person made at the terminal, kept for the tunnels of their host and for runs started here.
//! Knows their control sockets; their users check whether they are alive.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::command::Commands;
use super::folder::Folder;
use crate::domain::endpoint::Ssh;
use crate::domain::fault::Fault;

/// Tells a run, which is a process of its own, what was lent to the one that starts it.
const HANDED_ON: &str = "PILOTHOUSE_SSH_LENT";

struct Lent {
    way: LentWay,
    /// Kept until the last of them is let go, or the sockets would be gone.
    folder: Arc<Folder>,
    /// A run may use it: it is not ended with this program, but by itself when nobody uses it.
    handed_on: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct LentWay {
    host: Ssh,
    control: PathBuf,
}

/// `None` until what was handed to this process has been looked at.
static LENT: Mutex<Option<Vec<Lent>>> = Mutex::new(None);

/// An ssh to be run on the lent terminal: it asks whatever it has to, then goes to the background, where the next
/// tunnel to this host finds it. Unused for twenty seconds it ends by itself.
pub fn lend(ssh: &Ssh) -> Result<Command, Fault> {
    let folder = Folder::shared()?;
    let commands = Commands::new(&folder, ssh)?;
    if ssh.reuse_master {
        return Ok(commands.own_master());
    }
    let control = folder.socket('m')?;
    let command = commands.lent(&control);
    let way = LentWay {
        host: ssh.clone(),
        control,
    };
    with(|lent| {
        lent.retain(|other| other.way.host != *ssh);
        lent.push(Lent {
            way,
            folder,
            handed_on: false,
        });
    });
    Ok(command)
}

/// What to put into the environment of a run, so that it finds what was lent to this program; nothing if nothing was.
/// One whose socket is not there is kept: a person may be typing its passphrase.
#[must_use]
pub fn hand_on() -> Option<(&'static str, String)> {
    with(|lent| {
        let mut ways: Vec<&LentWay> = Vec::new();
        for lent in lent.iter_mut().filter(|lent| lent.way.control.exists()) {
            lent.handed_on = true;
            ways.push(&lent.way);
        }
        if ways.is_empty() {
            return None;
        }
        Some((HANDED_ON, serde_json::to_string(&ways).ok()?))
    })
}

/// The control socket of the connection lent for this host, alive or not; none while it is still being made.
pub(super) fn find(ssh: &Ssh) -> Option<PathBuf> {
    with(|lent| {
        lent.iter()
            .find(|lent| lent.way.host == *ssh && lent.way.control.exists())
            .map(|lent| lent.way.control.clone())
    })
}

/// The connection behind this socket turned out to be dead; one that was lent since then stays.
pub(super) fn forget(control: &Path) {
    with(|lent| lent.retain(|lent| lent.way.control != control));
}

/// Ends the connection lent for this host, at the end of the program; one that a run may use ends by itself.
pub fn leave(ssh: &Ssh) {
    let ours = with(|lent| {
        let place = lent.iter().position(|lent| lent.way.host == *ssh)?;
        Some(lent.swap_remove(place))
    });
    let Some(lent) = ours.filter(|lent| !lent.handed_on && lent.way.control.exists()) else {
        return;
    };
    let ended = Commands::new(&lent.folder, ssh).and_then(|commands| {
        let status = commands.exit(&lent.way.control).status();
        status.map_err(|error| Fault::new("run ssh", error))
    });
    if let Err(fault) = ended {
        tracing::debug!(%fault, "a lent connection ends by itself");
    }
}

fn with<T>(work: impl FnOnce(&mut Vec<Lent>) -> T) -> T {
    let mut lent: MutexGuard<'_, _> = LENT.lock().unwrap_or_else(PoisonError::into_inner);
    work(lent.get_or_insert_with(handed_to_us))
}

fn handed_to_us() -> Vec<Lent> {
    let Some(text) = std::env::var_os(HANDED_ON) else {
        return Vec::new();
    };
    let ways: Vec<LentWay> = serde_json::from_slice(text.as_encoded_bytes()).unwrap_or_default();
    ways.into_iter()
        .filter_map(|way| {
            // A folder that is gone, or no folder of ours, lends nothing.
            let folder = Folder::adopt(way.control.parent()?).ok()?;
            // What another process began is not ours to end.
            Some(Lent {
                way,
                folder: Arc::new(folder),
                handed_on: true,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_is_being_made_is_kept_until_it_is_there() {
        let folder = Folder::shared().unwrap();
        let control = folder.socket('m').unwrap();
        let host = Ssh {
            user: None,
            host: "being-made".to_owned(),
            port: None,
            socket: "/run/docker.sock".into(),
            reuse_master: false,
        };
        let way = LentWay {
            host: host.clone(),
            control: control.clone(),
        };
        with(|lent| {
            lent.push(Lent {
                way,
                folder,
                handed_on: false,
            });
        });
        assert_eq!(find(&host), None, "the person is not through");
        assert!(hand_on().is_none());
        std::fs::write(&control, "").expect("its folder is there still");
        assert_eq!(find(&host), Some(control.clone()));
        assert!(hand_on().is_some_and(|(_, ways)| ways.contains("being-made")));
        forget(&control.with_extension("before"));
        assert!(find(&host).is_some(), "another one was dead");
        forget(&control);
        assert_eq!(find(&host), None);
    }
}

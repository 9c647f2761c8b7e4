//! Connections that a person made at the terminal, kept for the tunnels of their host and for the runs that are started here.
//! Knows where their control sockets are; whether they live is asked where they are used.

use std::path::PathBuf;
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
#[must_use]
pub fn hand_on() -> Option<(&'static str, String)> {
    with(|lent| {
        lent.retain(|lent| lent.way.control.exists());
        for lent in &mut *lent {
            lent.handed_on = true;
        }
        let ways: Vec<&LentWay> = lent.iter().map(|lent| &lent.way).collect();
        if ways.is_empty() {
            return None;
        }
        Some((HANDED_ON, serde_json::to_string(&ways).ok()?))
    })
}

/// The control socket of the connection lent for this host, alive or not.
pub(super) fn find(ssh: &Ssh) -> Option<PathBuf> {
    with(|lent| {
        lent.iter()
            .find(|lent| lent.way.host == *ssh)
            .map(|lent| lent.way.control.clone())
    })
}

/// It turned out to be dead.
pub(super) fn forget(ssh: &Ssh) {
    with(|lent| lent.retain(|lent| lent.way.host != *ssh));
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

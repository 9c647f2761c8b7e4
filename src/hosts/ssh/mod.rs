//! A daemon behind ssh: a local socket that leads to it through the user's own `ssh`, one connection per tunnel.
//! Never accepts a host key, never asks for a password, leaves no process and no socket behind.

mod folder;
mod hold;
mod words;
mod held;
mod command;
mod keys;
mod probe;
mod dial;
mod lend;
mod load;
mod open;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::domain::endpoint::Ssh;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::hosts::Unreached;

pub use hold::{Tools, held, hold, use_tools};
pub use lend::{hand_on, leave, lend};
pub use load::LoadReader;

/// A way to a daemon over one ssh connection. Dropping it ends that connection and every stream through it.
pub struct Tunnel {
    /// Where requests are sent to.
    socket: PathBuf,
    way: Way,
    /// Filled when the connection is over, with ssh's last words.
    ended: watch::Receiver<Option<Fault>>,
    /// The control socket: further sessions go through the same connection.
    control: PathBuf,
    ssh: Ssh,
    /// Owns the ssh process and, with [`Way::Sessions`], the streams.
    _tasks: JoinSet<()>,
    /// Declared last: the sockets go when nobody uses them any more.
    folder: Arc<folder::Folder>,
}

/// How streams cross the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A forwarded socket: as many streams as one likes.
    Forwarded,
    /// sshd refuses that: a session of `docker system dial-stdio` each, at most [`Tunnel::streams`] at once.
    Sessions,
}

impl Tunnel {
    /// Connects, makes the daemon's socket reachable and asks for a first answer through it.
    ///
    /// 1. A connection that a person made for this host ([`lend()`]) or, with `reuse_master`, the user's own is used first.
    /// 2. Call it on the runtime's thread: ssh ends with the thread that started it.
    /// 3. It takes no longer than forty seconds, most of them while somebody else is silent.
    pub async fn open(host: &HostName, ssh: &Ssh) -> Result<Self, Unreached> {
        open::open(host, ssh).await
    }

    /// The local socket, in a folder that only this user may enter.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// How many streams fit at once; the next ones wait until one of them ends.
    #[must_use]
    pub fn streams(&self) -> Option<usize> {
        match self.way {
            Way::Forwarded => None,
            Way::Sessions => Some(dial::SESSIONS),
        }
    }

    /// Waits until the connection is over: the link lost, ssh killed, sshd gone. Noticed within fifteen seconds.
    pub fn closed(&self) -> impl Future<Output = Fault> + Send + use<> {
        let mut ended = self.ended.clone();
        async move {
            match ended.wait_for(Option::is_some).await.map(|fault| fault.clone()) {
                Ok(Some(fault)) => fault,
                Ok(None) | Err(_) => Fault::new("keep the ssh connection", "it was given up"),
            }
        }
    }

    /// Whether [`Tunnel::closed`] would say so now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Begins to read the host's figures, through one more session of the same connection; without a data root all but the
    /// disk's.
    pub fn load(&self, data_root: Result<&str, String>) -> Result<LoadReader, Fault> {
        let commands = command::Commands::new(&self.folder, &self.ssh)?;
        LoadReader::start(&commands, &self.control, data_root)
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel")
            .field("socket", &self.socket)
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

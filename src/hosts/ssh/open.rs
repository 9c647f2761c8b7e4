//! Opens a tunnel: chooses its connection and the way to the daemon's socket, and reports what went wrong.
//! Every step has a limit; if one fails, the earlier ones are undone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::command::Commands;
use super::folder::Folder;
use super::held::Held;
use super::probe::{self, Answer};
use super::words::{self, Keys, Words};
use super::{Tunnel, Way, dial, keys, lend};
use crate::domain::endpoint::{Endpoint, Ssh};
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::hosts::Unreached;

/// ssh's own limit of ten seconds counts for one hop; a jump host and the login come on top.
const CONNECT_LIMIT: Duration = Duration::from_secs(22);
/// Many hosts are often behind one jump host, whose sshd refuses more than ten logins at once (`MaxStartups`).
static LOGINS: Semaphore = Semaphore::const_new(8);
/// Behind hosts that do not answer nobody waits longer than this.
const PATIENCE: Duration = Duration::from_secs(2);
/// As ssh says it, so that it is judged alike.
const TOO_LATE: &str = "the login timed out";
/// Talking to a process on this machine.
const LOCAL_LIMIT: Duration = Duration::from_secs(5);
/// A forwarded socket that leads somewhere has answered by then, over any link one would work on.
const PING_LIMIT: Duration = Duration::from_secs(3);
/// How often it is looked whether ssh has made its socket; well below what a login takes.
const LOOK: Duration = Duration::from_millis(8);

/// What is needed at every step.
struct Opening<'a> {
    what: String,
    ssh: &'a Ssh,
    folder: &'a Folder,
    commands: Commands<'a>,
}

pub(super) async fn open(host: &HostName, ssh: &Ssh) -> Result<Tunnel, Unreached> {
    let folder = Folder::shared().map_err(Unreached::Fault)?;
    let opening = Opening {
        what: format!("reach {host} at {}", Endpoint::Ssh(ssh.clone())),
        ssh,
        folder: &folder,
        commands: Commands::new(&folder, ssh).map_err(Unreached::Fault)?,
    };
    let socket = folder.socket('s').map_err(Unreached::Fault)?;
    let (control, held) = opening.forwarded(&socket).await?;
    let mut tasks = JoinSet::new();
    let (ended, seen) = watch::channel(None);
    tasks.spawn(watch_over(held, opening.what.clone(), ssh.host.clone(), ended));
    let (socket, way) = match probe::socket(&socket, PING_LIMIT).await {
        Answer::Spoke | Answer::Silent => (socket, Way::Forwarded),
        Answer::Closed => {
            let (socket, listener) = opening.sessions(&control, &seen).await?;
            let (ssh, folder, control) = (ssh.clone(), Arc::clone(&folder), control.clone());
            tasks.spawn(dial::serve(
                listener,
                Box::new(move || dial::session(&Commands::new(&folder, &ssh).ok()?, &control, &ssh.socket)),
            ));
            (socket, Way::Sessions)
        }
    };
    Ok(Tunnel {
        socket,
        way,
        ended: seen,
        control,
        ssh: ssh.clone(),
        _tasks: tasks,
        folder,
    })
}

/// Keeps the process and says why it ended.
async fn watch_over(mut held: Held, what: String, host: String, ended: watch::Sender<Option<Fault>>) {
    held.end().await;
    let fault = words::judge(what, &host, &held.words, Keys::Open).fault();
    tracing::info!(%fault, "an ssh connection is over");
    ended.send_replace(Some(fault));
}

impl Opening<'_> {
    /// A connection, its control socket, and `socket` listening for it.
    async fn forwarded(&self, socket: &Path) -> Result<(PathBuf, Held), Unreached> {
        if self.ssh.reuse_master {
            let control = self.own_master().await?;
            return Ok((control.clone(), self.beside(&control, socket).await?));
        }
        if let Some(control) = lend::find(self.ssh) {
            if self.run(self.commands.check(&control)).await.is_ok() {
                return Ok((control.clone(), self.beside(&control, socket).await?));
            }
            lend::forget(&control);
        }
        let control = self.folder.socket('c').map_err(Unreached::Fault)?;
        let held = self.connection(&control).await?;
        self.run(self.commands.forward(&control, socket))
            .await
            .map_err(|words| self.fault(words.last_or("refused")))?;
        Ok((control, held))
    }

    /// A connection of ours. Its control socket appears when the login went through.
    async fn connection(&self, control: &Path) -> Result<Held, Unreached> {
        let _turn = tokio::time::timeout(PATIENCE, LOGINS.acquire()).await;
        let mut held = self.start(self.commands.connection(control))?;
        tokio::select! {
            () = appears(control) => return Ok(held),
            _ = held.end() => {}
            () = tokio::time::sleep(CONNECT_LIMIT) => held.words.push(TOO_LATE),
        }
        let keys = if words::is_denied(&held.words) {
            keys::look(&self.commands).await
        } else {
            Keys::Open
        };
        Err(self.judge(&held.words, keys))
    }

    /// Where the user's own control master listens, and that it lives.
    async fn own_master(&self) -> Result<PathBuf, Unreached> {
        let settings = keys::settings(&self.commands, None).await.unwrap_or_default();
        let Some(control) = keys::value(&settings, "controlpath").filter(|path| *path != "none") else {
            return Err(Unreached::Fault(
                Fault::new(
                    self.what.clone(),
                    "reuse_master is set, but ssh_config has no ControlPath for this host",
                )
                .hint("set ControlPath there, or remove reuse_master"),
            ));
        };
        let control = PathBuf::from(control);
        match self.run(self.commands.check(&control)).await {
            Ok(()) => Ok(control),
            Err(words) => Err(Unreached::NeedsPerson(
                Fault::new(
                    self.what.clone(),
                    words.last_or("your ControlMaster is not running"),
                )
                .hint(format!(
                    "press Enter here to start your ControlMaster, or run `ssh -fNM {}`",
                    self.host()
                )),
            )),
        }
    }

    /// A process of ours that listens and uses somebody else's connection.
    async fn beside(&self, control: &Path, socket: &Path) -> Result<Held, Unreached> {
        let mut held = self.start(self.commands.forward_beside(control, socket))?;
        tokio::select! {
            () = appears(socket) => Ok(held),
            _ = held.end() => Err(self.judge(&held.words, Keys::Open)),() = tokio::time::sleep(LOCAL_LIMIT) => Err(self.fault("its ControlMaster does not answer".to_owned())),
        }
    }

    /// The way that needs no forwarding: proven by one session, then a socket of our own.
    async fn sessions(
        &self,
        control: &Path,
        ended: &watch::Receiver<Option<Fault>>,
    ) -> Result<(PathBuf, UnixListener), Unreached> {
        let remote = &self.ssh.socket;
        let command = dial::session(&self.commands, control, remote)
            .ok_or_else(|| self.fault(format!("{} cannot be quoted", remote.display())))?;
        if let Err(words) = dial::try_out(command).await {
            // The connection itself broke meanwhile: its own words say more.
            if let Some(fault) = ended.borrow().clone() {
                return Err(Unreached::Fault(fault));
            }
            return Err(Unreached::Fault(behind(self.what.clone(), remote, &words)));
        }
        let socket = self.folder.socket('d').map_err(Unreached::Fault)?;
        let listener = UnixListener::bind(&socket).map_err(|error| self.fault(error.to_string()))?;
        Ok((socket, listener))
    }

    fn start(&self, command: std::process::Command) -> Result<Held, Unreached> {
        Held::start(command).map_err(|error| self.fault(format!("ssh could not be started: {error}")))
    }

    /// A short command on this machine; its words if it failed.
    async fn run(&self, command: std::process::Command) -> Result<(), Words> {
        let wrong = |error: std::io::Error| Words::of(error.to_string().as_bytes());
        let mut held = Held::start(command).map_err(wrong)?;
        match tokio::time::timeout(LOCAL_LIMIT, held.end()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(std::mem::take(&mut held.words)),
            Err(_) => Err(Words::of(b"ssh on this machine does not answer")),
        }
    }

    fn judge(&self, words: &Words, keys: Keys) -> Unreached {
        words::judge(self.what.clone(), &self.host(), words, keys)
    }

    fn fault(&self, why: String) -> Unreached {
        Unreached::Fault(Fault::new(self.what.clone(), why))
    }

    /// What the user gives to ssh.
    fn host(&self) -> String {
        match &self.ssh.user {
            Some(user) => format!("{user}@{}", self.ssh.host),
            None => self.ssh.host.clone(),
        }
    }
}

/// Ends when the path is there.
async fn appears(path: &Path) {
    while std::fs::symlink_metadata(path).is_err() {
        tokio::time::sleep(LOOK).await;
    }
}

/// ssh is through, the daemon behind it is not: Docker's command line on the far side said why.
fn behind(what: String, socket: &Path, words: &Words) -> Fault {
    let said = words.last_or("closed without a message");
    let socket = socket.display();
    let hint = if said.contains("permission denied") {
        "add the ssh user to the docker group on the host (sudo usermod -aG docker USER)".to_owned()
    } else if said.contains("Cannot connect") {
        format!("is the daemon running there, and is {socket} its socket?")
    } else {
        format!(
            "is the daemon running there, is {socket} its socket, may the ssh user open it, does sshd allow forwarding (AllowStreamLocalForwarding)?"
        )
    };
    Fault::new(what, format!("logged in, but {socket} does not answer: {said}")).hint(hint)
}

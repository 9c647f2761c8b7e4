//! If sshd refuses to forward sockets: a local socket whose every connection becomes a session
//! of `docker system dial-stdio` over the same ssh connection. At most eight at once; further ones wait.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::command::Commands;
use super::held::Held;
use super::hold::quoted;
use super::probe::{self, Answer};
use super::words::Words;

/// sshd allows ten sessions on a connection by default (`MaxSessions`); two stay for the host's figures and for luck.
pub(super) const SESSIONS: usize = 8;
/// Docker's command line has to start on the far side.
const START_LIMIT: Duration = Duration::from_secs(8);

/// Makes one more `dial-stdio` session.
pub(super) type Dial = Box<dyn Fn() -> Option<std::process::Command> + Send>;

/// `None` for a path that no shell can be told of.
pub(super) fn session(
    commands: &Commands<'_>,
    control: &Path,
    remote: &Path,
) -> Option<std::process::Command> {
    let mut address = std::ffi::OsString::from("unix://");
    address.push(remote);
    let line = format!("exec docker --host {} system dial-stdio", quoted(&address)?);
    let mut command = commands.session(control, &line)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command)
}

/// Whether the daemon answers this way, and what was said if it does not.
pub(super) async fn try_out(command: std::process::Command) -> Result<(), Words> {
    let mut held = Held::start(command).map_err(|error| Words::of(error.to_string().as_bytes()))?;
    let (Some(stdin), Some(stdout)) = (held.child.stdin.take(), held.child.stdout.take()) else {
        return Err(Words::default());
    };
    match probe::stream_within(tokio::io::join(stdout, stdin), START_LIMIT).await {
        Answer::Spoke => Ok(()),
        Answer::Closed => {
            held.listen().await;
            Err(std::mem::take(&mut held.words))
        }
        Answer::Silent => Err(Words::of(b"docker system dial-stdio does not answer")),
    }
}

/// Accepts for as long as it is polled; dropping it ends every session.
pub(super) async fn serve(listener: UnixListener, dial: Dial) {
    let permits = Arc::new(Semaphore::new(SESSIONS));
    let mut sessions = JoinSet::new();
    loop {
        while sessions.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Some(command) = dial() {
                    sessions.spawn(pipe(stream, command, permit));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to be piped over ssh could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn pipe(stream: UnixStream, command: std::process::Command, _permit: OwnedSemaphorePermit) {
    let mut held = match Held::start(command) {
        Ok(held) => held,
        Err(error) => {
            tracing::warn!(%error, "ssh could not be started for a stream");
            return;
        }
    };
    let (Some(mut stdin), Some(mut stdout)) = (held.child.stdin.take(), held.child.stdout.take()) else {
        return;
    };
    let (mut from_us, mut to_us) = stream.into_split();
    let up = async {
        let copied = tokio::io::copy(&mut from_us, &mut stdin).await;
        // Closed, so that the far side sees the end of a request body or of an attached input.
        drop(stdin);
        copied
    };
    let down = async {
        let copied = tokio::io::copy(&mut stdout, &mut to_us).await;
        to_us.shutdown().await.and(copied)
    };
    let rest = async {
        let (sent, ()) = tokio::join!(up, held.listen());
        if let Err(error) = sent {
            tracing::debug!(%error, "a stream over ssh broke on its way there");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        // The daemon's side is done: nobody reads what may still come from ours.
        ended = down => if let Err(error) = ended {
            tracing::debug!(%error, "a stream over ssh broke on its way back");
        },
        () = rest => {}
    }
}

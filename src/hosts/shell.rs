//! A shell in a container on the controlling terminal: input, output and window size.
//! Leaves nothing running: closing the connection does not end the shell, so a watcher in the container does.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::connect::Daemon;
use super::trouble::Trouble;
use super::tty::Tty;
use super::wire::{ReadWire, Wire};
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, HostName};

/// To create and start an exec; container runtimes take some 100 ms.
const START_LIMIT: Duration = Duration::from_secs(20);
const ASK_LIMIT: Duration = Duration::from_secs(5);
/// After the output ended the exit code is there at once; a loaded daemon is given this many looks.
const LOOKS: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// bash where there is one. `exec` keeps the process, so the exit code is the shell's own.
const ANY_SHELL: &str = "command -v bash >/dev/null 2>&1 && exec bash; exec sh";
/// All that carries the mark, which children inherit: hung up first, killed after a second.
const END_MARKED: &str = r#"marked() { for p in /proc/[0-9]*; do case "$(cat "$p/environ" 2>/dev/null | tr '\000' ' ')" in *"$1"*) [ "${p#/proc/}" = $$ ] || kill "$2" "${p#/proc/}" 2>/dev/null;; esac; done; }
marked "PILOTHOUSE_SHELL=$0" -HUP; sleep 1; marked "PILOTHOUSE_SHELL=$0" -KILL"#;

/// Beside the shell, without a terminal: the daemon closes its input when our connection goes, also when we were killed.
/// A word means that all is well. Not marked itself.
const WATCH: &str = "IFS= read -r word && exit 0\n";

/// How a shell on the terminal ended, if not by itself.
enum Ended {
    ByItself,
    /// It never began.
    NoShell,
    /// The terminal is gone, or the program ends.
    LeftAlone,
    /// The host does not answer any more, whatever the connection looks like.
    HostLost,
}

/// Runs until the shell ends or its host is lost; its exit code. The terminal must be raw, and nobody else may read it.
/// `door` is the one that the daemon came through.
pub(super) async fn shell(
    daemon: &Daemon,
    container: &ContainerId,
    door: watch::Receiver<Option<Daemon>>,
    shutdown: &CancellationToken,
) -> Result<i32, Fault> {
    let wire = daemon.change_wire()?;
    let what = format!("open a shell in {} on {}", container.short(), daemon.name());
    let tty = Tty::open().map_err(|fault| Fault::new(&what, fault).hint("is there a terminal?"))?;
    let mark = format!("{:016x}", fastrand::u64(..));
    let fault = |trouble: Trouble| explained(&what, &trouble, daemon);
    let watcher = watch(daemon.name(), wire, container, &mark).await;
    let exec = create(wire, container, &mark).await.map_err(fault)?;
    // Ends what it started also when this future is dropped.
    let mut leftovers = Leftovers {
        daemon: Some(daemon.clone()),
        container: container.clone(),
        mark,
    };
    let ended = tokio::select! {
        biased;
        () = shutdown.cancelled() => Ended::LeftAlone,
        () = lost(door) => Ended::HostLost,
        ended = converse(wire, &exec, &tty) => ended.map_err(fault)?,
    };
    match ended {
        Ended::LeftAlone => {
            leftovers.end().await;
            Err(Fault::new(what, "the terminal is gone; the shell was ended"))
        }
        // Its watcher ends it in the container; to ask for that as well nobody waits.
        Ended::HostLost => Err(Fault::new(
            what,
            "the host no longer answers; the shell on it will end by itself",
        )
        .hint("its daemon may hang, or the network is down: see the hosts page")),
        Ended::NoShell => {
            leftovers.daemon = None;
            dismiss(watcher).await;
            Err(no_shell(what))
        }
        Ended::ByItself => {
            if let Some(code) = exit_code(wire, &exec).await.map_err(fault)? {
                leftovers.daemon = None;
                dismiss(watcher).await;
                return Ok(code);
            }
            leftovers.end().await;
            Err(Fault::new(what, "the connection broke; the shell was ended"))
        }
    }
}

/// Where it cannot be started the shell is ended by us alone, as long as we live.
async fn watch(
    host: &HostName,
    wire: &Wire,
    container: &ContainerId,
    mark: &str,
) -> Option<impl AsyncRead + AsyncWrite + Unpin + use<>> {
    let body = json!({
        "AttachStdin": true, "AttachStdout": true, "AttachStderr": false, "Tty": false,
        "Cmd": ["sh", "-c", format!("{WATCH}{END_MARKED}"), mark],
    });
    let started = async {
        let exec = made(wire, container, &body).await?;
        let start = json!({ "Detach": false, "Tty": false });
        wire.upgrade(&format!("/exec/{exec}/start"), &start, START_LIMIT)
            .await
    };
    match started.await {
        Ok(stream) => Some(stream),
        Err(trouble) => {
            tracing::warn!(%host, container = %container.short(), %trouble, "nobody watches a shell");
            None
        }
    }
}

/// Gone when this returns, or soon after.
async fn dismiss(watcher: Option<impl AsyncRead + AsyncWrite + Unpin>) {
    let Some(mut watcher) = watcher else { return };
    let gone = async {
        watcher.write_all(b"done\n").await?;
        // It says nothing: its output ends with it.
        tokio::io::copy(&mut watcher, &mut tokio::io::sink()).await
    };
    if !matches!(tokio::time::timeout(ASK_LIMIT, gone).await, Ok(Ok(_))) {
        tracing::debug!("the watcher of a shell was left");
    }
}

async fn create(wire: &Wire, container: &ContainerId, mark: &str) -> Result<String, Trouble> {
    let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
    let body = json!({
        "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": true,
        "Cmd": ["sh", "-c", ANY_SHELL],
        "Env": [format!("PILOTHOUSE_SHELL={mark}"), format!("TERM={term}")],
    });
    made(wire, container, &body).await
}

/// Makes an exec; its id.
async fn made(wire: &Wire, container: &ContainerId, body: &Value) -> Result<String, Trouble> {
    let path = format!("/containers/{container}/exec");
    let answer = wire.post(&path, body, START_LIMIT).await?;
    serde_json::from_slice::<Value>(&answer)
        .ok()
        .and_then(|answer| answer.pointer("/Id")?.as_str().map(str::to_owned))
        .filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .ok_or_else(|| Trouble::Unreadable("no exec id".to_owned()))
}

/// A hung daemon keeps its connections open and silent: the pings of the host's own connection notice it.
async fn lost(mut door: watch::Receiver<Option<Daemon>>) {
    if door.borrow_and_update().is_some() {
        // An error: nobody watches the host any more.
        drop(door.changed().await);
    }
}

/// Both ways at once: a write that waits for the daemon holds up neither its output nor whoever ends this.
async fn converse(wire: &Wire, exec: &str, tty: &Tty) -> Result<Ended, Trouble> {
    let start = json!({ "Detach": false, "Tty": true });
    let stream = wire
        .upgrade(&format!("/exec/{exec}/start"), &start, START_LIMIT)
        .await?;
    let (output, input) = tokio::io::split(stream);
    let resized = signal(SignalKind::window_change()).map_err(Trouble::Open)?;
    resize(wire, exec, tty).await;
    Ok(tokio::select! {
        biased;
        ended = listen(wire, exec, tty, (resized, input)) => ended,
        ended = show(tty, output) => ended,
    })
}

/// What is typed goes in, and the size.
async fn listen(
    wire: &Wire,
    exec: &str,
    tty: &Tty,
    (mut resized, mut input): (Signal, impl AsyncWrite + Unpin),
) -> Ended {
    let mut typed = vec![0; 4 << 10];
    loop {
        tokio::select! {
            biased;
            // Before what was typed: a program started with these keys looks at the size.
            _ = resized.recv() => resize(wire, exec, tty).await,
            read = tty.read(&mut typed) => match read {
                Ok(count) if count > 0 => {
                    let keys = typed.get(..count).unwrap_or_default();
                    if input.write_all(keys).await.is_err() {
                        return Ended::ByItself;
                    }
                }
                Ok(_) | Err(_) => return Ended::LeftAlone,
            },
        }
    }
}

/// What it writes comes out.
async fn show(tty: &Tty, mut output: impl AsyncRead + Unpin) -> Ended {
    let mut shown = vec![0; 32 << 10];
    loop {
        let bytes = match output.read(&mut shown).await {
            Ok(0) | Err(_) => return Ended::ByItself,
            Ok(count) => shown.get(..count).unwrap_or_default(),
        };
        // The runtime's words are told as a fault, not painted.
        if bytes.starts_with(b"OCI runtime exec failed") {
            return Ended::NoShell;
        }
        if tty.write_all(bytes).await.is_err() {
            return Ended::LeftAlone;
        }
    }
}

/// Fails harmlessly for a shell that has just ended.
async fn resize(wire: &Wire, exec: &str, tty: &Tty) {
    let Ok((columns, rows)) = tty.size() else { return };
    let path = format!("/exec/{exec}/resize?h={rows}&w={columns}");
    if let Err(trouble) = wire.post(&path, &Value::Null, ASK_LIMIT).await {
        tracing::debug!(%trouble, "resize");
    }
}

/// `None` when it still runs though its output ended: the connection broke.
async fn exit_code(wire: &ReadWire, exec: &str) -> Result<Option<i32>, Trouble> {
    for _ in 0..LOOKS {
        let seen: Value = wire.get_json(&format!("/exec/{exec}/json"), ASK_LIMIT).await?;
        let is_running = seen.pointer("/Running").and_then(Value::as_bool).unwrap_or(false);
        let code = seen.pointer("/ExitCode").and_then(Value::as_i64);
        if let (false, Some(code)) = (is_running, code) {
            return Ok(i32::try_from(code).ok());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(None)
}

fn no_shell(what: impl Into<String>) -> Fault {
    Fault::new(what, "there is no shell in it, neither bash nor sh")
        .hint("its log (l) and its inspection (i) can be read without one")
}

fn explained(what: &str, trouble: &Trouble, daemon: &Daemon) -> Fault {
    match trouble {
        Trouble::Refused { message, .. }
            if message.contains("executable file not found") || message.contains("no such file") =>
        {
            no_shell(what)
        }
        Trouble::Refused { status: 409, message } => {
            Fault::new(what, message).hint("it must be running for that (s)")
        }
        other => other.fault(what, &daemon.host().endpoint),
    }
}

/// What a shell leaves behind when its connection goes.
struct Leftovers {
    /// Absent when there are none.
    daemon: Option<Daemon>,
    container: ContainerId,
    mark: String,
}

impl Leftovers {
    async fn end(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            end(daemon, self.container.clone(), self.mark.clone()).await;
        }
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let (Some(daemon), Ok(runtime)) = (self.daemon.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(end(daemon, self.container.clone(), self.mark.clone()));
        }
    }
}

/// Starts the ending in the container; it goes on there without us.
async fn end(daemon: Daemon, container: ContainerId, mark: String) {
    let body = json!({ "AttachStdout": false, "Cmd": ["sh", "-c", END_MARKED, mark] });
    let ended = async {
        let wire = daemon.change_wire().map_err(|_fault: Fault| Trouble::ReadOnly)?;
        let exec = made(wire, &container, &body).await?;
        let start = json!({ "Detach": true, "Tty": false });
        wire.post(&format!("/exec/{exec}/start"), &start, START_LIMIT)
            .await
    };
    if let Err(trouble) = ended.await {
        tracing::warn!(host = %daemon.name(), container = %container.short(), %trouble, "a shell may still run");
    }
}

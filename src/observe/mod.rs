//! Pilothouse's own log: `tracing` to a file of the state folder, bounded in size and age, including panics.
//! Never writes to the terminal, and never logs secrets: each event chooses its fields.

mod file;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::OwnLog;
use crate::domain::fault::Fault;
use file::LogFile;

/// Lines waiting for the disk; a stuck disk must not eat memory, so what is beyond is dropped (and counted by the appender).
const WAITING_LINES: usize = 1_024;

/// Files that have not been written for so long are removed at the next start.
const OLDEST: Duration = Duration::from_hours(30 * 24);

/// Flushes what is waiting when it is dropped: keep it until the end of `main`.
#[must_use = "the log stops when this is dropped"]
pub struct Observed {
    _flush: WorkerGuard,
    path: PathBuf,
}

impl Observed {
    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Why there is no log.
#[derive(Debug)]
pub enum Unlogged {
    /// The configuration's level is none.
    Level(Fault),
    /// The file cannot be written: no reason to stop.
    File(Fault),
}

/// Begins logging to `dir/pilothouse.log` (0600).
pub fn start(dir: &Path, settings: &OwnLog) -> Result<Observed, Unlogged> {
    let filter = EnvFilter::try_new(&settings.level).map_err(|error| {
        let fault = Fault::new(format!("read the log level {:?}", settings.level), error);
        Unlogged::Level(fault.hint("try `info` or `pilothouse=debug`"))
    })?;
    let file = make_private(dir)
        .and_then(|()| LogFile::open(dir, settings.max_bytes, settings.keep_files, OLDEST))
        .map_err(|error| {
            let fault = Fault::new(format!("write the log in {}", dir.display()), error);
            Unlogged::File(fault.hint("the program continues without a log"))
        })?;
    let (writer, flush) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .finish(file);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(writer)
        .finish();
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| Unlogged::File(Fault::new("begin logging", error)))?;
    log_panics();
    Ok(Observed {
        _flush: flush,
        path: dir.join(file::NAME),
    })
}

/// Made for the user alone if it is not there yet.
fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// A panic is written down before whatever hook was there (the terminal's) has its turn.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::force_capture();
        tracing::error!(%place, %backtrace, "panic: {}", panic.payload_as_str().unwrap_or("no message"));
        before(panic);
    }));
}

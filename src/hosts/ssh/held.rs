//! One ssh process: started from the runtime's thread, its messages kept, ended with everything it started.
//! Independent of tunnels.

use std::io;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr};

use super::words::Words;

/// A line of stderr without an end is cut here.
const LONGEST_READ: u64 = 4 << 10;

/// Dropping it ends the process and its group.
pub(super) struct Held {
    pub(super) child: Child,
    stderr: Option<BufReader<ChildStderr>>,
    /// The line that is being read, so that nothing is lost when the reading is cut off.
    line: Vec<u8>,
    pub(super) words: Words,
}

impl Held {
    /// Not from `spawn_blocking`: what is held ends with the thread that started it.
    pub(super) fn start(command: Command) -> io::Result<Self> {
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child
            .stderr
            .take()
            .map(|stderr| BufReader::with_capacity(1 << 10, stderr));
        Ok(Self {
            child,
            stderr,
            line: Vec::new(),
            words: Words::default(),
        })
    }

    /// Takes in what it says until it closes its stderr. May be cut off and called again.
    pub(super) async fn listen(&mut self) {
        while let Some(stderr) = &mut self.stderr {
            match stderr.take(LONGEST_READ).read_until(b'\n', &mut self.line).await {
                Ok(0) | Err(_) => self.stderr = None,
                Ok(_) => self.words.push(&String::from_utf8_lossy(&self.line)),
            }
            self.line.clear();
        }
    }

    /// Listens, then waits for its end; whether it went well. May be cut off and called again.
    pub(super) async fn end(&mut self) -> bool {
        self.listen().await;
        match self.child.wait().await {
            Ok(status) => status.success(),
            Err(error) => {
                self.words.push(&error.to_string());
                false
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Reaped already: its number may be somebody else's.
        let Some(group) = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
        else {
            return;
        };
        // It leads a group of its own, unless it did not come that far; then `kill_on_drop` is enough.
        if let Err(error) = kill_process_group(group, Signal::TERM) {
            tracing::trace!(%error, "the group of an ssh is gone already");
        }
    }
}

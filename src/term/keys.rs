//! Keys from the controlling terminal, read through a non-blocking handle of this program.
//! Dropped while the terminal is lent; a closed terminal is an error, never a busy loop.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::io::unix::AsyncFd;

use super::escape::{Input, Parser};

/// A sequence of one key arrives whole within it, also over a slow link; nobody notices it after Escape.
const ESCAPE_WAIT: Duration = Duration::from_millis(40);

#[derive(Debug)]
pub struct Keys {
    terminal: AsyncFd<File>,
    parser: Parser,
    /// Read, but not yet asked for.
    found: VecDeque<Input>,
}

impl Keys {
    /// Needs the runtime.
    #[expect(
        deprecated,
        reason = "its successor is unsafe; a `File` owns its descriptor until it is dropped, which is what is asked for"
    )]
    pub fn open() -> io::Result<Self> {
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits());
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.map_err(io::Error::other)?)
            .open("/dev/tty")?;
        Ok(Self {
            terminal: AsyncFd::with_interest(file, tokio::io::Interest::READABLE)?,
            parser: Parser::default(),
            found: VecDeque::new(),
        })
    }

    /// The next key or paste. Nothing is lost when this future is dropped before it is ready.
    pub async fn next(&mut self) -> io::Result<Input> {
        loop {
            if let Some(input) = self.found.pop_front() {
                return Ok(input);
            }
            if self.parser.is_waiting() {
                match tokio::time::timeout(ESCAPE_WAIT, self.read()).await {
                    Ok(read) => read?,
                    Err(_elapsed) => self.found.extend(self.parser.give_up()),
                }
            } else {
                self.read().await?;
            }
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 1024];
        loop {
            let mut ready = self.terminal.readable().await?;
            match ready.try_io(|file| file.get_ref().read(&mut bytes)) {
                Ok(Ok(0)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Ok(count)) => {
                    let bytes = bytes.get(..count).unwrap_or_default();
                    self.parser.feed(bytes, &mut self.found);
                    return Ok(());
                }
                Ok(Err(fault)) if fault.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(fault)) => return Err(fault),
                // Somebody else read it first; wait again.
                Err(_would_block) => {}
            }
        }
    }
}

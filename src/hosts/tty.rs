//! The controlling terminal, opened again in non-blocking mode: no thread waits on it, so no later key is lost.
//! Passes bytes only; raw mode is up to the screen.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{Winsize, tcgetwinsize};
use tokio::io::unix::AsyncFd;

pub(super) struct Tty {
    fd: AsyncFd<OwnedFd>,
}

impl Tty {
    #[expect(
        deprecated,
        reason = "an OwnedFd stays open and the same while it is registered; the successor is unsafe code, forbidden here"
    )]
    pub(super) fn open() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = rustix::fs::open("/dev/tty", flags, Mode::empty())?;
        Ok(Self {
            fd: AsyncFd::new(fd)?,
        })
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        let Winsize { ws_col, ws_row, .. } = tcgetwinsize(self.fd.get_ref())?;
        Ok((ws_col, ws_row))
    }

    /// What was typed; zero bytes when the terminal is gone. Nothing is lost when this is cancelled.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.fd.readable().await?;
            match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *buffer)?)) {
                Ok(read) => return read,
                Err(_would_block) => {}
            }
        }
    }

    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.fd.writable().await?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), bytes)?)) {
                Ok(written) => bytes = bytes.get(written?..).unwrap_or_default(),
                Err(_would_block) => {}
            }
        }
        Ok(())
    }
}

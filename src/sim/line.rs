//! A connection that can be made to misbehave: stay silent, break off.
//! Knows bytes only; what they say is `http`'s.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;

/// All connections of one engine, and what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    hung: bool,
    next: u64,
    lines: BTreeMap<u64, State>,
}

#[derive(Debug, Default)]
struct State {
    is_broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lines {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(self: &Arc<Self>, stream: UnixStream) -> Line {
        let mut all = self.all();
        all.next += 1;
        let id = all.next;
        all.lines.insert(id, State::default());
        Line {
            id,
            stream,
            lines: Arc::clone(self),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.all().lines.len()
    }

    pub(super) fn hang(&self, hung: bool) {
        let mut all = self.all();
        all.hung = hung;
        all.wake();
    }

    pub(super) fn is_hung(&self) -> bool {
        self.all().hung
    }

    pub(super) fn cut_all(&self) {
        let mut all = self.all();
        for line in all.lines.values_mut() {
            line.is_broken = true;
        }
        all.wake();
    }
}

impl All {
    fn wake(&mut self) {
        for line in self.lines.values_mut() {
            for waker in [line.reader.take(), line.writer.take()].into_iter().flatten() {
                waker.wake();
            }
        }
    }
}

/// One connection as the server sees it.
#[derive(Debug)]
pub(super) struct Line {
    id: u64,
    stream: UnixStream,
    lines: Arc<Lines>,
}

impl Line {
    /// `Ready(Ok)`: go on.
    fn admitted(&self, context: &Context<'_>, writes: Direction) -> Poll<io::Result<()>> {
        let mut all = self.lines.all();
        let hung = all.hung;
        let Some(state) = all.lines.get_mut(&self.id) else {
            return Poll::Ready(Err(broken()));
        };
        let waker = Some(context.waker().clone());
        match writes {
            Direction::Read => state.reader = waker,
            Direction::Write => state.writer = waker,
        }
        if state.is_broken {
            Poll::Ready(Err(broken()))
        } else if hung {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut by the simulation")
}

impl Drop for Line {
    fn drop(&mut self) {
        self.lines.all().lines.remove(&self.id);
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.admitted(context, Direction::Read) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.admitted(context, Direction::Write) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

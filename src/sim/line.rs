//! A connection that can be made to misbehave: stay silent, break off, break off in the middle of a frame.
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
    fate: Fate,
    streaming: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Fate {
    #[default]
    Whole,
    /// Breaks off after so many more bytes are written.
    After(usize),
    Broken,
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

    /// Says that an endless answer runs on it: logs, events, stats, an attached terminal.
    pub(super) fn mark_streaming(&self, id: u64) {
        if let Some(line) = self.all().lines.get_mut(&id) {
            line.streaming = true;
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
            line.fate = Fate::Broken;
        }
        all.wake();
    }

    /// Every streaming connection breaks off `bytes` after what was written so far.
    pub(super) fn cut_streams(&self, bytes: usize) {
        let mut all = self.all();
        for line in all.lines.values_mut().filter(|line| line.streaming) {
            line.fate = if bytes == 0 {
                Fate::Broken
            } else {
                Fate::After(bytes)
            };
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
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// `Ready(Ok(limit))`: go on, writing at most `limit` bytes.
    fn admitted(&self, context: &Context<'_>, writes: Direction) -> Poll<io::Result<Option<usize>>> {
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
        match state.fate {
            Fate::Broken => Poll::Ready(Err(broken())),
            Fate::Whole | Fate::After(_) if hung => Poll::Pending,
            Fate::Whole => Poll::Ready(Ok(None)),
            Fate::After(left) => Poll::Ready(Ok(Some(left))),
        }
    }

    fn wrote(&self, bytes: usize) {
        if let Some(state) = self.lines.all().lines.get_mut(&self.id)
            && let Fate::After(left) = state.fate
        {
            state.fate = match left.saturating_sub(bytes) {
                0 => Fate::Broken,
                rest => Fate::After(rest),
            };
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
            Poll::Ready(Ok(_)) => Pin::new(&mut self.stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let limit = match self.admitted(context, Direction::Write) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(limit)) => limit.unwrap_or(bytes.len()),
        };
        let part = bytes.get(..limit).unwrap_or(bytes);
        let poll = Pin::new(&mut self.stream).poll_write(context, part);
        if let Poll::Ready(Ok(count)) = poll {
            self.wrote(count);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

//! The context as a tar stream for the classic builder, made on its own thread and passed on in pieces.
//! Keeps modes, times and links; every entry belongs to root.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tar::{EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::contents::Contents;
use super::{Context, Entry, Kind, Origin, Sent, Stopped, plainly, reading};
use crate::domain::fault::Fault;
use std::path::Path;

/// Size of one message of the channel.
const PIECE: usize = 64 << 10;
/// Enough that disk and network do not wait for each other; a quarter of a megabyte in memory.
const PIECES_AHEAD: usize = 4;

/// The stream, the walk behind it, and how many bytes went out so far.
pub(in super::super) struct Upload {
    pub(in super::super) pieces: mpsc::Receiver<io::Result<Bytes>>,
    pub(in super::super) walk: JoinHandle<Result<Sent, Stopped>>,
    pub(in super::super) bytes: Arc<AtomicU64>,
}

impl Context {
    /// Begins to walk; ends by itself when the stream is dropped.
    pub(in super::super) fn send(self: Arc<Self>) -> Upload {
        let (tx, pieces) = mpsc::channel(PIECES_AHEAD);
        let bytes = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&bytes);
        let walk = tokio::task::spawn_blocking(move || {
            let outcome = self.write(Pieces::new(tx.clone(), counter));
            if let Err(Stopped::Fault(fault)) = &outcome {
                // The request must fail, or the daemon would build from half a context. Nobody listening is fine.
                drop(tx.blocking_send(Err(io::Error::other(fault.to_string()))));
            }
            outcome
        });
        Upload { pieces, walk, bytes }
    }

    fn write(&self, pieces: Pieces) -> Result<Sent, Stopped> {
        let mut tar = tar::Builder::new(pieces);
        let mut contents = self.contents();
        let mut entries = 0;
        let skipped = self.walk(&mut |entry| {
            entries += 1;
            append(&mut tar, &mut contents, &entry)
        })?;
        let mut pieces = tar.into_inner().map_err(|_closed| Stopped::Unwanted)?;
        pieces.flush().map_err(|_closed| Stopped::Unwanted)?;
        Ok(Sent { entries, skipped })
    }
}

fn append(tar: &mut tar::Builder<Pieces>, contents: &mut Contents, entry: &Entry) -> Result<(), Stopped> {
    let path = match &entry.origin {
        Origin::Path(path) => path.as_path(),
        Origin::Object(_) => Path::new(&entry.path),
    };
    let written = match &entry.kind {
        Kind::Folder => {
            let mut header = header(entry, EntryType::Directory);
            tar.append_data(&mut header, format!("{}/", entry.path), io::empty())
        }
        Kind::Link { target } => {
            let mut header = header(entry, EntryType::Symlink);
            tar.append_link(&mut header, &entry.path, target)
        }
        Kind::File { size } => {
            let mut header = header(entry, EntryType::Regular);
            header.set_size(*size);
            let mut bytes = contents.open(&entry.origin, *size)?;
            let written = tar.append_data(&mut header, &entry.path, &mut bytes);
            if let Some(failed) = bytes.failed() {
                return Err(reading(path, &failed));
            }
            written
        }
    };
    written.map_err(|error| writing(path, &error))
}

/// Owned by root in the image, as Docker's own command sends it: the builder's users mean nothing there.
fn header(entry: &Entry, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(entry.mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(u64::try_from(entry.modified.seconds).unwrap_or(0));
    header
}

/// Gathers what the archive writes and hands it on in pieces; waits when the daemon is slower.
struct Pieces {
    tx: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
    sent: Arc<AtomicU64>,
}

impl Pieces {
    fn new(tx: mpsc::Sender<io::Result<Bytes>>, sent: Arc<AtomicU64>) -> Self {
        Self {
            tx,
            piece: BytesMut::with_capacity(PIECE),
            sent,
        }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE)).freeze();
        self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        self.tx
            .blocking_send(Ok(piece))
            .map_err(|_closed| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE.saturating_sub(self.piece.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.piece.extend_from_slice(taken);
        if self.piece.len() >= PIECE {
            self.hand_on()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        self.hand_on()
    }
}

fn writing(path: &Path, error: &io::Error) -> Stopped {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Stopped::Unwanted;
    }
    Stopped::Fault(Fault::new(format!("send {}", path.display()), plainly(error)))
}

//! The context folder of a build as a stream of tar: walked on a thread of its own, never whole in memory.
//! Sends what `.dockerignore` lets through, with modes, times and links as they are; changes nothing.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use tar::{EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ignore::Ignore;
use crate::domain::fault::Fault;

/// What one message of the channel holds.
const PIECE: usize = 64 << 10;
/// Enough that disk and network do not wait for each other; a quarter of a megabyte in memory.
const PIECES_AHEAD: usize = 4;
/// Names of skipped files that are said one by one.
const SKIPPED_NAMED: usize = 20;
/// An ignore file is written by hand.
const LARGEST_IGNORE_FILE: u64 = 1 << 20;

/// A folder that was looked at: it is there, the Dockerfile is in it, the patterns are understood.
#[derive(Debug)]
pub(super) struct Context {
    root: PathBuf,
    ignore: Ignore,
}

/// What was sent when the stream ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) entries: u64,
    pub(super) skipped: Skipped,
}

/// Sockets, pipes and devices: nothing that could be copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) named: Vec<String>,
    pub(super) total: usize,
}

/// Why the walk ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// Nobody takes what it sends any more.
    Unwanted,
    Fault(Fault),
}

/// The stream, the walk behind it, and how many bytes went out so far.
pub(super) struct Upload {
    pub(super) pieces: mpsc::Receiver<io::Result<Bytes>>,
    pub(super) walk: JoinHandle<Result<Sent, Stopped>>,
    pub(super) bytes: Arc<AtomicU64>,
}

impl Context {
    /// Looks before anything is sent. Blocks on the file system.
    pub(super) fn look(folder: &Path, dockerfile: &Path) -> Result<Self, Fault> {
        let what = format!("read the build context {}", folder.display());
        let root = std::fs::canonicalize(folder).map_err(|error| Fault::new(&what, plainly(&error)))?;
        if !root.is_dir() {
            return Err(Fault::new(what, "it is no folder")
                .hint("`context` names the folder that holds the Dockerfile"));
        }
        let named = root.join(dockerfile);
        let real = std::fs::canonicalize(&named).map_err(|error| {
            Fault::new(format!("read {}", named.display()), plainly(&error))
                .hint("`dockerfile` is a path within `context`; without it `Dockerfile` is taken")
        })?;
        if !real.starts_with(&root) {
            let why = format!("it leads out of the context, to {}", real.display());
            return Err(Fault::new(format!("use {}", named.display()), why)
                .hint("copy it into the context: Docker is sent nothing from outside"));
        }
        if !real.is_file() {
            return Err(Fault::new(format!("use {}", named.display()), "it is no file"));
        }
        let ignore = ignore(&root, dockerfile)?;
        Ok(Self { root, ignore })
    }

    /// Begins to walk; ends by itself when the stream is dropped.
    pub(super) fn send(self) -> Upload {
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
        let mut archive = Archive {
            tar: tar::Builder::new(pieces),
            sent: Sent::default(),
            folders: BTreeSet::new(),
        };
        self.folder(&mut archive, "")?;
        let mut pieces = archive.tar.into_inner().map_err(|_closed| Stopped::Unwanted)?;
        pieces.flush().map_err(|_closed| Stopped::Unwanted)?;
        Ok(archive.sent)
    }

    /// All in one folder, by name; `inside` is its path within the context.
    fn folder(&self, archive: &mut Archive, inside: &str) -> Result<(), Stopped> {
        let path = self.root.join(inside);
        let mut names = Vec::new();
        let entries = std::fs::read_dir(&path).map_err(|error| reading(&path, &error))?;
        for entry in entries {
            names.push(entry.map_err(|error| reading(&path, &error))?.file_name());
        }
        names.sort();
        for name in names {
            let path = path.join(&name);
            let metadata = match std::fs::symlink_metadata(&path) {
                Ok(metadata) => metadata,
                // Gone since the folder was read: as if it had never been there.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(reading(&path, &error)),
            };
            let name = name.to_string_lossy();
            let inside = if inside.is_empty() {
                name.into_owned()
            } else {
                format!("{inside}/{name}")
            };
            let excluded = self.ignore.excludes(&inside);
            if metadata.is_dir() {
                if !excluded {
                    archive.folder(&self.root, &inside)?;
                }
                if !excluded || self.ignore.excepts_within(&inside) {
                    self.folder(archive, &inside)?;
                }
            } else if !excluded {
                archive.parents(&self.root, &inside)?;
                archive.entry(&path, &inside, &metadata)?;
            }
        }
        Ok(())
    }
}

/// The ignore file of this Dockerfile, or the context's.
fn ignore(root: &Path, dockerfile: &Path) -> Result<Ignore, Fault> {
    let own = format!("{}.dockerignore", dockerfile.to_string_lossy());
    let (name, file) = match File::open(root.join(&own)) {
        Ok(file) => (own, Some(file)),
        Err(_) => match File::open(root.join(".dockerignore")) {
            Ok(file) => (".dockerignore".to_owned(), Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
            Err(error) => {
                let what = format!("read {}", root.join(".dockerignore").display());
                return Err(Fault::new(what, plainly(&error)));
            }
        },
    };
    let Some(file) = file else {
        return Ok(Ignore::default());
    };
    let shown = root.join(&name);
    let what = || format!("read {}", shown.display());
    let mut text = String::new();
    file.take(LARGEST_IGNORE_FILE)
        .read_to_string(&mut text)
        .map_err(|error| Fault::new(what(), plainly(&error)))?;
    let mut ignore = Ignore::parse(&text).map_err(|bad| {
        Fault::new(
            what(),
            format!("line {}: `{}`: {}", bad.line, bad.pattern, bad.why),
        )
    })?;
    ignore.keep(&name);
    let dockerfile: Vec<String> = dockerfile
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    ignore.keep(&dockerfile.join("/"));
    Ok(ignore)
}

/// What is written, and what of it is there already.
struct Archive {
    tar: tar::Builder<Pieces>,
    sent: Sent,
    /// Folders that have their entry: what is sent from an excluded folder brings it along.
    folders: BTreeSet<String>,
}

impl Archive {
    fn parents(&mut self, root: &Path, inside: &str) -> Result<(), Stopped> {
        for (at, _) in inside.match_indices('/') {
            if let Some(folder) = inside.get(..at) {
                self.folder(root, folder)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, root: &Path, inside: &str) -> Result<(), Stopped> {
        if self.folders.contains(inside) {
            return Ok(());
        }
        self.parents(root, inside)?;
        let path = root.join(inside);
        let metadata = std::fs::symlink_metadata(&path).map_err(|error| reading(&path, &error))?;
        let mut header = header(&metadata, EntryType::Directory);
        self.tar
            .append_data(&mut header, format!("{inside}/"), io::empty())
            .map_err(|error| writing(&path, &error))?;
        self.sent.entries += 1;
        self.folders.insert(inside.to_owned());
        Ok(())
    }

    fn entry(&mut self, path: &Path, inside: &str, metadata: &Metadata) -> Result<(), Stopped> {
        let kind = metadata.file_type();
        if kind.is_symlink() {
            let target = std::fs::read_link(path).map_err(|error| reading(path, &error))?;
            let mut header = header(metadata, EntryType::Symlink);
            self.tar
                .append_link(&mut header, inside, target)
                .map_err(|error| writing(path, &error))?;
        } else if kind.is_file() {
            let file = File::open(path).map_err(|error| reading(path, &error))?;
            // Of the open file: another one may stand there by now.
            let metadata = file.metadata().map_err(|error| reading(path, &error))?;
            let mut header = header(&metadata, EntryType::Regular);
            header.set_size(metadata.len());
            let mut contents = Exactly {
                file,
                left: metadata.len(),
                failed: None,
            };
            let written = self.tar.append_data(&mut header, inside, &mut contents);
            if let Some(failed) = contents.failed {
                return Err(reading(path, &failed));
            }
            written.map_err(|error| writing(path, &error))?;
        } else {
            let word = if kind.is_socket() {
                "a socket"
            } else if kind.is_fifo() {
                "a pipe"
            } else {
                "a device"
            };
            let skipped = &mut self.sent.skipped;
            skipped.total += 1;
            if skipped.named.len() < SKIPPED_NAMED {
                skipped.named.push(format!("{inside} ({word})"));
            }
            return Ok(());
        }
        self.sent.entries += 1;
        Ok(())
    }
}

/// Owned by root in the image, as Docker's own command sends it: the builder's users mean nothing there.
fn header(metadata: &Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
    header
}

/// As many bytes as the header promised: a file that grows is cut, one that shrinks is a fault.
struct Exactly {
    file: File,
    left: u64,
    /// Told apart from a failure to write.
    failed: Option<io::Error>,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let room = buffer.get_mut(..wanted).unwrap_or_default();
        let outcome = match self.file.read(room) {
            Ok(0) => Err(io::Error::other("it became shorter while it was read")),
            other => other,
        };
        match outcome {
            Ok(count) => {
                self.left = self.left.saturating_sub(count as u64);
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let same = io::Error::new(error.kind(), error.to_string());
                self.failed = Some(error);
                Err(same)
            }
        }
    }
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

fn reading(path: &Path, error: &io::Error) -> Stopped {
    let fault = Fault::new(format!("read {}", path.display()), plainly(error));
    Stopped::Fault(match error.kind() {
        io::ErrorKind::PermissionDenied => {
            fault.hint("make it readable, or name it in .dockerignore if the image does not need it")
        }
        io::ErrorKind::Other => fault.hint("name what is written to during a build in .dockerignore"),
        _ => fault,
    })
}

fn writing(path: &Path, error: &io::Error) -> Stopped {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Stopped::Unwanted;
    }
    Stopped::Fault(Fault::new(format!("send {}", path.display()), plainly(error)))
}

/// `permission denied`, not `Permission denied (os error 13)`.
fn plainly(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests;

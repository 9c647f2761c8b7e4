//! The context as `BuildKit` reads it: first the list of files, then the contents of those it does not have.
//! Sends only what is requested, one file after the other; only the list of paths is held in memory.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use tokio::sync::mpsc;

use super::super::context::{Entry, Filter, Kind, Origin, Stopped, reading};
use super::super::ignore::Ignore;
use super::grpc::{self, Body, Code, Messages, Piece, Status};
use super::session::Larder;
use crate::domain::fault::Fault;

/// Of one packet; gRPC's own limit is some megabytes.
const PIECE: usize = 64 << 10;
/// Enough that disk and network do not wait for each other; half a megabyte in memory.
const PIECES_AHEAD: usize = 8;
/// Files that the builder has asked for: 4 MiB of memory at most. Each wish is a small frame, and what lies unread in the
/// connection counts against its limit of those (`ENHANCE_YOUR_CALM`): so they are taken at once.
const WISHES_AHEAD: usize = 1 << 20;

/// One transfer: the tasks of it share this.
struct Transfer {
    larder: Arc<Larder>,
    out: mpsc::Sender<Piece>,
    /// Of each entry that was named, by its number: where its bytes are, if it has any.
    files: Mutex<Vec<Option<(Origin, u64)>>>,
}

/// Answers `DiffCopy`: <https://github.com/tonistiigi/fsutil>, as its `Send` does.
pub(super) fn serve(larder: Arc<Larder>, request: Request<Incoming>) -> Response<Body> {
    let filter = match filter(request.headers()) {
        Ok(filter) => filter,
        Err(status) => return grpc::refuse(status),
    };
    let (out, mut pieces) = mpsc::channel(PIECES_AHEAD);
    let (wishes, wanted) = mpsc::channel(WISHES_AHEAD);
    let transfer = Arc::new(Transfer {
        larder,
        out,
        files: Mutex::new(Vec::new()),
    });
    // All three end when the connection does: nobody takes what they send any more.
    let naming = Arc::clone(&transfer);
    tokio::task::spawn_blocking(move || naming.ended(naming.name_all(&filter)));
    let giving = Arc::clone(&transfer);
    tokio::task::spawn_blocking(move || giving.ended(giving.give_all(wanted)));
    tokio::spawn(hear(transfer, Messages::of(request.into_body()), wishes));
    grpc::stream(futures_util::stream::poll_fn(move |cx| {
        let piece = pieces.poll_recv(cx);
        if let std::task::Poll::Ready(Some(Piece::End(_))) = &piece {
            pieces.close();
        }
        piece
    }))
}

/// The requested part of the context.
fn filter(headers: &HeaderMap) -> Result<Filter, Status> {
    let ignore = Ignore::of(values(headers, "exclude-patterns"))
        .map_err(|bad| Status::new(Code::InvalidArgument, format!("{}: {}", bad.pattern, bad.why)))?;
    let mut only = values(headers, "followpaths");
    only.extend(values(headers, "include-patterns"));
    Ok(Filter { ignore, only })
}

/// All values of one name; those that are not plain ASCII come percent-encoded, and say so.
fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let encoded = headers
        .get(format!("{name}-encoded"))
        .is_some_and(|value| value == "1");
    headers
        .get_all(name)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            if encoded { decoded(&text) } else { text }
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let code = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (_, Some(byte)) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', None) => bytes.push(b' '),
            (byte, None) => bytes.push(*byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What the builder says meanwhile: which file it wants, and that it has all.
async fn hear(transfer: Arc<Transfer>, mut messages: Messages, wishes: mpsc::Sender<u32>) {
    while let Some(message) = messages.next::<Packet>().await {
        let Ok(packet) = message else { return };
        let heard = match packet.r#type() {
            PacketType::PacketReq => wishes.send(packet.id).await.is_ok(),
            PacketType::PacketFin => {
                // The builder may have gone just then: it has what it wanted.
                if transfer.send(kind(PacketType::PacketFin)).await.is_ok() {
                    drop(transfer.out.send(Piece::End(Status::OK)).await);
                }
                false
            }
            PacketType::PacketErr => {
                let words = String::from_utf8_lossy(&packet.data);
                tracing::debug!(%words, "the builder stopped reading the context");
                false
            }
            PacketType::PacketStat | PacketType::PacketData => true,
        };
        if !heard {
            return;
        }
    }
}

fn kind(kind: PacketType) -> Packet {
    Packet {
        r#type: kind.into(),
        ..Packet::default()
    }
}

impl Transfer {
    async fn send(&self, packet: Packet) -> Result<(), Stopped> {
        let piece = Piece::Message(grpc::framed(&packet));
        self.out.send(piece).await.map_err(|_closed| Stopped::Unwanted)
    }

    fn put(&self, packet: &Packet) -> Result<(), Stopped> {
        self.out
            .blocking_send(Piece::Message(grpc::framed(packet)))
            .map_err(|_closed| Stopped::Unwanted)
    }

    /// What went wrong here is the reason behind whatever the builder will say.
    fn ended(&self, outcome: Result<(), Stopped>) {
        if let Err(Stopped::Fault(fault)) = outcome {
            let status = Status::new(Code::Unknown, fault.to_string());
            self.larder.report().fault.get_or_insert(fault);
            // Nobody listening is fine: then it is over anyway.
            drop(self.out.blocking_send(Piece::End(status)));
        }
    }

    /// Names every entry, in the order of a walk; an empty packet says that these were all.
    fn name_all(&self, filter: &Filter) -> Result<(), Stopped> {
        let skipped = self.larder.context.walk_with(filter, &mut |entry| {
            let stat = stat(&entry);
            let bytes = match entry.kind {
                Kind::File { size } => Some((entry.origin, size)),
                Kind::Folder | Kind::Link { .. } => None,
            };
            self.files().push(bytes);
            self.put(&Packet {
                stat: Some(stat),
                ..kind(PacketType::PacketStat)
            })
        })?;
        if skipped.total > 0 {
            self.larder.report().skipped = skipped;
        }
        self.put(&kind(PacketType::PacketStat))
    }

    fn files(&self) -> std::sync::MutexGuard<'_, Vec<Option<(Origin, u64)>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_all(&self, mut wanted: mpsc::Receiver<u32>) -> Result<(), Stopped> {
        let mut contents = self.larder.context.contents();
        let mut buffer = vec![0; PIECE];
        while let Some(id) = wanted.blocking_recv() {
            let file = usize::try_from(id)
                .ok()
                .and_then(|at| self.files().get(at).cloned().flatten());
            let Some((origin, size)) = file else {
                let why = "the builder asked for a file that is not in it";
                return Err(Stopped::Fault(Fault::new("send the context", why)));
            };
            let mut bytes = contents.open(&origin, size)?;
            loop {
                let count = match bytes.read(&mut buffer) {
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        let path = match &origin {
                            Origin::Path(path) => path.as_path(),
                            Origin::Object(object) => Path::new(object),
                        };
                        return Err(reading(path, &error));
                    }
                };
                self.put(&Packet {
                    id,
                    data: buffer.get(..count).unwrap_or_default().to_vec(),
                    ..kind(PacketType::PacketData)
                })?;
                self.larder.sent.fetch_add(count as u64, Ordering::Relaxed);
                // An empty packet ends the file.
                if count == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// As Go's `os.FileMode` has them: <https://pkg.go.dev/io/fs#FileMode>.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;
const SET_USER: u32 = 1 << 23;
const SET_GROUP: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;

/// Owned by root, as Docker's own command sends it.
fn stat(entry: &Entry) -> Stat {
    let mut mode = entry.mode & 0o777;
    for (bit, go) in [(0o4000, SET_USER), (0o2000, SET_GROUP), (0o1000, STICKY)] {
        if entry.mode & bit != 0 {
            mode |= go;
        }
    }
    let (kind, size, linkname) = match &entry.kind {
        Kind::Folder => (FOLDER, 0, String::new()),
        Kind::Link { target } => (LINK, 0, target.to_string_lossy().into_owned()),
        Kind::File { size } => (0, i64::try_from(*size).unwrap_or(i64::MAX), String::new()),
    };
    Stat {
        path: entry.path.clone(),
        mode: mode | kind,
        size,
        mod_time: entry
            .modified
            .seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(entry.modified.nanos),
        linkname,
        ..Stat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::step::context::Modified;

    #[test]
    fn modes_are_gos_and_everything_is_roots() {
        let entry = Entry {
            path: "bin".to_owned(),
            kind: Kind::Folder,
            mode: 0o5750,
            modified: Modified { seconds: 2, nanos: 5 },
            origin: Origin::Object(String::new()),
        };
        let stat = stat(&entry);
        assert_eq!(stat.mode, FOLDER | SET_USER | STICKY | 0o750);
        assert_eq!((stat.mod_time, stat.uid, stat.gid), (2_000_000_005, 0, 0));
    }

    #[test]
    fn patterns_come_plain_or_encoded() {
        let mut headers = HeaderMap::new();
        headers.append("exclude-patterns", "*.log".parse().unwrap());
        headers.append("exclude-patterns", "!a b".parse().unwrap());
        assert_eq!(values(&headers, "exclude-patterns"), ["*.log", "!a b"]);
        headers.append("exclude-patterns-encoded", "1".parse().unwrap());
        headers.append("exclude-patterns", "f%C3%BCr+alle%2".parse().unwrap());
        assert_eq!(values(&headers, "exclude-patterns")[2], "für alle%2");
    }
}

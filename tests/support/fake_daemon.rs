//! A daemon that misbehaves as instructed: raw HTTP on a unix socket, answer by answer, byte by byte.
//! Knows nothing about Docker; the test defines its answers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// One thing done to a connection.
#[derive(Clone, Debug)]
pub(crate) enum Move {
    Send(Vec<u8>),
    /// One byte, then the next: each its own write.
    Dribble(Vec<u8>),
    /// Says nothing more, and keeps the connection open.
    Hang,
    /// Cuts the connection.
    Close,
}

type Script = dyn Fn(&str, usize) -> Vec<Move> + Send + Sync;

/// Lives until it is dropped.
pub(crate) struct FakeDaemon {
    dir: tempfile::TempDir,
    requests: Arc<Mutex<Vec<String>>>,
    /// The same with their versions.
    versioned: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl FakeDaemon {
    /// `script` gets the request's first words (`GET /events?…`) and how many with the same path came before.
    pub(crate) fn start(script: impl Fn(&str, usize) -> Vec<Move> + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("fake.sock")).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let versioned = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        let (seen, script): (_, Arc<Script>) = (Arc::clone(&requests), Arc::new(script));
        let raw = Arc::clone(&versioned);
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(
                    stream,
                    Arc::clone(&script),
                    Arc::clone(&seen),
                    Arc::clone(&raw),
                ));
            }
        });
        Self {
            dir,
            requests,
            versioned,
            _task: task,
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("fake.sock")
    }

    /// All that was asked, in order: `GET /containers/json?all=true`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// As they came: `GET /v1.41/containers/json?all=true`.
    pub(crate) fn versioned(&self) -> Vec<String> {
        self.versioned.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, begins: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.starts_with(begins))
            .count()
    }
}

async fn serve(
    mut stream: UnixStream,
    script: Arc<Script>,
    seen: Arc<Mutex<Vec<String>>>,
    raw: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    loop {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        let mut words = text.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        raw.lock().unwrap().push(format!("{method} {path}"));
        let request = format!("{method} {}", unversioned(path));
        let path = request.split('?').next().unwrap_or("").to_owned();
        let before = {
            let mut seen = seen.lock().unwrap();
            let before = seen
                .iter()
                .filter(|other| other.split('?').next() == Some(&path))
                .count();
            seen.push(request.clone());
            before
        };
        for step in script(&request, before) {
            let sent = match step {
                Move::Send(bytes) => stream.write_all(&bytes).await,
                Move::Dribble(bytes) => dribble(&mut stream, &bytes).await,
                Move::Hang => {
                    // Until the other side goes.
                    drop(stream.read(&mut [0; 1]).await);
                    return;
                }
                Move::Close => return,
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

async fn dribble(stream: &mut UnixStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// `/v1.41/info` → `/info`
fn unversioned(path: &str) -> &str {
    match path
        .strip_prefix("/v1.")
        .and_then(|rest| rest.find('/').map(|at| rest.split_at(at).1))
    {
        Some(rest) => rest,
        None => path,
    }
}

/// A whole answer.
pub(crate) fn answer(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The head of an answer whose body comes in chunks.
pub(crate) fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()
}

pub(crate) fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(crate) fn host(name: &str, socket: &Path) -> pilothouse::config::Host {
    pilothouse::config::Host {
        name: pilothouse::domain::ids::HostName::parse(name).unwrap(),
        endpoint: pilothouse::domain::endpoint::Endpoint::Unix(socket.to_path_buf()),
        tags: Vec::new(),
        protected: false,
        concurrency: None,
        address: None,
    }
}

//! A socket in front of a daemon's that passes everything on and records every request line.
//! Proves what was requested from the daemon.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

pub(crate) struct Recorder {
    socket: PathBuf,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// `GET /v1.41/containers/json?all=true`
    requests: Vec<String>,
    /// Connections that are open now.
    open: usize,
}

impl Recorder {
    /// In front of `daemon`, in `dir`.
    pub(crate) fn start(daemon: &Path, dir: &Path) -> Self {
        let socket = dir.join("recorder.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let (daemon, shared) = (daemon.to_owned(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&daemon) else {
                    continue;
                };
                pass_on(client, server, Arc::clone(&shared));
            }
        });
        Self { socket, seen }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().requests.clone()
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.seen.lock().unwrap().open
    }

    /// Everything but reading.
    pub(crate) fn mutating(&self) -> Vec<String> {
        self.requests()
            .into_iter()
            .filter(|line| !line.starts_with("GET ") && !line.starts_with("HEAD "))
            .collect()
    }
}

fn pass_on(client: UnixStream, server: UnixStream, seen: Arc<Mutex<Seen>>) {
    let (mut from_client, mut to_client) = (client.try_clone().unwrap(), client);
    let (mut from_server, mut to_server) = (server.try_clone().unwrap(), server);
    seen.lock().unwrap().open += 1;
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        copy(&mut from_client, &mut to_server, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let lines = text.lines().filter_map(|line| line.strip_suffix(" HTTP/1.1"));
            noted.lock().unwrap().requests.extend(lines.map(str::to_owned));
        });
        drop(to_server.shutdown(Shutdown::Write));
    });
    std::thread::spawn(move || {
        copy(&mut from_server, &mut to_client, |_| {});
        drop(to_client.shutdown(Shutdown::Both));
        drop(from_server.shutdown(Shutdown::Both));
        seen.lock().unwrap().open -= 1;
    });
}

fn copy(from: &mut UnixStream, to: &mut UnixStream, mut look: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        look(&buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

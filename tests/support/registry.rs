//! A real registry (Debian's docker-registry) on the host's own address in the fleet's network, anonymous or with a password;
//! and a proxy that first answers with faults chosen by the test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;

use super::fleet;
use super::wait::until;

pub(crate) const USER: &str = "ci";
/// Its base64 needs the characters in which the two alphabets differ.
pub(crate) const PASSWORD: &str = "correct horse?>~";
/// As htpasswd keeps it: bcrypt.
const HASHED: &str = "$2y$05$abcdefghijklmnopqrstuuWYvU67pxiX9dFatfIW4.rze/caSsTse";

/// `another secret`, likewise.
const OTHER_HASHED: &str = "$2y$05$abcdefghijklmnopqrstuujweDqhNMsWRSGRsOyDB/GFGBxB/B69S";

pub(crate) struct Registry {
    dir: PathBuf,
    address: String,
    /// Who may use it, and by what.
    login: Option<(String, String)>,
    process: Option<Child>,
}

impl Registry {
    /// For anybody.
    pub(crate) fn open() -> Self {
        Self::new(None)
    }

    /// For [`USER`] with [`PASSWORD`] only.
    pub(crate) fn guarded() -> Self {
        Self::new(Some((USER, PASSWORD, HASHED)))
    }

    /// For another one.
    pub(crate) fn guarded_by(user: &str, password: &str) -> Self {
        Self::new(Some((user, password, OTHER_HASHED)))
    }

    fn new(login: Option<(&str, &str, &str)>) -> Self {
        let dir = fleet::folder("registry");
        let address = free_address();
        let auth = if let Some((user, _, hashed)) = login {
            std::fs::write(dir.join("htpasswd"), format!("{user}:{hashed}\n")).unwrap();
            format!(
                "auth: {{htpasswd: {{realm: pilothouse, path: {}/htpasswd}}}}\n",
                dir.display()
            )
        } else {
            String::new()
        };
        let settings = format!(
            "version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '{address}'}}\n\
             storage: {{filesystem: {{rootdirectory: {}/data}}, delete: {{enabled: true}}}}\n{auth}",
            dir.display()
        );
        std::fs::write(dir.join("config.yml"), settings).unwrap();
        let mut registry = Self {
            dir,
            address,
            login: login.map(|(user, password, _)| (user.to_owned(), password.to_owned())),
            process: None,
        };
        registry.start();
        registry
    }

    /// `10.77.1.1:40123`: how images' names begin.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn start(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(self.dir.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("docker-registry (Debian's package) runs");
        self.process = Some(child);
        until(Duration::from_secs(20), "the registry answers", || {
            TcpStream::connect(&self.address).ok()
        });
    }

    /// SIGSTOP: it takes connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = self.process.as_ref().expect("the registry runs").id();
        let pid = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub(crate) fn kill_9(&mut self) {
        let mut child = self.process.take().expect("the registry runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Bytes in its store, uploads that are not finished included.
    pub(crate) fn stored(&self) -> u64 {
        size(&self.dir.join("data"))
    }

    /// What it says that `repository:tag` is; asked without Docker.
    pub(crate) fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let login = if let Some((user, password)) = &self.login {
            let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            format!("Authorization: Basic {text}\r\n")
        } else {
            String::new()
        };
        write!(
            stream,
            "HEAD /v2/{repository}/manifests/{tag} HTTP/1.0\r\nHost: {}\r\n{login}\
             Accept: application/vnd.docker.distribution.manifest.v2+json\r\n\r\n",
            self.address
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
            .lines()
            .find_map(|line| line.strip_prefix("Docker-Content-Digest: "))
            .map(|digest| digest.trim().to_owned())
    }

    /// A door before it that gives each of `faults` once, in their order, and lets everything else through.
    pub(crate) fn behind(&self, faults: Vec<Fault>) -> Door {
        Door::open(self.address.clone(), faults)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(child) = &mut self.process {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// What one request is answered with instead of going through.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// A part of the request's first line: `PUT /v2/team/shop/manifests/`.
    pub(crate) of: &'static str,
    pub(crate) status: u16,
    pub(crate) body: &'static str,
}

/// Stands before a registry under an address of its own; each connection through it is for one request.
pub(crate) struct Door {
    address: String,
    left: Arc<Mutex<Vec<Fault>>>,
}

impl Door {
    fn open(target: String, faults: Vec<Fault>) -> Self {
        let left = Arc::new(Mutex::new(faults));
        let listener = TcpListener::bind(format!("{}:0", fleet::gateway())).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let faults = Arc::clone(&left);
        // Ends with the test program.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (target, faults) = (target.clone(), Arc::clone(&faults));
                std::thread::spawn(move || pass(stream, &target, &faults));
            }
        });
        Self { address, left }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Faults that nobody has met yet.
    pub(crate) fn left(&self) -> usize {
        self.left.lock().unwrap().len()
    }
}

fn pass(mut stream: TcpStream, target: &str, faults: &Mutex<Vec<Fault>>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
        // A daemon tries TLS first: nobody here speaks it.
        if !head[0].is_ascii_uppercase() {
            return;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let (line, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    let fault = {
        let mut faults = faults.lock().unwrap();
        let is_next = faults.first().is_some_and(|fault| line.contains(fault.of));
        is_next.then(|| faults.remove(0))
    };
    if let Some(Fault { status, body, .. }) = fault {
        let answer = format!(
            "HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        drop(stream.write_all(answer.as_bytes()));
        drop(stream.shutdown(Shutdown::Write));
        // Until the other side is done sending: a reset would take the answer with it.
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
        return;
    }
    let Ok(mut other) = TcpStream::connect(target) else {
        return;
    };
    drop(other.write_all(format!("{line}\r\nConnection: close\r\n{rest}").as_bytes()));
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            drop(std::io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Both));
        })
    };
    let there = copy(stream.try_clone().unwrap(), other.try_clone().unwrap());
    let back = copy(other, stream);
    drop((there.join(), back.join()));
}

/// Nobody else listens there now.
fn free_address() -> String {
    let listener = TcpListener::bind(format!("{}:0", fleet::gateway())).unwrap();
    listener.local_addr().unwrap().to_string()
}

fn size(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

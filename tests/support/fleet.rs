//! Real Docker daemons of our own, each in its own network, mount and UTS namespace: as separate as on machines of
//! their own, and without a trace on this one. Needs root and the Debian packages that `tests/run` installs.
//!
//! ```ignore
//! #[tokio::test]
//! async fn what_must_be_true() {
//!     let daemons = fleet::lease(3);                     // mine alone until dropped; waits while others have them
//!     let id = daemons[0].run("web", "while :; do date; sleep 1; done");   // busybox sh, running when this returns
//!     let docker = daemons[0].docker();                  // bollard, for whatever else
//!     let host = daemons[0].host();                      // config::Host over its unix socket; tcp_host() over tcp
//!     daemons[0].kill_9();                               // stop, freeze/thaw (SIGSTOP), cut_link/mend_link, start
//!     let sshd = daemons[0].inside("/usr/sbin/sshd");    // a Command in the daemon's namespaces, at daemons[0].address()
//! }
//! ```
//!
//! * A dropped lease is cleaned: started and thawed if it is not, link mended, containers, volumes, networks and
//!   images removed but [`image::BUSYBOX`](super::image::BUSYBOX).
//! * `fleet::folder("name")` is a folder of the run, for sockets, keys, configurations and state. What runs with a path in it
//!   on its command line is ended when the run ends, as is everything in the daemons' namespaces, also after `kill -9`.
//! * Each daemon listens on `docker.sock` of its folder, on tcp at `address():2375`, and inside its own namespaces on
//!   `/run/docker.sock`. Daemons reach each other and the host (`fleet::gateway()`), nobody else: there is no default route.
//! * `PILOTHOUSE_REAL_DAEMONS` (6) bounds how many run at once.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use super::daemon::{Daemon, namespace_of};
use super::image;
use super::wait::until;

static FLEET: LazyLock<Fleet> = LazyLock::new(Fleet::start);

struct Fleet {
    slot: u8,
    dir: PathBuf,
    /// Everything goes when its standard input closes: with us.
    _guardian: Child,
    switch: Child,
    yard: Mutex<Yard>,
    freed: Condvar,
    most: usize,
    busybox: Vec<u8>,
}

#[derive(Default)]
struct Yard {
    made: usize,
    free: Vec<Daemon>,
}

/// Daemons of one test, in the order `host1`, `host2`, … of their names.
pub(crate) struct Lease {
    daemons: Vec<Daemon>,
}

impl Deref for Lease {
    type Target = [Daemon];

    fn deref(&self) -> &[Daemon] {
        &self.daemons
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            daemon.clean(&FLEET.busybox);
        }
        let mut yard = FLEET.yard.lock().unwrap_or_else(PoisonError::into_inner);
        yard.free.append(&mut self.daemons);
        FLEET.freed.notify_all();
    }
}

/// So many daemons for the caller alone; waits until they are free.
pub(crate) fn lease(count: usize) -> Lease {
    let fleet = &*FLEET;
    assert!(
        count <= fleet.most,
        "{count} daemons are more than PILOTHOUSE_REAL_DAEMONS allows"
    );
    let mut yard = fleet.yard.lock().unwrap_or_else(PoisonError::into_inner);
    while yard.free.len() + fleet.most - yard.made < count {
        yard = fleet.freed.wait(yard).unwrap_or_else(PoisonError::into_inner);
    }
    yard.free.sort_by(|a, b| a.name().cmp(b.name()));
    let kept = yard.free.len().min(count);
    let mut daemons: Vec<Daemon> = yard.free.drain(..kept).collect();
    let first_new = yard.made + 1;
    yard.made += count - kept;
    let last_new = yard.made;
    drop(yard);
    let started: Vec<_> = (first_new..=last_new)
        .map(|number| std::thread::spawn(move || FLEET.daemon(number)))
        .collect();
    daemons.extend(
        started
            .into_iter()
            .map(|thread| thread.join().expect("a daemon starts")),
    );
    Lease { daemons }
}

/// A fresh folder of this run; `what` is only for people.
pub(crate) fn folder(what: &str) -> PathBuf {
    let mut number = 0;
    loop {
        let path = FLEET.dir.join(format!("{what}-{number}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return path,
            Err(fault) if fault.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(fault) => panic!("could not make {}: {fault}", path.display()),
        }
    }
}

/// The host's own address in the fleet's network.
pub(crate) fn gateway() -> String {
    format!("10.77.{}.1", FLEET.slot)
}

impl Fleet {
    fn start() -> Self {
        let mut guardian = Command::new("setsid")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/guardian"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the guardian starts (setsid of util-linux)");
        let mut given = String::new();
        BufReader::new(guardian.stdout.take().unwrap())
            .read_line(&mut given)
            .unwrap();
        let slot: u8 = given.trim().parse().expect("the guardian gives a slot");
        let dir = PathBuf::from(format!("/tmp/pilothouse-real/{slot}"));
        let switch = namespaces(&dir);
        let link = format!("phr{slot}");
        let pid = switch.id().to_string();
        succeed(Command::new("ip").args([
            "link", "add", &link, "type", "veth", "peer", "name", "up0", "netns", &pid,
        ]));
        succeed(Command::new("ip").args(["address", "add", &format!("10.77.{slot}.1/24"), "dev", &link]));
        succeed(Command::new("ip").args(["link", "set", &link, "up"]));
        within(
            switch.id(),
            "ip link add br0 type bridge && ip link set br0 up && ip link set up0 master br0 up",
        );
        Self {
            slot,
            dir,
            _guardian: guardian,
            switch,
            yard: Mutex::default(),
            freed: Condvar::new(),
            most: std::env::var("PILOTHOUSE_REAL_DAEMONS")
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(6),
            busybox: image::busybox(),
        }
    }

    fn daemon(&self, number: usize) -> Daemon {
        let dir = self.dir.join(format!("host{number}"));
        std::fs::create_dir(&dir).unwrap();
        let holder = namespaces(&self.dir);
        let (switch, own) = (self.switch.id(), holder.id());
        let address = format!("10.77.{}.{}", self.slot, 10 + number);
        within(
            switch,
            &format!(
                "ip link add p{number} type veth peer name eth0 netns {own} && ip link set p{number} master br0 up"
            ),
        );
        within(
            own,
            &format!(
                "hostname host{number} && ip link set lo up && ip address add {address}/24 dev eth0 && ip link set eth0 up \
                 && mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /etc/docker && mount -t tmpfs tmpfs /etc/docker"
            ),
        );
        let daemon = Daemon::new(
            number,
            dir,
            address,
            holder,
            switch,
            format!("/pilothouse-real-{}", self.slot),
        );
        daemon.start();
        daemon.load(&self.busybox);
        daemon
    }
}

/// A process that holds new network, mount and UTS namespaces, and nothing else.
fn namespaces(dir: &std::path::Path) -> Child {
    let child = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--uts",
            "--propagation",
            "private",
            "sleep",
            "infinity",
        ])
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("unshare (util-linux) runs");
    let comm = format!("/proc/{}/comm", child.id());
    until(
        Duration::from_secs(5),
        "unshare makes namespaces: is this root?",
        || (std::fs::read_to_string(&comm).ok()?.trim() == "sleep").then_some(()),
    );
    let mut list = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("namespaces"))
        .unwrap();
    std::io::Write::write_all(&mut list, format!("{}\n", namespace_of(child.id())).as_bytes()).unwrap();
    child
}

/// Runs a line of shell in the namespaces of `holder`.
pub(super) fn within(holder: u32, line: &str) {
    succeed(Command::new("nsenter").args(["-t", &holder.to_string(), "-n", "-m", "-u", "sh", "-ec", line]));
}

pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().expect("the command is there");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

//! Real sshd in a daemon's namespaces, and a user with their own ssh configuration, keys and known hosts.
//! The program finds that user's `ssh` on the PATH: a shim that adds `-F`, because OpenSSH does not use `$HOME`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use pilothouse::domain::endpoint::Ssh;
use pilothouse::hosts::ssh::{Tools, use_tools};

use super::daemon::{Daemon, processes};
use super::fleet;
use super::wait::until;

static USER: LazyLock<User> = LazyLock::new(User::new);

/// Whose configuration every test of this run adds its hosts to.
pub(crate) struct User {
    dir: PathBuf,
    writing: Mutex<u32>,
}

/// The user; the program under test in this process uses their ssh from now on.
pub(crate) fn user() -> &'static User {
    &USER
}

impl User {
    fn new() -> Self {
        let dir = fleet::folder("ssh");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.join("bin")).unwrap();
        let shim = dir.join("bin/ssh");
        let config = dir.join("config");
        fs::write(&config, "").unwrap();
        // Called ssh like the real one, it finds its jump hosts' ssh as the real one would.
        script(
            &shim,
            &format!(
                "#!/bin/bash\nexec -a ssh /usr/bin/ssh -F {} \"$@\"\n",
                config.display()
            ),
        );
        use_tools(Tools {
            pilothouse: env!("CARGO_BIN_EXE_pilothouse").into(),
            ssh: shim,
        });
        let user = Self {
            dir,
            writing: Mutex::new(0),
        };
        user.key("key", "");
        user
    }

    /// Makes a key pair; an empty passphrase leaves it open.
    pub(crate) fn key(&self, name: &str, passphrase: &str) -> PathBuf {
        let path = self.dir.join(name);
        make_key(&path, passphrase);
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What a person would type at the lent terminal comes from this helper.
    pub(crate) fn askpass(&self, words: &str) -> PathBuf {
        // One of its own for each who asks: a script that is being written can't be started.
        static ASKED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = self.dir.join(format!("askpass-{number}"));
        script(&path, &format!("#!/bin/sh\necho {words}\n"));
        path
    }

    /// The folder to put first on a `PATH`.
    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// The shim, as the user would call ssh.
    pub(crate) fn ssh(&self) -> Command {
        Command::new(self.bin().join("ssh"))
    }

    /// A new `Host` block; its unique name is what the program is given.
    pub(crate) fn host(&self, kind: &str, address: &str, port: u16, more: &str) -> Ssh {
        let mut number = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        let host = format!("{kind}-{}-{number}", std::process::id());
        let dir = self.dir.display();
        let block = format!(
            "Host {host}\n  HostName {address}\n  Port {port}\n  User root\n  {more}\n  IdentityAgent none\n  IdentitiesOnly yes\n  \
             IdentityFile {dir}/key\n  UserKnownHostsFile {dir}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        );
        let mut config = OpenOptions::new()
            .append(true)
            .open(self.dir.join("config"))
            .unwrap();
        config.write_all(block.as_bytes()).unwrap();
        Ssh {
            user: None,
            host,
            port: None,
            socket: "/var/run/docker.sock".into(),
            reuse_master: false,
        }
    }

    fn knows(&self, address: &str, port: u16, key: &str) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.dir.join("known_hosts");
        let mut known = OpenOptions::new().create(true).append(true).open(file).unwrap();
        known
            .write_all(format!("[{address}]:{port} {key}\n").as_bytes())
            .unwrap();
    }
}

/// An agent of the user's. Dropping it ends it.
pub(crate) struct Agent {
    socket: PathBuf,
    child: Child,
}

impl Agent {
    /// The only one that still holds this key: its file is deleted, the public one stays.
    pub(crate) fn holding(key: &Path) -> Self {
        let socket = fleet::folder("agent").join("socket");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent (openssh-client) runs");
        let agent = Self { socket, child };
        until(Duration::from_secs(5), "the agent listens", || {
            agent.socket.exists().then_some(())
        });
        let mut add = Command::new("ssh-add");
        add.arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket);
        assert!(add.status().unwrap().success());
        fs::remove_file(key).unwrap();
        agent
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().expect("the agent is ours to end");
        self.child.wait().expect("and to wait for");
    }
}

/// An sshd beside a daemon. Dropping it ends it and every session.
pub(crate) struct Sshd {
    dir: PathBuf,
    address: String,
    port: u16,
    child: Child,
}

impl Sshd {
    /// Listens at the daemon's address, known to the user, whose keys in `allowed` it accepts.
    pub(crate) fn start(daemon: &Daemon, port: u16, more: &str, allowed: &[&Path]) -> Self {
        let sshd = Self::start_unknown(daemon, port, more, allowed);
        let key = fs::read_to_string(sshd.dir.join("host_key.pub")).unwrap();
        user().knows(&sshd.address, port, key.trim());
        sshd
    }

    pub(crate) fn start_unknown(daemon: &Daemon, port: u16, more: &str, allowed: &[&Path]) -> Self {
        let dir = fleet::folder("sshd");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        make_key(&dir.join("host_key"), "");
        let keys: String = allowed
            .iter()
            .map(|key| fs::read_to_string(key.with_extension("pub")).unwrap())
            .collect();
        fs::write(dir.join("authorized_keys"), keys).unwrap();
        let at = dir.display();
        let address = daemon.address().to_owned();
        let config = format!(
            "{more}\nListenAddress {address}:{port}\nHostKey {at}/host_key\nAuthorizedKeysFile {at}/authorized_keys\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nMaxStartups 10:30:100\nMaxSessions 10\n"
        );
        fs::write(dir.join("sshd_config"), config).unwrap();
        assert!(
            daemon
                .inside("mkdir")
                .args(["-p", "/run/sshd"])
                .status()
                .unwrap()
                .success()
        );
        let log = fs::File::create(dir.join("log")).unwrap();
        // Both paths absolute: sshd runs itself again from `/` for every login.
        let child = daemon
            .inside("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(dir.join("sshd_config"))
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let sshd = Self {
            dir,
            address,
            port,
            child,
        };
        until(Duration::from_secs(5), "sshd listens", || {
            std::net::TcpStream::connect((sshd.address.as_str(), port))
                .ok()
                .map(drop)
        });
        sshd
    }

    /// A user's host that leads here.
    pub(crate) fn host(&self, kind: &str, more: &str) -> Ssh {
        user().host(kind, &self.address, self.port, more)
    }

    /// The processes that serve logins, not the one that listens.
    pub(crate) fn sessions(&self) -> Vec<u32> {
        children(self.child.id())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let sessions: Vec<u32> = self.sessions();
        for pid in sessions
            .iter()
            .flat_map(|pid| children(*pid))
            .chain(sessions.iter().copied())
        {
            signal(pid, rustix::process::Signal::KILL);
        }
        self.child.kill().expect("sshd is ours to end");
        self.child.wait().expect("and to wait for");
    }
}

pub(crate) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    if let Err(error) = rustix::process::kill_process(pid, signal) {
        assert_eq!(
            error,
            rustix::io::Errno::SRCH,
            "only one that is gone cannot be told"
        );
    }
}

/// Processes on whose command line this word is.
pub(crate) fn with_word(word: &str) -> Vec<u32> {
    processes()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.split(|byte| *byte == 0).any(|part| part == word.as_bytes()))
        })
        .collect()
}

fn children(of: u32) -> Vec<u32> {
    processes()
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/status"))
                .is_ok_and(|status| status.lines().any(|line| line == format!("PPid:\t{of}")))
        })
        .collect()
}

/// Renamed into place: nobody runs a file that is still open for writing.
fn script(path: &Path, text: &str) {
    let draft = path.with_extension(format!("draft-{:?}", std::thread::current().id()));
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&draft, path).unwrap();
}

fn make_key(path: &Path, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-C", "test", "-N", passphrase, "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .expect("ssh-keygen (openssh-client) runs");
    assert!(made.success());
}

//! One real Docker daemon in its own namespaces, and everything that can be done to it.
//! Everything here blocks; use it on a test's own thread.

use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use pilothouse::config;
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::ids::{ContainerId, ContainerKey, HostName};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::fleet::within;
use super::image::BUSYBOX;
use super::raw::{self, Answer};
use super::wait::until;

/// A killed daemon that is started again stops its containers first.
const START_LIMIT: Duration = Duration::from_mins(1);

pub(crate) struct Daemon {
    number: usize,
    name: HostName,
    dir: PathBuf,
    address: String,
    /// Keeps the namespaces while no daemon runs in them.
    holder: Child,
    /// The namespace with the other end of our cable.
    switch: u32,
    cgroup: String,
    process: Mutex<Option<Child>>,
}

impl Daemon {
    pub(super) fn new(
        number: usize,
        dir: PathBuf,
        address: String,
        holder: Child,
        switch: u32,
        cgroup: String,
    ) -> Self {
        Self {
            number,
            name: HostName::parse(&format!("host{number}")).unwrap(),
            dir,
            address,
            holder,
            switch,
            cgroup,
            process: Mutex::new(None),
        }
    }

    /// `host1`, …: also its host name inside.
    pub(crate) fn name(&self) -> &HostName {
        &self.name
    }

    /// In the fleet's network.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    /// What it said so far on its standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process
            .lock()
            .unwrap()
            .as_ref()
            .expect("the daemon runs")
            .id()
    }

    /// As the configuration would have it, over the unix socket.
    pub(crate) fn host(&self) -> config::Host {
        self.host_at(Endpoint::Unix(self.socket()))
    }

    /// Over tcp: what a cut link cuts.
    pub(crate) fn tcp_host(&self) -> config::Host {
        self.host_at(Endpoint::Tcp {
            host: self.address.clone(),
            port: 2375,
            tls: None,
        })
    }

    pub(crate) fn host_at(&self, endpoint: Endpoint) -> config::Host {
        config::Host {
            name: self.name.clone(),
            endpoint,
            tags: Vec::new(),
            protected: false,
            concurrency: None,
            address: None,
        }
    }

    pub(crate) fn key(&self, id: &ContainerId) -> ContainerKey {
        ContainerKey {
            host: self.name.clone(),
            id: id.clone(),
        }
    }

    /// bollard on its socket, with the version that every supported daemon speaks.
    pub(crate) fn docker(&self) -> bollard::Docker {
        let version = bollard::ClientVersion {
            major_version: 1,
            minor_version: 41,
        };
        bollard::Docker::connect_with_unix(self.socket().to_str().unwrap(), 60, &version).unwrap()
    }

    /// A request whose answer must be a good one.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_ask(method, path, body);
        assert!(
            answer.status < 400,
            "{method} {path} on {}: {} {}",
            self.name,
            answer.status,
            answer.text()
        );
        answer.json()
    }

    pub(crate) fn try_ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        raw::request(&self.socket(), method, path, "application/json", body.as_bytes())
            .unwrap_or_else(|fault| panic!("{method} {path} on {}: {fault}", self.name))
    }

    pub(crate) fn load(&self, archive: &[u8]) {
        let answer = raw::request(
            &self.socket(),
            "POST",
            "/images/load?quiet=1",
            "application/x-tar",
            archive,
        )
        .unwrap();
        assert!(
            answer.status == 200 && !answer.text().contains("error"),
            "load: {}",
            answer.text()
        );
    }

    /// As a fresh daemon of the fleet has it.
    pub(crate) fn load_busybox(&self) {
        self.load(&super::image::busybox());
    }

    /// A container that is created, from `body` (what is absent: busybox, no name).
    pub(crate) fn create(&self, name: &str, mut body: Value) -> ContainerId {
        if body.get("Image").is_none() {
            body["Image"] = json!(BUSYBOX);
        }
        let made = self.ask("POST", &format!("/containers/create?name={name}"), &body);
        ContainerId::parse(made["Id"].as_str().unwrap()).unwrap()
    }

    /// A running container: a shell with this script.
    pub(crate) fn run(&self, name: &str, script: &str) -> ContainerId {
        self.run_with(name, script, json!({}))
    }

    /// The same, with more of `ContainerCreateBody`.
    pub(crate) fn run_with(&self, name: &str, script: &str, mut body: Value) -> ContainerId {
        body["Cmd"] = json!(["sh", "-c", script]);
        let id = self.create(name, body);
        self.ask(
            "POST",
            &format!("/containers/{}/start", id.as_str()),
            &Value::Null,
        );
        id
    }

    /// `GET /containers/{id}/json`.
    pub(crate) fn inspect(&self, id: &ContainerId) -> Value {
        self.ask("GET", &format!("/containers/{}/json", id.as_str()), &Value::Null)
    }

    pub(crate) fn remove(&self, id: &ContainerId) {
        self.ask(
            "DELETE",
            &format!("/containers/{}?force=1&v=1", id.as_str()),
            &Value::Null,
        );
    }

    /// Waits for a state by Docker's own word for it.
    pub(crate) fn await_state(&self, id: &ContainerId, word: &str) {
        until(
            Duration::from_secs(30),
            format!("{} is {word}", id.short()),
            || (self.inspect(id)["State"]["Status"] == word).then_some(()),
        );
    }

    /// A command in the daemon's namespaces: its network, its host name, its `/run`.
    pub(crate) fn inside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "-t",
                &self.holder.id().to_string(),
                "-n",
                "-m",
                "-u",
                "--",
                program,
            ])
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn start(&self) {
        self.start_with(&["-H", &format!("tcp://{}:2375", self.address), "--tls=false"]);
    }

    /// Starts it with these further arguments, and waits until it answers on its socket.
    pub(crate) fn start_with(&self, more: &[&str]) {
        self.start_as(more, &json!({}));
    }

    /// Starts it anew: by either builder it speaks to this registry without TLS.
    pub(crate) fn trust(&self, registry: &str) {
        self.stop();
        // Neither the range that every daemon here allows nor a bare name is one for BuildKit.
        self.start_with(&[&format!("--insecure-registry=http://{registry}")]);
    }

    /// Starts it with these settings in its `daemon.json`.
    pub(crate) fn start_with_settings(&self, settings: &Value) {
        self.start_as(&[], settings);
    }

    fn start_as(&self, more: &[&str], settings: &Value) {
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "{} runs already", self.name);
        let dir = self.dir.display();
        std::fs::write(self.dir.join("daemon.json"), settings.to_string()).unwrap();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let child = self
            .inside("dockerd")
            .arg(format!("--config-file={dir}/daemon.json"))
            .arg(format!("--data-root={dir}/data"))
            .arg(format!("--exec-root={dir}/exec"))
            .arg(format!("--pidfile={dir}/docker.pid"))
            .arg(format!("--cgroup-parent={}", self.cgroup))
            // Registries of the tests speak no TLS.
            .arg(format!("--insecure-registry={}/24", self.address))
            .args([
                "--exec-opt",
                "native.cgroupdriver=cgroupfs",
                "-H",
                "unix:///run/docker.sock",
            ])
            .arg("-H")
            .arg(format!("unix://{dir}/docker.sock"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("nsenter runs");
        let child = process.insert(child);
        let what = format!("dockerd of {} answers", self.name);
        let started = until(START_LIMIT, &what, || {
            if raw::answers(&self.socket()) {
                return Some(true);
            }
            child.try_wait().unwrap().map(|_| false)
        });
        assert!(started, "dockerd of {} ended:\n{}", self.name, self.log());
    }

    /// As an orderly shutdown does: SIGTERM, then waited for.
    pub(crate) fn stop(&self) {
        self.end(Signal::TERM);
    }

    /// Without a warning: SIGKILL.
    pub(crate) fn kill_9(&self) {
        self.end(Signal::KILL);
    }

    fn end(&self, signal: Signal) {
        let mut child = self.process.lock().unwrap().take().expect("the daemon runs");
        // Seen once: a dockerd that never noticed its SIGTERM. It is told again, as a person would, and not waited for for ever.
        let mut told = Instant::now();
        signal_to(child.id(), signal);
        until(
            Duration::from_secs(90),
            format!("dockerd of {} ends", self.name),
            || {
                if told.elapsed() > Duration::from_secs(20) {
                    told = Instant::now();
                    signal_to(child.id(), signal);
                }
                child.try_wait().unwrap()
            },
        );
        // After a SIGKILL its containerd follows by itself, not at once; nobody may reap it, and a pid file that names
        // a zombie would make the next dockerd wait for it.
        let containerd = format!("{}/exec/containerd/containerd.toml", self.dir.display());
        until(
            Duration::from_secs(20),
            format!("containerd of {} ends", self.name),
            || (!is_running_with(&containerd)).then_some(()),
        );
        for left in ["docker.pid", "exec/containerd/containerd.pid"] {
            drop(std::fs::remove_file(self.dir.join(left)));
        }
    }

    /// SIGSTOP: it hangs, its sockets stay open and silent.
    pub(crate) fn freeze(&self) {
        signal_to(self.pid(), Signal::STOP);
        // Each thread stops for itself: one that still runs would answer.
        let tasks = format!("/proc/{}/task", self.pid());
        until(Duration::from_secs(10), "every thread has stopped", || {
            let mut threads = std::fs::read_dir(&tasks).ok()?;
            threads
                .all(|thread| {
                    let stat = thread.map(|thread| thread.path().join("stat"));
                    let stat = stat.and_then(std::fs::read_to_string).unwrap_or_default();
                    stat.is_empty() || stat.contains(") T ")
                })
                .then_some(())
        });
    }

    pub(crate) fn thaw(&self) {
        signal_to(self.pid(), Signal::CONT);
    }

    /// Packets are lost without a word; only tcp and ssh notice.
    pub(crate) fn cut_link(&self) {
        within(self.switch, &format!("ip link set p{} down", self.number));
    }

    pub(crate) fn mend_link(&self) {
        within(self.switch, &format!("ip link set p{} up", self.number));
    }

    /// Its end of every connection is gone at once and tells nobody, while its link is cut.
    pub(crate) fn forget_connections(&self) {
        let status = self
            .inside("ss")
            .args(["-K", "-t", "state", "established"])
            .stdout(Stdio::null())
            .status();
        assert!(status.expect("ss starts").success(), "ss -K");
    }

    /// As it was when it was leased, with nothing in it but busybox.
    pub(super) fn clean(&mut self, busybox: &[u8]) {
        self.mend_link();
        let alive = {
            let mut process = self.process.lock().unwrap_or_else(|poison| {
                self.process.clear_poison();
                poison.into_inner()
            });
            if process
                .as_mut()
                .is_some_and(|child| child.try_wait().is_ok_and(|end| end.is_some()))
            {
                *process = None;
            }
            process.is_some()
        };
        if alive {
            self.thaw();
            let line = std::fs::read(format!("/proc/{}/cmdline", self.pid())).unwrap_or_default();
            if !String::from_utf8_lossy(&line).contains("--tls=false") {
                self.stop();
                self.start();
            }
        } else {
            self.start();
        }
        for container in list(&self.ask("GET", "/containers/json?all=1", &Value::Null)) {
            let id = container["Id"].as_str().unwrap_or_default().to_owned();
            drop(self.try_ask("DELETE", &format!("/containers/{id}?force=1&v=1"), &Value::Null));
        }
        self.ask("POST", "/networks/prune", &Value::Null);
        for volume in list(&self.ask("GET", "/volumes", &Value::Null)["Volumes"]) {
            let name = volume["Name"].as_str().unwrap_or_default().to_owned();
            drop(self.try_ask("DELETE", &format!("/volumes/{name}?force=1"), &Value::Null));
        }
        let mut has_busybox = false;
        for image in list(&self.ask("GET", "/images/json?all=1", &Value::Null)) {
            let tags = list(&image["RepoTags"]);
            if tags.iter().any(|tag| tag == BUSYBOX) {
                has_busybox = true;
                // What was pulled by its digest alone goes with no tag.
                for name in tags
                    .iter()
                    .chain(&list(&image["RepoDigests"]))
                    .filter_map(Value::as_str)
                    .filter(|name| *name != BUSYBOX)
                {
                    drop(self.try_ask("DELETE", &format!("/images/{name}"), &Value::Null));
                }
            } else {
                let id = image["Id"].as_str().unwrap_or_default().to_owned();
                drop(self.try_ask("DELETE", &format!("/images/{id}?force=1"), &Value::Null));
            }
        }
        if !has_busybox {
            self.load(busybox);
        }
    }
}

/// All at once: every second by an orderly end, the others without a warning; the other way round the next time.
pub(crate) fn reboots(daemons: &[Daemon]) -> impl Fn() {
    let times = Cell::new(0);
    move || {
        let time = times.replace(times.get() + 1);
        std::thread::scope(|scope| {
            for (at, daemon) in daemons.iter().enumerate() {
                scope.spawn(move || {
                    if (at + time).is_multiple_of(2) {
                        daemon.stop();
                    } else {
                        daemon.kill_9();
                    }
                    daemon.start();
                });
            }
        });
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn signal_to(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Does any process have this on its command line?
fn is_running_with(text: &str) -> bool {
    processes().any(|pid| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
    })
}

/// All processes of this machine.
pub(crate) fn processes() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The network namespace of a process, as `/proc` names it.
pub(super) fn namespace_of(pid: u32) -> String {
    let link = PathBuf::from(format!("/proc/{pid}/ns/net"));
    std::fs::read_link(link).unwrap().display().to_string()
}

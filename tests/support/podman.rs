//! Podman's service (Debian's package) on a socket that speaks Docker's API, in the namespaces of a leased daemon.
//! Its settings are those with which it runs in a container or an old control-group hierarchy too.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::daemon::Daemon;
use super::wait::until;
use super::{fleet, image, raw};

pub(crate) struct Podman {
    socket: PathBuf,
    service: Child,
}

impl Podman {
    /// With busybox loaded.
    pub(crate) fn start(daemon: &Daemon) -> Self {
        Self::trusting(daemon, "localhost:5000")
    }

    /// The same, and it speaks to this registry without TLS.
    pub(crate) fn trusting(daemon: &Daemon, registry: &str) -> Self {
        let dir = fleet::folder("podman");
        let socket = dir.join("podman.sock");
        let settings = "[containers]\ndefault_ulimits=[\"nofile=1024:1024\",\"nproc=4096:4096\"]\n";
        std::fs::write(dir.join("containers.conf"), settings).unwrap();
        let trusted = format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n");
        std::fs::write(dir.join("registries.conf"), trusted).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let service = daemon
            .inside("podman")
            .env("CONTAINERS_CONF", dir.join("containers.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", dir.join("registries.conf"))
            .arg("--root")
            .arg(dir.join("root"))
            .arg("--runroot")
            .arg(dir.join("runroot"))
            .args([
                "--cgroup-manager",
                "cgroupfs",
                "--runtime",
                "runc",
                "system",
                "service",
                "--time=0",
            ])
            .arg(format!("unix://{}", socket.display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nsenter runs");
        let podman = Self { socket, service };
        until(Duration::from_secs(20), "Podman's service answers", || {
            raw::answers(&podman.socket).then_some(())
        });
        let answer = raw::request(
            &podman.socket,
            "POST",
            "/images/load",
            "application/x-tar",
            &image::busybox(),
        )
        .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        podman
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let all =
            raw::request(&self.socket, "GET", "/containers/json?all=1", "", b"").map(|answer| answer.json());
        for container in all.iter().filter_map(|list| list.as_array()).flatten() {
            let path = format!(
                "/containers/{}?force=1",
                container["Id"].as_str().unwrap_or_default()
            );
            drop(raw::request(&self.socket, "DELETE", &path, "", b""));
        }
        drop(self.service.kill());
        drop(self.service.wait());
    }
}

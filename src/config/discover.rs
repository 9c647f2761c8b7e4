//! The daemons of this machine, if none are configured:
//! the one that the docker command would use, otherwise every socket that exists.

use std::path::PathBuf;

use super::address::{Address, DEFAULT_SOCKET};
use super::context;
use super::fault::{ConfigFault, Wrong};
use super::host::Host;
use super::machine::Machine;
use crate::domain::endpoint::Endpoint;
use crate::domain::ids::HostName;

/// 1. `DOCKER_HOST`; 2. the current context; 3. every socket there is of Docker's and Podman's, rootful and
///    rootless; 4. Docker's default socket, so that the screen says why it cannot be reached.
pub(super) fn discover(machine: &Machine<'_>) -> Result<Vec<Host>, ConfigFault> {
    if let Some(text) = machine.env("DOCKER_HOST") {
        return Ok(vec![of_environment(&text, machine)?]);
    }
    let of_context = |wrong: Wrong| ConfigFault {
        hint: wrong.hint,
        ..ConfigFault::whole("the current Docker context", wrong.what)
    };
    if let Some(name) = context::current(machine).map_err(of_context)? {
        let endpoint = context::endpoint(&name, machine).map_err(of_context)?;
        return Ok(vec![host(&name, endpoint)]);
    }
    let found = sockets(machine);
    if found.is_empty() {
        return Ok(vec![host("local", Endpoint::Unix(machine.at(DEFAULT_SOCKET)))]);
    }
    Ok(found)
}

fn of_environment(text: &str, machine: &Machine<'_>) -> Result<Host, ConfigFault> {
    let fault = |wrong: Wrong| ConfigFault {
        hint: wrong.hint,
        ..ConfigFault::whole("DOCKER_HOST", wrong.what)
    };
    // Docker's command takes a bare `host:port` for tcp.
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("tcp://{text}")
    };
    let address = Address::parse(&text).map_err(fault)?;
    let tls = match &address {
        Address::Tcp { .. } if machine.env("DOCKER_TLS_VERIFY").is_some() => {
            let folder = match machine.env("DOCKER_CERT_PATH") {
                Some(folder) => Some(PathBuf::from(folder)),
                None => machine.docker_folder(),
            };
            let folder = folder.ok_or_else(|| fault(Wrong::new("DOCKER_CERT_PATH is not set")))?;
            Some(context::tls_of(&folder).map_err(fault)?)
        }
        Address::Tcp { .. } | Address::Unix(_) | Address::Ssh(_) => None,
    };
    let name = match &address {
        Address::Unix(_) => "local",
        Address::Tcp { host, .. } => host,
        Address::Ssh(ssh) => &ssh.host,
    };
    let name = name.to_owned();
    Ok(host(&name, address.endpoint(tls)))
}

/// One path may be a link to another (Debian's `podman-docker`): each daemon is taken once.
fn sockets(machine: &Machine<'_>) -> Vec<Host> {
    let own = machine.runtime_folders();
    // The first that is there: cron and `su` leave the variable out, or leave somebody else's.
    let own = |path: &str| {
        let mut paths = own.iter().map(|folder| folder.join(path));
        paths.find(|path| path.exists())
    };
    let candidates = [
        ("local", Some(machine.at(DEFAULT_SOCKET))),
        ("rootless", own("docker.sock")),
        ("podman", Some(machine.at("/run/podman/podman.sock"))),
        ("podman-user", own("podman/podman.sock")),
    ];
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for (name, path) in candidates {
        let Some(path) = path else { continue };
        let Ok(real) = std::fs::canonicalize(&path) else {
            continue;
        };
        if !seen.contains(&real) {
            seen.push(real);
            found.push(host(name, Endpoint::Unix(path)));
        }
    }
    found
}

/// A name of outside made into one of ours: what is not allowed becomes `-`.
fn host(name: &str, endpoint: Endpoint) -> Host {
    let cleaned: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') {
                c
            } else {
                '-'
            }
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(63)
        .collect();
    Host {
        name: HostName::parse(&cleaned).unwrap_or_else(|_| local()),
        endpoint,
        tags: Vec::new(),
        protected: false,
        concurrency: None,
        address: None,
    }
}

fn local() -> HostName {
    #[expect(
        clippy::expect_used,
        reason = "a constant that the rule for names allows; tested"
    )]
    HostName::parse("local").expect("`local` is a host name")
}

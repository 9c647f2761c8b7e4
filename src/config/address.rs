//! Parses a daemon's address: `unix:///…`, `tcp://host:port`, `ssh://user@host:port/path`.
//! Text only; unsupported addresses (Windows pipes, activation sockets) are refused by name.

use std::path::PathBuf;

use super::fault::Wrong;
use crate::domain::endpoint::{Endpoint, Ssh, Tls};

/// Where a daemon's socket is on a far side that does not say.
pub(super) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: Option<u16> },
    Ssh(Ssh),
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Wrong::new(format!("{text:?} is not an address"))
                .hint("`unix:///var/run/docker.sock`, `tcp://host:2376` or `ssh://user@host`"));
        };
        match scheme {
            "unix" => unix(rest),
            "tcp" => tcp(rest),
            "ssh" => ssh(rest),
            "npipe" => Err(Wrong::new("a Windows pipe cannot be reached from this machine")
                .hint("let the daemon listen on tcp with TLS, or connect over ssh")),
            "fd" => Err(Wrong::new(
                "`fd://` is an option for starting a daemon, not an address to connect to",
            )
            .hint("`unix:///var/run/docker.sock`")),
            "http" | "https" => Err(
                Wrong::new(format!("`{scheme}://` is written `tcp://` here")).hint(format!(
                    "`tcp://{rest}`, and for https also `tls = {{ ca, cert, key }}`"
                )),
            ),
            _ => {
                Err(Wrong::new(format!("`{scheme}://` is not supported"))
                    .hint("`unix://`, `tcp://` or `ssh://`"))
            }
        }
    }

    /// With Docker's own ports where none is given.
    pub(super) fn endpoint(self, tls: Option<Tls>) -> Endpoint {
        match self {
            Self::Unix(path) => Endpoint::Unix(path),
            Self::Tcp { host, port } => Endpoint::Tcp {
                host,
                port: port.unwrap_or(if tls.is_some() { 2376 } else { 2375 }),
                tls,
            },
            Self::Ssh(ssh) => Endpoint::Ssh(ssh),
        }
    }
}

fn unix(path: &str) -> Result<Address, Wrong> {
    if path.starts_with('/') && path.len() > 1 {
        Ok(Address::Unix(PathBuf::from(path)))
    } else {
        Err(Wrong::new("the socket's path is not absolute")
            .hint("three slashes: `unix:///var/run/docker.sock`"))
    }
}

fn tcp(rest: &str) -> Result<Address, Wrong> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('@') {
        return Err(Wrong::new("a tcp address has no user").hint("`tcp://host:2376`"));
    }
    if rest.contains('/') {
        return Err(Wrong::new("a tcp address has no path").hint("`tcp://host:2376`"));
    }
    let (host, port) = host_and_port(rest)?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    Ok(Address::Tcp { host, port })
}

fn ssh(rest: &str) -> Result<Address, Wrong> {
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
        None => (rest, ""),
    };
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if let Some(user) = user {
        if user.contains(':') {
            return Err(Wrong::new("an address must not contain a password")
                .hint("ssh uses its own keys and agent: see ssh_config(5)"));
        }
        if user.is_empty() || user.starts_with('-') || user.contains(|c: char| c.is_whitespace()) {
            return Err(Wrong::new(format!("{user:?} is not a user name")));
        }
    }
    let (host, port) = host_and_port(place)?;
    let socket = if path.len() > 1 { path } else { DEFAULT_SOCKET };
    if socket.contains([':', '\n']) {
        return Err(Wrong::new(
            "a `:` in the far socket's path cannot be forwarded by ssh",
        ));
    }
    Ok(Address::Ssh(Ssh {
        user: user.map(str::to_owned),
        host,
        port,
        socket: PathBuf::from(socket),
        reuse_master: false,
    }))
}

/// `host`, `host:22`, `[::1]:22`; the host without brackets.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), Wrong> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest
                .split_once(']')
                .ok_or_else(|| Wrong::new("a `[` is not closed").hint("`[::1]:2376`"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(Wrong::new(format!("{host:?} is not an IPv6 address")));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(Wrong::new(format!("{after:?} after the address is not allowed"))),
            }
        }
        None if text.matches(':').count() > 1 => {
            return Err(Wrong::new("an IPv6 address needs brackets").hint(format!("`[{text}]`")));
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() {
        return Err(Wrong::new("the address names no host"));
    }
    if host.starts_with('-') || !host.chars().all(allowed) {
        return Err(Wrong::new(format!("{host:?} is not a host name")));
    }
    let port = match port {
        None => None,
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            Ok(_) | Err(_) => return Err(Wrong::new(format!("{digits:?} is not a port")).hint("1 to 65535")),
        },
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Address::parse(text) {
            Ok(address) => address.endpoint(None).to_string(),
            Err(wrong) => format!("refused: {}", wrong.what),
        }
    }

    #[test]
    fn the_three_ways_to_a_daemon_are_read() {
        assert_eq!(shown("unix:///run/docker.sock"), "unix:///run/docker.sock");
        assert_eq!(shown("tcp://10.0.0.7"), "tcp://10.0.0.7:2375");
        assert_eq!(shown("tcp://[::1]:2376/"), "tcp://[::1]:2376");
        assert_eq!(shown("ssh://deploy@web-1:2222"), "ssh://deploy@web-1:2222");
        assert_eq!(shown("ssh://[fe80::1]:22"), "ssh://[fe80::1]:22");
    }

    #[test]
    fn the_far_socket_of_ssh_is_the_path_or_dockers_default() {
        let socket = |text: &str| match Address::parse(text) {
            Ok(Address::Ssh(ssh)) => ssh.socket.display().to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(socket("ssh://web-1"), DEFAULT_SOCKET);
        assert_eq!(socket("ssh://web-1/"), DEFAULT_SOCKET);
        assert_eq!(
            socket("ssh://web-1/run/user/1000/docker.sock"),
            "/run/user/1000/docker.sock"
        );
    }

    #[test]
    fn what_cannot_be_reached_is_refused_by_name() {
        for (text, word) in [
            ("npipe:////./pipe/docker_engine", "Windows pipe"),
            ("fd://", "fd://"),
            ("https://host", "tcp://"),
            ("gopher://host", "gopher"),
            ("/var/run/docker.sock", "not an address"),
            ("unix://docker.sock", "not absolute"),
            ("tcp://:2375", "no host"),
            ("tcp://host:0", "not a port"),
            ("tcp://host:99999", "not a port"),
            ("tcp://::1:2375", "brackets"),
            ("tcp://host/path", "no path"),
            ("ssh://user:secret@host", "password"),
            ("ssh://-oProxyCommand=x", "not a host name"),
            ("ssh://-l@host", "not a user name"),
        ] {
            assert!(shown(text).starts_with("refused"), "{text}: {}", shown(text));
            assert!(shown(text).contains(word), "{text}: {}", shown(text));
        }
    }
}

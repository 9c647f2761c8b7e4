//! One byte stream to a daemon: a unix socket, a TCP connection, or TLS over TCP.
//! Opens it within a limit; the protocol is in `wire`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{KeepAlive, TcpKeepCount, TcpKeepIdle, TcpKeepInterval, TcpUserTimeout};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// The limit of a TCP or TLS handshake.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// ssh's listening socket takes this many waiting connections before it refuses more (EAGAIN), for a moment.
const BACKLOG_TRIES: u32 = 20;
const BACKLOG_WAIT: Duration = Duration::from_millis(10);

/// What the link swallowed is not sent again after so many milliseconds: a lock is given up for lost after 30 s, and no
/// request that was under way then may reach the daemon when somebody else has the lock.
const SWALLOWED: u32 = 25_000;
/// A stream that stays silent so many seconds is asked for a sign of life, then again after each `ASK_AGAIN` seconds: a
/// host that was rebooted, or a router that forgot the connection, never says that it is over.
const SILENT: u32 = 10;
const ASK_AGAIN: u32 = 5;
/// Unanswered keep-alives after which the connection is broken: 25 s of silence, like `SWALLOWED`.
const ASKED_IN_VAIN: u32 = 3;

pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// How to connect to a daemon.
#[derive(Clone, Debug)]
pub(super) enum Route {
    Unix(PathBuf),
    Tcp {
        host: String,
        port: u16,
    },
    Tls {
        host: String,
        port: u16,
        config: Arc<ClientConfig>,
    },
}

impl Route {
    pub(super) async fn open(&self) -> io::Result<Box<dyn Io>> {
        match tokio::time::timeout(CONNECT_LIMIT, self.open_unlimited()).await {
            Ok(opened) => opened,
            Err(_elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s")),
        }
    }

    async fn open_unlimited(&self) -> io::Result<Box<dyn Io>> {
        match self {
            Self::Unix(path) => Ok(Box::new(unix(path).await?)),
            Self::Tcp { host, port } => Ok(Box::new(tcp(host, *port).await?)),
            Self::Tls { host, port, config } => {
                let name = ServerName::try_from(bare(host).to_owned())
                    .map_err(|fault| io::Error::new(io::ErrorKind::InvalidInput, fault))?;
                let plain = tcp(host, *port).await?;
                Ok(Box::new(
                    TlsConnector::from(Arc::clone(config))
                        .connect(name, plain)
                        .await?,
                ))
            }
        }
    }
}

async fn unix(path: &PathBuf) -> io::Result<UnixStream> {
    let mut tries = 0;
    loop {
        match UnixStream::connect(path).await {
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock && tries < BACKLOG_TRIES => {
                tries += 1;
                tokio::time::sleep(BACKLOG_WAIT).await;
            }
            opened_or_not => return opened_or_not,
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((bare(host), port)).await?;
    stream.set_nodelay(true)?;
    setsockopt(&stream, TcpUserTimeout, &SWALLOWED)?;
    setsockopt(&stream, KeepAlive, &true)?;
    setsockopt(&stream, TcpKeepIdle, &SILENT)?;
    setsockopt(&stream, TcpKeepInterval, &ASK_AGAIN)?;
    setsockopt(&stream, TcpKeepCount, &ASKED_IN_VAIN)?;
    Ok(stream)
}

/// Removes the brackets of an IPv6 address in a URL; resolvers and certificates do not use them.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_silent_connection_is_given_up_within_half_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = tcp("127.0.0.1", listener.local_addr().unwrap().port())
            .await
            .unwrap();
        assert!(getsockopt(&stream, KeepAlive).unwrap());
        let idle = getsockopt(&stream, TcpKeepIdle).unwrap();
        let again = getsockopt(&stream, TcpKeepInterval).unwrap();
        let count = getsockopt(&stream, TcpKeepCount).unwrap();
        assert_eq!(idle + again * count, 25);
    }
}

//! Probes a replica at its own address, through a process in its own network namespace, wherever the daemon is.
//! A port that listens on loopback only fails; each probe has a limit and reports why it failed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::EndpointSettings;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::StreamExt as _;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::ServerName;

use super::test::listening::{self, Seen};
use crate::config::gate::{HttpProbe, Probe};
use crate::domain::ids::ContainerId;
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;
use crate::runs::begin::authorities::trusting;

/// A pipe of bytes to `$1:$2`, with what images have.
const PIPE: &str = r#"if command -v nc >/dev/null 2>&1; then exec nc "$1" "$2"; fi
if command -v bash >/dev/null 2>&1; then exec bash -c 'exec 3<>/dev/tcp/$0/$1 && { cat <&3 & exec cat >&3; }' "$1" "$2"; fi
exit 127"#;
/// Between the daemon's stream and ours.
const BUFFER: usize = 16 << 10;
/// Of what the process says on its standard error.
const MOST_WORDS: usize = 400;

/// `Err` says why it did not pass: `it answered 503`, `Connection refused`.
pub async fn probe(daemon: &Daemon, id: &ContainerId, probe: &Probe, limit: Duration) -> Result<(), String> {
    let asking = async {
        match probe {
            Probe::Tcp(port) => tcp(daemon, id, *port).await,
            Probe::Http(http) => {
                let address = address(daemon, id).await?;
                let mut piped = Piped::open(daemon, id, &address, http.port).await?;
                let stream = piped.stream.take().ok_or("its pipe is gone")?;
                let answered = request(stream, http, &address).await;
                answered.map_err(|why| piped.words().unwrap_or(why))
            }
        }
    };
    within(limit, asking).await
}

async fn within(limit: Duration, asking: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::time::timeout(limit, asking)
        .await
        .unwrap_or_else(|_elapsed| Err(format!("no answer within {} s", limit.as_secs_f64())))
}

async fn tcp(daemon: &Daemon, id: &ContainerId, port: u16) -> Result<(), String> {
    let docker = daemon.change().map_err(|fault| fault.why)?;
    match listening::seen(docker, id.as_str(), port)
        .await
        .map_err(|error| engine_words(&error))?
    {
        Seen::Table(found) => found.why_not(port).map_or(Ok(()), Err),
        Seen::NoTools => Err("its image has no `cat` to see it with".to_owned()),
        Seen::Nothing => Err("it does not answer".to_owned()),
    }
}

/// In the first of its networks; in the host's own it is the loopback.
async fn address(daemon: &Daemon, id: &ContainerId) -> Result<String, String> {
    let networks = networks(daemon, id).await?;
    let mut found: Vec<String> = networks.into_values().collect();
    found.sort();
    Ok(found.into_iter().next().unwrap_or_else(|| LOOPBACK.to_owned()))
}

/// In this one of its networks, or in the only one that nobody has named; in the host's own it is the loopback.
pub async fn address_in(daemon: &Daemon, id: &ContainerId, network: Option<&str>) -> Result<String, String> {
    if network == Some("host") {
        return Ok(LOOPBACK.to_owned());
    }
    let mut networks = networks(daemon, id).await?;
    let found = match network {
        Some(name) => networks.remove(name),
        None => networks.into_values().next(),
    };
    found.ok_or_else(|| match network {
        Some(name) => format!("it has no address in the network {name}"),
        None => "it has no address".to_owned(),
    })
}

const LOOPBACK: &str = "127.0.0.1";

/// Its addresses, by the names of its networks.
async fn networks(daemon: &Daemon, id: &ContainerId) -> Result<HashMap<String, String>, String> {
    let seen = daemon
        .read()
        .inspect_container(id.as_str(), None::<InspectContainerOptions>)
        .await
        .map_err(|error| engine_words(&error))?;
    let networks = seen.network_settings.and_then(|settings| settings.networks);
    let known = networks.unwrap_or_default().into_iter();
    let address = |(name, network): (String, EndpointSettings)| Some((name, network.ip_address?));
    Ok(known
        .filter_map(address)
        .filter(|(_, address)| !address.is_empty())
        .collect())
}

/// A connection from within the replica's network, carried by the daemon.
struct Piped {
    stream: Option<DuplexStream>,
    /// What the process in the replica complained of.
    said: Arc<Mutex<Vec<u8>>>,
    /// Ends with it.
    _pumps: JoinSet<()>,
}

impl Piped {
    async fn open(daemon: &Daemon, id: &ContainerId, address: &str, port: u16) -> Result<Self, String> {
        let docker = daemon.change().map_err(|fault| fault.why)?;
        let port = port.to_string();
        let command = ["sh", "-c", PIPE, "probe", address, &port];
        let options = CreateExecOptions {
            cmd: Some(command.map(str::to_owned).to_vec()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let words = |error: bollard::errors::Error| engine_words(&error);
        let exec = docker.create_exec(id.as_str(), options).await.map_err(words)?;
        let StartExecResults::Attached {
            mut output,
            mut input,
        } = docker.start_exec(&exec.id, None).await.map_err(words)?
        else {
            return Err("the daemon did not attach to it".to_owned());
        };
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let (mut from_us, mut to_us) = tokio::io::split(theirs);
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let mut pumps = JoinSet::new();
        pumps.spawn(async move {
            while let Some(Ok(piece)) = output.next().await {
                match piece {
                    LogOutput::StdOut { message } | LogOutput::Console { message } => {
                        if to_us.write_all(&message).await.is_err() {
                            return;
                        }
                    }
                    LogOutput::StdErr { message } => {
                        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                        let room = MOST_WORDS.saturating_sub(heard.len());
                        heard.extend(message.iter().take(room));
                    }
                    LogOutput::StdIn { .. } => {}
                }
            }
            // It ended: our side reads the end, whether or not that can be said.
            drop(to_us.shutdown().await);
        });
        pumps.spawn(async move {
            // A pipe that breaks is seen by whoever reads the answer.
            drop(tokio::io::copy(&mut from_us, &mut input).await);
        });
        Ok(Self {
            stream: Some(ours),
            said,
            _pumps: pumps,
        })
    }

    fn words(&self) -> Option<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }
}

/// Something takes connections there, seen from here.
pub async fn tcp_from_here(host: &str, port: u16, limit: Duration) -> Result<(), String> {
    let connecting = async {
        let connected = TcpStream::connect((host, port)).await;
        connected.map(drop).map_err(|error| error.to_string())
    };
    within(limit, connecting).await
}

/// From here, to a published port.
pub async fn from_here(host: &str, http: &HttpProbe, limit: Duration) -> Result<(), String> {
    let asking = async {
        let stream = TcpStream::connect((host, http.port))
            .await
            .map_err(|error| error.to_string())?;
        request(stream, http, host).await
    };
    within(limit, asking).await
}

async fn request<S>(stream: S, http: &HttpProbe, address: &str) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let status = match &http.tls {
        None => send(stream, http, address).await?,
        Some(tls) => {
            let connector = trusting(tls.ca.as_deref(), "the probe").map_err(|fault| fault.to_string())?;
            let name = http.host.as_deref().unwrap_or(address).to_owned();
            let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
            let stream = connector
                .connect(name, stream)
                .await
                .map_err(|error| error.to_string())?;
            send(stream, http, address).await?
        }
    };
    if http.is_wanted(status) {
        Ok(())
    } else {
        Err(format!("it answered {status}"))
    }
}

async fn send<S>(stream: S, http: &HttpProbe, address: &str) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let named = match &http.host {
        Some(host) => host.clone(),
        None => format!("{address}:{}", http.port),
    };
    let request = Request::get(&http.path)
        .header(HOST, named)
        .header(USER_AGENT, concat!("pilothouse/", env!("CARGO_PKG_VERSION")))
        .header(CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ended with this function.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())?;
    Ok(answer.status().as_u16())
}

//! One POST of a result to a webhook: https with verified certificates, or plain http on this machine.
//! Follows no redirects and reads only the status; messages contain only the host of the URL.

use std::io;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Hook, Trouble};
use crate::config::finish::hook_url;
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::runs::begin::authorities::trusting;

impl Hook {
    /// `https://chat.example`: the part of the URL that may be shown.
    pub(super) fn place(&self) -> String {
        match hook_url(&self.url) {
            Ok(url) => format!(
                "{}://{}",
                url.scheme_str().unwrap_or_default(),
                url.authority().map_or("", |authority| authority.as_str())
            ),
            Err(_) => "the webhook".to_owned(),
        }
    }
}

/// Has no limit of its own; the caller sets one.
pub(super) async fn post(hook: &Hook, run: &RunId, body: Vec<u8>) -> Result<(), Trouble> {
    let what = || format!("tell {}", hook.place());
    let lasting = |why: &dyn std::fmt::Display| Trouble {
        fault: Fault::new(what(), why),
        may_pass: false,
    };
    let passing = |why: &dyn std::fmt::Display| Trouble {
        fault: Fault::new(what(), why),
        may_pass: true,
    };
    let url = hook_url(&hook.url).map_err(|why| lasting(&why))?;
    let is_https = url.scheme_str() == Some("https");
    let host = url.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let request = request(hook, &url, run, body).map_err(|error| lasting(&error))?;
    let stream = TcpStream::connect((bare.as_str(), port))
        .await
        .map_err(|error| passing(&error))?;
    let status = if is_https {
        let connector = trusting(hook.ca.as_deref(), "on_finish").map_err(|fault| Trouble {
            fault,
            may_pass: false,
        })?;
        let name = ServerName::try_from(bare).map_err(|error| lasting(&error))?;
        let stream = connector.connect(name, stream).await.map_err(|error| {
            let mut trouble = passing(&error);
            if error.kind() == io::ErrorKind::InvalidData {
                trouble.fault = trouble
                    .fault
                    .hint("set `ca` of on_finish to the authority that signed its certificate");
                trouble.may_pass = false;
            }
            trouble
        })?;
        send(stream, request).await
    } else {
        send(stream, request).await
    };
    let status = status.map_err(|error| passing(&error))?;
    let again = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    match status {
        _ if status.is_success() => Ok(()),
        _ if again => Err(passing(&format!("it answered {status}"))),
        _ => Err(lasting(&format!("it answered {status}"))),
    }
}

fn request(
    hook: &Hook,
    url: &Uri,
    run: &RunId,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::post(path)
        .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("pilothouse/", env!("CARGO_PKG_VERSION")))
        .header("X-Pilothouse-Event", "run-finished")
        .header("X-Pilothouse-Delivery", run.as_str());
    if let Some(signature) = hook.secret.as_deref().and_then(|secret| signature(secret, &body)) {
        // As GitHub signs: whoever can check theirs can check ours.
        request = request.header("X-Hub-Signature-256", signature);
    }
    request.body(Full::new(Bytes::from(body)))
}

fn signature(secret: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    let digits: Vec<String> = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(format!("sha256={}", digits.concat()))
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ended with this function.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let answer = sender.send_request(request).await?;
    Ok(answer.status())
}

//! Push, pull, and the digest of a tag in a registry: requests to a daemon, which talks to the registry.
//! A login is sent in one header of one request only.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};

use super::connect::Daemon;
use super::listing::encode;
use super::trouble::Trouble;
use super::wire::{Wire, empty, within};
use crate::domain::fault::Fault;
use crate::domain::ids::Digest;
use crate::domain::reference::{HUB, Reference};

/// The limit until the first line, because the daemon first asks the registry, which may be slow.
const HEAD_LIMIT: std::time::Duration = std::time::Duration::from_mins(2);
/// A registry that cannot be reached makes the daemon wait for its own limits.
const ASK_LIMIT: std::time::Duration = std::time::Duration::from_secs(45);
/// One line of progress is a few hundred bytes.
const LONGEST_LINE: usize = 256 << 10;
const AUTH: &str = "X-Registry-Auth";

/// A registry login. Only ever written to the pipe between a launcher and its runner.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Login {
    Password {
        username: String,
        password: String,
    },
    /// An identity token, as some credential helpers give it.
    Token(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Login::Password(…)",
            Self::Token(_) => "Login::Token(…)",
        })
    }
}

impl Login {
    /// The secret part.
    #[must_use]
    pub fn secret(&self) -> &str {
        match self {
            Self::Password { password, .. } => password,
            Self::Token(token) => token,
        }
    }
}

/// How Docker's own registry is called where logins are kept.
fn server(registry: &str) -> &str {
    match registry {
        HUB => "https://index.docker.io/v1/",
        other => other,
    }
}

fn said(login: &Login, registry: &str) -> serde_json::Value {
    let server = server(registry);
    match login {
        Login::Password { username, password } => {
            serde_json::json!({"username": username, "password": password, "serveraddress": server})
        }
        Login::Token(token) => serde_json::json!({"identitytoken": token, "serveraddress": server}),
    }
}

/// Docker reads it by the alphabet that is safe in URLs.
/// <https://docs.docker.com/reference/api/engine/version/v1.41/#section/Authentication>
fn sensitive(said: &serde_json::Value) -> Result<HeaderValue, Trouble> {
    let mut value = HeaderValue::from_str(&URL_SAFE.encode(said.to_string()))
        .map_err(|fault| Trouble::Invalid(fault.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Who one is at the registry of `reference`; nobody at all is `{}`.
fn header(login: Option<&Login>, reference: &Reference) -> Result<HeaderValue, Trouble> {
    sensitive(&login.map_or_else(
        || serde_json::json!({}),
        |login| said(login, reference.registry()),
    ))
}

/// Who one is at several registries, by their addresses: `X-Registry-Config`.
pub(super) fn config(logins: &BTreeMap<String, Option<Login>>) -> Result<HeaderValue, Trouble> {
    let known = logins.iter().filter_map(|(registry, login)| {
        let login = login.as_ref()?;
        Some((server(registry).to_owned(), said(login, registry)))
    });
    sensitive(&known.collect())
}

/// Why it was not done: in the daemon's words, which are often the registry's.
#[derive(Debug)]
pub struct Refusal {
    pub words: String,
    /// The daemon's own status, where it refused before the first line.
    pub status: Option<u16>,
    /// The daemon itself did not answer, or broke off: what became of the request is not known.
    pub is_silence: bool,
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        let (status, is_silence) = match &trouble {
            Trouble::Refused { status, .. } => (Some(*status), false),
            Trouble::Open(_) | Trouble::Broken(_) | Trouble::Late(_) | Trouble::Lost => (None, true),
            Trouble::Unreadable(_) | Trouble::TooLarge(_) | Trouble::Invalid(_) | Trouble::ReadOnly => {
                (None, false)
            }
        };
        Self {
            words: trouble.to_string(),
            status,
            is_silence,
        }
    }
}

/// One line of a push or a pull.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// `Pushing`, `Layer already exists`, `v3: digest: sha256:… size: 528`
    pub status: String,
    /// The layer that it is about, in short.
    pub layer: Option<String>,
    /// Bytes of that layer.
    pub current: u64,
    pub total: u64,
    /// At the end of a push.
    pub digest: Option<Digest>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "progressDetail")]
    detail: Option<Detail>,
    #[serde(default)]
    aux: Option<Aux>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default, rename = "errorDetail")]
    error_detail: Option<ErrorDetail>,
    /// Podman's way to say a line, and an error of its own.
    #[serde(default)]
    stream: Option<String>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    current: i64,
    #[serde(default)]
    total: i64,
}

#[derive(Deserialize)]
struct Aux {
    #[serde(default, rename = "Digest")]
    digest: Option<String>,
}

#[derive(Deserialize)]
struct ErrorDetail {
    #[serde(default)]
    message: String,
}

fn read(line: &[u8]) -> Result<Line, Refusal> {
    let said: Said = serde_json::from_slice(line)
        .map_err(|fault| Refusal::from(Trouble::Unreadable(fault.to_string())))?;
    let detailed = said.error_detail.map(|detail| detail.message);
    if let Some(words) = detailed.filter(|words| !words.is_empty()).or(said.error) {
        return Err(Refusal {
            words,
            status: None,
            is_silence: false,
        });
    }
    let status = said.status.or(said.stream).unwrap_or_default();
    let named = said.aux.and_then(|aux| aux.digest);
    let digest = named.or_else(|| {
        let (_, rest) = status.split_once("digest: ")?;
        Some(rest.split_whitespace().next()?.to_owned())
    });
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let detail = said.detail.as_ref();
    Ok(Line {
        layer: said.id,
        current: detail.map_or(0, |detail| count(detail.current)),
        total: detail.map_or(0, |detail| count(detail.total)),
        digest: digest.and_then(|text| Digest::parse(&text).ok()),
        status,
    })
}

/// The lines of a push or a pull as they come. Dropped, the daemon stops.
pub struct Lines {
    body: Incoming,
    rest: BytesMut,
    /// Keeps a tunnel open.
    _wire: Wire,
}

impl Lines {
    /// `None` when the daemon has said all; an error is the last thing it says.
    pub async fn next(&mut self) -> Result<Option<Line>, Refusal> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return read(&line).map(Some);
            }
            if self.rest.len() > LONGEST_LINE {
                return Err(Trouble::TooLarge(LONGEST_LINE).into());
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(Trouble::Broken)?.into_data() {
                        self.rest.extend_from_slice(&data);
                    }
                }
                None if self.rest.trim_ascii().is_empty() => return Ok(None),
                None => {
                    let line = self.rest.split();
                    return read(&line).map(Some);
                }
            }
        }
    }
}

impl Daemon {
    /// Pushes what `reference` (with a tag) names there.
    pub async fn push(&self, reference: &Reference, login: Option<&Login>) -> Result<Lines, Refusal> {
        let tag = reference.tag().unwrap_or("latest");
        let path = format!("/images/{}/push?tag={}", reference.repository(), encode(tag));
        self.lines(&path, reference, login).await
    }

    /// Pulls `repo@digest`, or `repo:tag`.
    pub async fn pull(&self, reference: &Reference, login: Option<&Login>) -> Result<Lines, Refusal> {
        let which = reference
            .digest()
            .map(Digest::as_str)
            .or(reference.tag())
            .unwrap_or("latest");
        let path = format!(
            "/images/create?fromImage={}&tag={}",
            encode(reference.repository()),
            encode(which)
        );
        self.lines(&path, reference, login).await
    }

    /// What the registry itself says that `reference` is. Podman cannot ask.
    pub async fn asked_of_registry(
        &self,
        reference: &Reference,
        login: Option<&Login>,
    ) -> Result<Digest, Refusal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Said {
            descriptor: Descriptor,
        }
        #[derive(Deserialize)]
        struct Descriptor {
            digest: String,
        }
        let path = format!("/distribution/{reference}/json");
        let login = header(login, reference)?;
        let bytes = self
            .wire()
            .get_bytes_with(&path, (AUTH, login), ASK_LIMIT)
            .await?;
        let said: Said =
            serde_json::from_slice(&bytes).map_err(|fault| Trouble::Unreadable(fault.to_string()))?;
        let digest =
            Digest::parse(&said.descriptor.digest).map_err(|fault| Trouble::Unreadable(fault.to_string()))?;
        Ok(digest)
    }

    async fn lines(
        &self,
        path: &str,
        reference: &Reference,
        login: Option<&Login>,
    ) -> Result<Lines, Refusal> {
        let wire = self
            .change_wire()
            .map_err(|_fault: Fault| Trouble::ReadOnly)?
            .clone();
        let mut request = wire.post_with(path, &[], empty())?;
        request.headers_mut().insert(AUTH, header(login, reference)?);
        let response = within(HEAD_LIMIT, wire.ask(request)).await?;
        Ok(Lines {
            body: response.into_body(),
            rest: BytesMut::new(),
            _wire: wire,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_sent_in_the_alphabet_that_docker_reads() {
        let login = Login::Password {
            username: "ci".to_owned(),
            password: "???>>>~~~".to_owned(),
        };
        let reference = Reference::parse("registry:5000/shop").unwrap();
        let value = header(Some(&login), &reference).unwrap();
        assert!(value.is_sensitive());
        let text = value.to_str().unwrap();
        assert!(!text.contains(['+', '/']), "{text}");
        let read: serde_json::Value = serde_json::from_slice(&URL_SAFE.decode(text).unwrap()).unwrap();
        assert_eq!(read["password"], "???>>>~~~");
        assert_eq!(read["serveraddress"], "registry:5000");
        assert!(!format!("{login:?}").contains("???"));
    }

    #[test]
    fn logins_of_several_registries_are_sent_by_their_addresses() {
        let token = Some(Login::Token("t0ken".to_owned()));
        let logins = BTreeMap::from([(HUB.to_owned(), token), ("open:5000".to_owned(), None)]);
        let value = config(&logins).unwrap();
        assert!(value.is_sensitive());
        let read: serde_json::Value = serde_json::from_slice(&URL_SAFE.decode(value).unwrap()).unwrap();
        let hub = "https://index.docker.io/v1/";
        assert_eq!(
            read,
            serde_json::json!({hub: {"identitytoken": "t0ken", "serveraddress": hub}})
        );
    }

    #[test]
    fn lines_of_docker_and_of_podman_are_read() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let line = read(br#"{"status":"Pushing","progressDetail":{"current":512,"total":2048},"progress":"[=> ]","id":"3f2a91c01b2c"}"#).unwrap();
        assert_eq!(
            (line.layer.as_deref(), line.current, line.total),
            (Some("3f2a91c01b2c"), 512, 2048)
        );
        let line = read(format!("{{\"status\":\"v3: digest: {digest} size: 528\"}}").as_bytes()).unwrap();
        assert_eq!(line.digest.unwrap().as_str(), digest);
        let line = read(
            format!(
                "{{\"progressDetail\":{{}},\"aux\":{{\"Tag\":\"v3\",\"Digest\":\"{digest}\",\"Size\":528}}}}"
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(line.digest.unwrap().as_str(), digest);
        let refusal = read(br#"{"errorDetail":{"message":"denied: no"},"error":"denied: no"}"#).unwrap_err();
        assert_eq!(refusal.words, "denied: no");
        assert!(read(b"<html>").is_err());
    }
}

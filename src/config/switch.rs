//! Tests of a release: of its new replicas once they are ready, and from outside once all of them are.
//! Serialisable, because they are part of plans; templates are stored as written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Wrong;
use super::gate::{HttpProbe, Probe, ProbeTls};
use super::nearest::nearest;
use super::test::{Test, TestImage};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseTest {
    pub name: String,
    pub ask: Ask,
    /// Attempts after the first that failed.
    pub retries: u32,
    /// Of one attempt.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// A container on the replicas' network.
    Run(Box<Test>),
    /// Of each new replica, at its own address in its own network.
    Probe(Probe),
    /// From the machine of the run, at a published port: `http://{host.address}:8080/healthz`.
    Http(Url),
    /// The same: `{host.address}:5432`.
    Tcp(String),
}

/// What is asked from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Url {
    /// A template.
    pub url: String,
    /// Instead of the URL's own: what the request says it is for, and with TLS the name that the certificate must have.
    pub host: Option<String>,
    pub status: Option<u16>,
    /// PEM; absent: the system's authorities.
    pub ca: Option<PathBuf>,
}

/// What a template may name, by when it is filled.
pub const OF_REPLICA: &[&str] = &[
    "replica.address",
    "replica.name",
    "host.name",
    "host.address",
    "release.name",
    "service.name",
];
pub const OF_HOST: &[&str] = &["host.name", "host.address", "release.name", "service.name"];

/// By the names of [`OF_REPLICA`] or [`OF_HOST`].
pub type Facts = BTreeMap<&'static str, String>;

impl ReleaseTest {
    /// `smoke: /app/smoke.sh {replica.address}`, for plans.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match &self.ask {
            Ask::Run(test) => {
                let own = Test {
                    retries: self.retries,
                    ..test.as_ref().clone()
                };
                return format!("{}: {}", self.name, own.words());
            }
            Ask::Probe(probe) => probe.words(),
            Ask::Http(http) => format!("GET {}", http.url),
            Ask::Tcp(at) => format!("tcp {at}"),
        };
        let often = match self.retries {
            0 => String::new(),
            retries => format!(", up to {} times", retries.saturating_add(1)),
        };
        format!("{}: {what}{often}", self.name)
    }

    /// The container that it runs, if it does.
    #[must_use]
    pub fn container(&self) -> Option<&Test> {
        match &self.ask {
            Ask::Run(test) => Some(test),
            Ask::Probe(_) | Ask::Http(_) | Ask::Tcp(_) => None,
        }
    }

    /// An image of its own that must be on each host.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        match &self.container()?.image {
            TestImage::Named(name) => Some(name),
            TestImage::Own | TestImage::Target(_) => None,
        }
    }
}

impl Url {
    /// Where to connect to, and what to ask there.
    pub fn filled(&self, facts: &Facts) -> Result<(String, HttpProbe), String> {
        let text = fill(&self.url, facts);
        let wrong = |why: &str| format!("{text:?} {why}");
        let (rest, tls) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            (None, None) => return Err(wrong("begins with neither http:// nor https://")),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, format!("/{path}")),
            None => (rest, "/".to_owned()),
        };
        let is_sound = |c: char| c.is_ascii_graphic() && c != '#';
        if !path.chars().all(is_sound) {
            return Err(wrong(
                "contains characters not allowed in a request: escape them with `%`",
            ));
        }
        let usual = if tls { 443 } else { 80 };
        let (host, port) = place(authority, Some(usual)).map_err(|why| wrong(&why))?;
        let http = HttpProbe {
            tls: tls.then(|| ProbeTls { ca: self.ca.clone() }),
            path,
            port,
            host: self.host.clone(),
            status: self.status,
        };
        Ok((host, http))
    }
}

/// `10.0.0.5:80`, `[fd00::5]:80`, `web-1`; the port, where it is not said, is the usual one.
pub fn place(text: &str, usual: Option<u16>) -> Result<(String, u16), String> {
    let wrong = || "names no host and port".to_owned();
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(wrong)?)),
        // An address of IPv6 stands where a template has put it.
        None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, None),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0),
        None => usual,
    };
    let is_host = !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    match port {
        Some(port) if is_host => Ok((host.to_owned(), port)),
        Some(_) | None => Err(wrong()),
    }
}

/// Every `{known.name}` becomes what it stands for; other braces are the text's own.
#[must_use]
pub fn fill(template: &str, facts: &Facts) -> String {
    facts.iter().fold(template.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

/// `{replica.adress}` is a slip; `${HOME}` and `{"a": 1}` are none.
pub(super) fn check(template: &str, known: &[&'static str]) -> Result<(), Wrong> {
    for piece in template.split('{').skip(1) {
        let Some((name, _)) = piece.split_once('}') else {
            continue;
        };
        let parts: Vec<&str> = name.split('.').collect();
        let is_word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
        if parts.len() != 2 || !parts.iter().all(is_word) || known.contains(&name) {
            continue;
        }
        let wrong = if OF_REPLICA.contains(&name) {
            Wrong::new(format!(
                "`{{{name}}}` differs per replica, and this test runs once per host"
            ))
        } else {
            Wrong::new(format!("`{{{name}}}` is not known"))
        };
        return Err(match nearest(name, known.iter().copied()) {
            Some(meant) => wrong.hint(format!("did you mean `{{{meant}}}`?")),
            None => wrong.hint(format!("there are {}", known.join(", "))),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(address: &str) -> Facts {
        Facts::from([("host.address", address.to_owned())])
    }

    fn url(text: &str) -> Url {
        Url {
            url: text.to_owned(),
            host: None,
            status: None,
            ca: None,
        }
    }

    #[test]
    fn a_url_is_filled_and_says_where_to_connect_and_what_to_ask() {
        let (host, http) = url("http://{host.address}:8080/healthz?deep=1")
            .filled(&facts("10.0.0.5"))
            .unwrap();
        assert_eq!(
            (host.as_str(), http.port, http.path.as_str()),
            ("10.0.0.5", 8080, "/healthz?deep=1")
        );
        assert!(http.tls.is_none());
        let (host, http) = url("https://[{host.address}]").filled(&facts("fd00::5")).unwrap();
        assert_eq!(
            (host.as_str(), http.port, http.path.as_str()),
            ("fd00::5", 443, "/")
        );
        assert!(http.tls.is_some());
        for wrong in [
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a b/",
            "http://a/ b",
            "{host.address}",
        ] {
            assert!(url(wrong).filled(&facts("10.0.0.5")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_slip_in_a_template_is_told_and_the_braces_of_shells_and_json_are_left() {
        assert!(check("${HOME} {\"a\": {\"b\": 1}} {x} {} {replica.address}", OF_REPLICA).is_ok());
        let slip = check("{replica.adress}", OF_REPLICA).unwrap_err();
        assert_eq!(slip.hint.unwrap(), "did you mean `{replica.address}`?");
        let other = check("{replica.address}", OF_HOST).unwrap_err();
        assert!(other.what.contains("once per host"), "{}", other.what);
        assert_eq!(fill("{host.address}:80 ${host}", &facts("a")), "a:80 ${host}");
    }
}

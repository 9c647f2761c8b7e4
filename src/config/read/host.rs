//! `[[hosts]]`: a daemon, by address or Docker context.
//! Connects to nothing.

use std::num::NonZeroU32;

use super::super::address::Address;
use super::super::context;
use super::super::fault::Wrong;
use super::super::host::Host;
use super::super::machine::Machine;
use super::super::section::Section;
use super::{Known, Names};
use crate::domain::endpoint::{Endpoint, Tls};
use crate::domain::ids::HostName;

/// A higher limit is as good as none, which is set by omitting the key.
const MOST_AT_ONCE: u32 = 1000;

pub(super) fn read(
    section: &mut Section<'_>,
    machine: &Machine<'_>,
    names: &mut Names,
    known: &mut Known,
) -> Option<Host> {
    let name = section.need("name").and_then(|value| {
        let name = value.parsed(|text| Ok(HostName::parse(text)?))?;
        names.claim("host", name.as_str(), &value);
        Some(name)
    });
    let tags = section
        .take("tags")
        .and_then(|value| tags(&value))
        .unwrap_or_default();
    let protected = section.take("protected").and_then(|value| value.truth());
    let concurrency = section
        .take("concurrency")
        .and_then(|value| value.whole(1..=MOST_AT_ONCE))
        .and_then(NonZeroU32::new);
    let address = section.take("address").and_then(|value| value.parsed(address));
    if let Some(name) = &name {
        known.hosts.push((name.clone(), tags.clone()));
    }
    let endpoint = endpoint(section, machine);
    Some(Host {
        name: name?,
        endpoint: endpoint?,
        tags,
        protected: protected.unwrap_or_default(),
        address,
        concurrency,
    })
}

fn address(text: &str) -> Result<String, Wrong> {
    let is_address = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    if is_address {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("{text:?} is not an address"))
        .hint("\"10.0.0.5\", \"fd00::5\" or a name, without port"))
}

fn tags(value: &super::Value<'_>) -> Option<Vec<String>> {
    let tags = value.texts()?;
    for tag in &tags {
        if tag.is_empty() || tag.contains(|c: char| c.is_whitespace() || c == ':') {
            value.fault(
                Wrong::new(format!("{tag:?} is not a valid tag"))
                    .hint("one word without `:`; `tag:` is only written in `hosts`"),
            );
        }
    }
    Some(tags)
}

fn endpoint(section: &mut Section<'_>, machine: &Machine<'_>) -> Option<Endpoint> {
    let url = section.take("url");
    let context = section.take("context");
    let tls_value = section.take("tls");
    let tls_said = tls_value.is_some();
    let tls_at = tls_value.clone();
    let tls = tls_value.and_then(|value| {
        let mut section = value.section("tls")?;
        let mut file = |key| section.need(key).and_then(|value| value.path());
        let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
        section.finish();
        Some(Tls {
            ca: ca?,
            cert: cert?,
            key: key?,
        })
    });
    let reuse = section.take("reuse_master");
    let reuse_master = reuse.as_ref().and_then(super::Value::truth).unwrap_or_default();

    let endpoint = match (url, context) {
        (Some(_), Some(context)) => {
            context.fault(Wrong::new("`context` and `url` exclude each other").hint("keep one of them"));
            return None;
        }
        (None, None) => {
            if !section.place.source.broken {
                section.fault(Wrong::new("[[hosts]] has no `url`").hint(
                    "`url = \"unix:///var/run/docker.sock\"`, `tcp://…`, `ssh://…`, or `context = \"…\"`",
                ));
            }
            return None;
        }
        (Some(url), None) => url.parsed(Address::parse)?.endpoint(tls),
        (None, Some(context)) => context.parsed(|name| match name {
            "default" => Ok(Endpoint::Unix(machine.at(super::super::address::DEFAULT_SOCKET))),
            _ => context::endpoint(name, machine),
        })?,
    };
    let is_tcp = matches!(endpoint, Endpoint::Tcp { .. });
    if let (Some(value), false) = (tls_at, is_tcp) {
        value.fault(Wrong::new("`tls` is for `tcp://` only").hint("ssh and unix sockets do not need it"));
    }
    match (endpoint, reuse) {
        (Endpoint::Ssh(ssh), _) => Some(Endpoint::Ssh(crate::domain::endpoint::Ssh {
            reuse_master,
            ..ssh
        })),
        (other @ (Endpoint::Unix(_) | Endpoint::Tcp { .. }), Some(value)) => {
            value.fault(Wrong::new("`reuse_master` is for `ssh://` only"));
            Some(other)
        }
        // A `tls` table with a fault of its own must not become a connection without TLS.
        (Endpoint::Tcp { tls: None, .. }, None) if tls_said => None,
        (other @ (Endpoint::Unix(_) | Endpoint::Tcp { .. }), None) => Some(other),
    }
}

//! `health = { http = "/healthz", port = 8080, for = "3s", within = "60s" }`: when a new replica counts as ready.
//! At most one probe; keys of another kind of probe are refused.

use std::time::Duration;

use super::super::fault::Wrong;
use super::super::quantity::span;
use super::super::section::{Section, Value};
use super::super::service::{Gate, HttpProbe, Probe, ProbeTls};

/// More in a row is time, which `for` says better.
const MOST_TIMES: u32 = 100;

pub(super) fn read(value: &Value<'_>) -> Option<Gate> {
    let mut section = value.section("`health`")?;
    let default = Gate::default();
    let mut take = |key, default: Duration| match section.take(key) {
        Some(value) => value.parsed(span),
        None => Some(default),
    };
    let (steady, within, timeout) = (
        take("for", default.steady),
        take("within", default.within),
        take("timeout", default.timeout),
    );
    let times = match section.take("times") {
        Some(value) => value.whole(1..=MOST_TIMES),
        None => Some(default.times),
    };
    let probe = probe(&mut section);
    section.finish();
    let gate = Gate {
        steady: steady?,
        within: within?,
        probe: probe?,
        times: times?,
        timeout: timeout?,
    };
    if gate.within <= gate.steady {
        value.fault(Wrong::new(
            "`within` is not longer than `for`: the gate could never pass",
        ));
        return None;
    }
    if gate.timeout.is_zero() {
        value.fault(Wrong::new("`timeout` is zero: no probe could pass"));
        return None;
    }
    Some(gate)
}

/// The inner `None`: there is none.
#[expect(clippy::option_option, reason = "a fault, no probe, a probe")]
pub(super) fn probe(section: &mut Section<'_>) -> Option<Option<Probe>> {
    let (http, https, tcp) = (section.take("http"), section.take("https"), section.take("tcp"));
    let kinds = [&http, &https, &tcp];
    if kinds.iter().filter(|kind| kind.is_some()).count() > 1 {
        section.fault(Wrong::new("only one of `http`, `https` and `tcp` is allowed"));
        return None;
    }
    let port = |value: Value<'_>| value.whole(1..=65_535).and_then(|port| u16::try_from(port).ok());
    if let Some(value) = tcp {
        refuse(section, &["port", "host", "status", "ca"], "tcp");
        return Some(Some(Probe::Tcp(port(value)?)));
    }
    let Some(path) = http.as_ref().or(https.as_ref()) else {
        refuse(section, &["port", "host", "status", "ca"], "no probe");
        return Some(None);
    };
    let path = path.parsed(|text| {
        let wrong = |what: &str| {
            Wrong::new(format!("{text:?} {what}")).hint("\"/healthz\", and `port = 8080` beside it")
        };
        if !text.starts_with('/') {
            return Err(wrong("is not a path: it does not begin with `/`"));
        }
        if text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii())
        {
            return Err(wrong(
                "contains characters not allowed in a request: escape them with `%`",
            ));
        }
        Ok(text.to_owned())
    });
    let port = match section.take("port") {
        Some(value) => port(value),
        None if https.is_some() => Some(443),
        None => Some(80),
    };
    let host = match section.take("host") {
        Some(value) => Some(Some(value.parsed(host)?)),
        None => Some(None),
    };
    let status = match section.take("status") {
        Some(value) => Some(Some(value.whole(100..=599)?)),
        None => Some(None),
    };
    let tls = if https.is_some() {
        let ca = match section.take("ca") {
            Some(value) => Some(value.path()?),
            None => None,
        };
        Some(ProbeTls { ca })
    } else {
        refuse(section, &["ca"], "http");
        None
    };
    Some(Some(Probe::Http(HttpProbe {
        tls,
        path: path?,
        port: port?,
        host: host?,
        status: status?.and_then(|status| u16::try_from(status).ok()),
    })))
}

fn refuse(section: &mut Section<'_>, keys: &[&'static str], of: &str) {
    for key in keys {
        if let Some(value) = section.take(key) {
            value.fault(Wrong::new(format!("`{key}` has no effect with {of}")).hint("http = \"/healthz\""));
        }
    }
}

/// `shop.example`, as it stands in a request and in a certificate.
pub(super) fn host(text: &str) -> Result<String, Wrong> {
    let is_name = !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if is_name {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{text:?} is not a host name"))
            .hint("`shop.example`, without scheme and port"))
    }
}

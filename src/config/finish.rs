//! Who is notified when a run ends: a command on this machine, or a webhook.
//! Data only; the notification is sent by the run's process.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;

use crate::config::service::Secret;

/// `on_finish`, of a service or of all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnFinish {
    pub tell: Tell,
    /// Of one attempt.
    pub timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// Arguments, no shell; the result is its standard input.
    Command(Vec<String>),
    Hook(Hook),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub url: HookUrl,
    /// Signs what is sent.
    pub secret: Option<Secret>,
    /// Trusted instead of the system's authorities, PEM.
    pub ca: Option<PathBuf>,
}

/// Whoever knows the address of some hooks may write to them: then it is a secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookUrl {
    Open(String),
    Kept(Secret),
}

impl OnFinish {
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let hook = match &self.tell {
            Tell::Hook(hook) => Some(hook),
            Tell::Command(_) => None,
        };
        let url = hook.and_then(|hook| match &hook.url {
            HookUrl::Kept(secret) => Some(secret),
            HookUrl::Open(_) => None,
        });
        url.into_iter().chain(hook.and_then(|hook| hook.secret.as_ref()))
    }
}

/// A URL that a result may be sent to: https, or plain http that does not leave this machine.
/// What is wrong with another one is said without repeating it.
pub fn hook_url(text: &str) -> Result<Uri, &'static str> {
    let url: Uri = text.parse().map_err(|_quoting| "it is not a URL")?;
    let Some(authority) = url.authority() else {
        return Err("it begins with neither https:// nor http://");
    };
    if authority.as_str().contains('@') {
        return Err("a URL must not contain a password");
    }
    let host = authority.host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if is_loopback => Ok(url),
        Some("http") => Err("http:// is not encrypted: use https://, or a loopback address"),
        Some(_) | None => Err("it begins with neither https:// nor http://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_leaves_this_machine_only_over_https() {
        for text in [
            "https://chat.example/hook?key=1",
            "https://10.0.0.7:8443",
            "http://127.0.0.1:80/x",
            "http://localhost/",
            "http://[::1]:8080/",
        ] {
            assert!(hook_url(text).is_ok(), "{text}");
        }
        for text in [
            "http://chat.example/hook",
            "http://10.0.0.7/",
            "http://localhost.example/",
            "https://ann:hunter2@chat.example/",
            "ftp://chat.example/",
            "/hook",
            "chat.example",
            "",
            "https://",
        ] {
            let why = hook_url(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}

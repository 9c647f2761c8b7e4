//! Everything about one container, from one inspection; asked for when somebody looks.
//! Environment values that look like secrets are masked here, before anybody can show them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::{Health, State};
use super::ids::ContainerId;
use super::units::{Bytes, Stamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    pub id: ContainerId,
    pub name: String,
    pub image: String,
    pub image_id: String,
    pub state: State,
    pub health: Health,
    /// The daemon's own words when it could not start it.
    pub error: Option<String>,
    pub started: Option<Stamp>,
    pub finished: Option<Stamp>,
    /// How often the restart policy has started it again.
    pub restarts: u64,
    /// `always`, `on-failure:3`, `no`, …
    pub restart_policy: String,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub working_dir: String,
    pub user: String,
    pub hostname: String,
    pub tty: bool,
    pub memory_limit: Option<Bytes>,
    /// Cores.
    pub cpu_limit: Option<f64>,
    /// `8080 → 80/tcp`
    pub ports: Vec<String>,
    /// `volume data → /var/lib/data (rw)`
    pub mounts: Vec<String>,
    /// Name, address and aliases.
    pub networks: Vec<String>,
    /// Values masked where the name looks like a secret's.
    pub environment: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    pub log_driver: String,
    /// The last probes, newest last.
    pub probes: Vec<Probe>,
    pub stop_signal: Option<String>,
    pub stop_grace: Option<Duration>,
    /// The inspection as the daemon sent it, indented, secrets masked.
    pub raw: String,
}

/// One execution of the health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    pub at: Stamp,
    pub took: Duration,
    pub exit: i64,
    pub output: String,
}

/// Is this the name of a variable whose value must not be shown? Errs towards masking.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    const WORDS: [&str; 11] = [
        "PASS",
        "SECRET",
        "TOKEN",
        "KEY",
        "CREDENTIAL",
        "PRIVATE",
        "AUTH",
        "COOKIE",
        "SALT",
        "DSN",
        "SIGNATURE",
    ];
    let upper = name.to_ascii_uppercase();
    WORDS.iter().any(|word| upper.contains(word))
}

/// The value as it may be shown: masked when its name looks secret, or when it carries a password in a URL.
#[must_use]
pub fn shown_value(name: &str, value: &str) -> String {
    const MASK: &str = "••••••";
    if value.is_empty() {
        return String::new();
    }
    if looks_secret(name) {
        return MASK.to_owned();
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    match authority.rsplit_once('@') {
        Some((login, place)) => match login.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:{MASK}@{place}{tail}"),
            None => value.to_owned(),
        },
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secret_looking_names_and_passwords_in_urls_are_masked() {
        assert_eq!(shown_value("API_KEY", "abc"), "••••••");
        assert_eq!(
            shown_value("DB", "postgres://app:hunter2@db:5432/shop?x=1"),
            "postgres://app:••••••@db:5432/shop?x=1"
        );
        assert_eq!(shown_value("HOME", "/root"), "/root");
        assert_eq!(shown_value("URL", "http://shop/@x:y"), "http://shop/@x:y");
    }
}

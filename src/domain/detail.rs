//! Everything about one container, from one inspection, requested when it is opened.
//! Environment values that look like secrets are masked here, before they can be shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::{Health, State};
use super::ids::ContainerId;
use super::units::{Bytes, Stamp};

#[derive(Clone, Debug, PartialEq, Serialize)]
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

const MASK: &str = "••••••";

/// Whether the value of a variable with this name must be masked. Errs on the side of masking.
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
    // `MYSQL_PWD` is a password, `PWD` and `OLDPWD` are folders.
    upper.ends_with("_PWD") || WORDS.iter().any(|word| upper.contains(word))
}

/// The value as it may be shown: masked when its name looks secret, otherwise without the passwords in it: those of
/// URLs, and what follows a name that looks secret and `=` (`Server=db;Password=…`, `-Dstore.password=…`, `?token=…`).
#[must_use]
pub fn shown_value(name: &str, value: &str) -> String {
    if value.is_empty() {
        String::new()
    } else if looks_secret(name) {
        MASK.to_owned()
    } else {
        without_assigned(&without_logins(value))
    }
}

/// `scheme://user:••••••@place`, wherever one stands.
fn without_logins(value: &str) -> String {
    let mut shown = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        rest = after;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let login = after.get(..end).and_then(|authority| authority.rsplit_once('@'));
        if let Some((login, place)) = login
            && let Some((user, _)) = login.split_once(':')
        {
            shown.push_str(user);
            shown.push(':');
            shown.push_str(MASK);
            shown.push('@');
            rest = after.get(end - place.len()..).unwrap_or_default();
        }
    }
    shown.push_str(rest);
    shown
}

/// `Password=••••••;Port=1`: up to what ends a value, or to the end of its quotes.
fn without_assigned(value: &str) -> String {
    let marks = ['"', '\''];
    let mut shown = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('=') {
        shown.push_str(before);
        shown.push('=');
        rest = after;
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let name = before.rsplit(|c| !is_of_name(c)).next().unwrap_or_default();
        if !looks_secret(name) && !name.eq_ignore_ascii_case("pwd") {
            continue;
        }
        let quoted = after.strip_prefix(marks).and_then(|inner| {
            let end = inner.find(marks)?;
            inner.get(end..)?.strip_prefix(marks)
        });
        let end = |c: char| c.is_whitespace() || marks.contains(&c) || matches!(c, ';' | '&' | ',');
        let left = quoted.unwrap_or_else(|| after.trim_start_matches(|c| !end(c)));
        if left.len() < after.len() {
            shown.push_str(MASK);
        }
        rest = left;
    }
    shown.push_str(rest);
    shown
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

    #[test]
    fn secrets_inside_of_values_are_masked_and_the_rest_is_kept() {
        let all = [
            (
                "ConnectionStrings__Default",
                "Server=db;User Id=sa;Password=hunter2;Port=1",
                "Server=db;User Id=sa;Password=••••••;Port=1",
            ),
            (
                "DB",
                "Server=db;Uid=sa;Pwd='hunter2;hunter2';X=1",
                "Server=db;Uid=sa;Pwd=••••••;X=1",
            ),
            (
                "JAVA_OPTS",
                "-Xmx1g -Djavax.net.ssl.keyStorePassword=hunter2 -Da=b",
                "-Xmx1g -Djavax.net.ssl.keyStorePassword=•••••• -Da=b",
            ),
            (
                "HOOK",
                "http://x/?password=hunter2&a=b",
                "http://x/?password=••••••&a=b",
            ),
            (
                "PEERS",
                "http://a:hunter2@b,http://c:hunter2@d/x",
                "http://a:••••••@b,http://c:••••••@d/x",
            ),
            (
                "URLS",
                "http://a/x https://c:hunter2@d",
                "http://a/x https://c:••••••@d",
            ),
            ("MYSQL_PWD", "hunter2", "••••••"),
            ("PWD", "/srv", "/srv"),
            ("OLDPWD", "/", "/"),
            ("OPTS", "a==b;c=", "a==b;c="),
        ];
        for (name, value, shown) in all {
            assert_eq!(shown_value(name, value), shown, "{name}");
        }
    }
}

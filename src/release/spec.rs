//! The specification of how a service runs: its hash, and the differences between two of them in words.
//! A secret is represented by a short hash of its value, so that a change shows and the value does not.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::config::service::Spec;

/// By the secret's name: a short hash of its value.
pub type Seals = BTreeMap<String, String>;

/// The first digits: enough where an accident is to be found, not a forger.
pub(crate) fn short_hex(bytes: &[u8], digits: usize) -> String {
    let mut text = hex::encode(bytes);
    text.truncate(digits);
    text
}

/// Forty bits: enough to see a change, too few to confirm a guess with certainty.
#[must_use]
pub fn seal(name: &str, value: &str) -> String {
    let digest = Sha256::digest(format!("{name}\0{value}"));
    short_hex(&digest, 10)
}

/// The label `pilothouse.spec`.
pub fn hash(spec: &Spec, seals: &Seals) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(&(spec, seals))?;
    Ok(short_hex(&Sha256::digest(text), 16))
}

/// `PORT 80 → 8080`, `+ FEATURE`, `- OLD`, `ports 8080:80 → 9090:80`: what the plan page shows.
/// Values of variables whose names look secret are never shown.
#[must_use]
pub fn changes(before: &Spec, after: &Spec) -> Vec<String> {
    use crate::domain::detail::shown_value;
    let mut found = Vec::new();
    for (name, value) in &after.env {
        match before.env.get(name) {
            None => found.push(format!("+ {name}")),
            Some(old) if old != value => {
                found.push(format!(
                    "{name} {} → {}",
                    shown_value(name, old),
                    shown_value(name, value)
                ));
            }
            Some(_) => {}
        }
    }
    for name in before.env.keys().filter(|name| !after.env.contains_key(*name)) {
        found.push(format!("- {name}"));
    }
    for (name, source) in &after.secrets {
        match before.secrets.get(name) {
            None => found.push(format!("+ {name} (secret)")),
            Some(old) if old != source => found.push(format!("{name} (secret) has a different source")),
            Some(_) => {}
        }
    }
    for name in before
        .secrets
        .keys()
        .filter(|name| !after.secrets.contains_key(*name))
    {
        found.push(format!("- {name} (secret)"));
    }
    found.extend(files(before, after));
    let mut other = |what: &str, old: String, new: String| {
        if old != new {
            found.push(format!("{what} {} → {}", or_none(&old), or_none(&new)));
        }
    };
    other("command", before.command.join(" "), after.command.join(" "));
    other(
        "entrypoint",
        before.entrypoint.join(" "),
        after.entrypoint.join(" "),
    );
    other("ports", ports(before), ports(after));
    other("volumes", volumes(before), volumes(after));
    other("networks", networks(before), networks(after));
    other(
        "user",
        before.user.clone().unwrap_or_default(),
        after.user.clone().unwrap_or_default(),
    );
    other("memory", number(before.memory), number(after.memory));
    other("cpus", number(before.cpus), number(after.cpus));
    other(
        "restart",
        format!("{:?}", before.restart),
        format!("{:?}", after.restart),
    );
    other("labels", pairs(&before.labels), pairs(&after.labels));
    let grace = |spec: &Spec| format!("{} s", spec.stop_grace.as_secs());
    other("stop_grace", grace(before), grace(after));
    let signal = |spec: &Spec| spec.stop_signal.clone().unwrap_or_default();
    other("stop_signal", signal(before), signal(after));
    for (name, old, new) in options(before, after) {
        other(name, old, new);
    }
    found
}

/// Secrets known on both sides that differ: `TLS_KEY (secret) changed`.
#[must_use]
pub fn changed_secrets(before: &Seals, now: &Seals) -> Vec<String> {
    let is_other = |(name, seal): &(&String, &String)| before.get(*name).is_some_and(|old| old != *seal);
    let changed = now.iter().filter(is_other);
    changed
        .map(|(name, _)| format!("{name} (secret) changed"))
        .collect()
}

/// Changes of secrets that are files: added, removed, moved, or from another source.
fn files(before: &Spec, after: &Spec) -> Vec<String> {
    let mut found = Vec::new();
    for (name, file) in &after.files {
        match before.files.get(name) {
            None => found.push(format!("+ {name} (secret) at {}", file.words())),
            Some(old) => {
                if old.words() != file.words() {
                    found.push(format!("{name} (secret) {} → {}", old.words(), file.words()));
                }
                if old.source != file.source {
                    found.push(format!("{name} (secret) has a different source"));
                }
            }
        }
    }
    let gone = before
        .files
        .keys()
        .filter(|name| !after.files.contains_key(*name));
    found.extend(gone.map(|name| format!("- {name} (secret)")));
    found
}

fn pairs(pairs: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", crate::domain::detail::shown_value(name, value)))
        .collect();
    pairs.join(" ")
}

/// The same without values: in a running container it is unknown which values are secret.
#[must_use]
pub fn changed_names(before: &Spec, after: &Spec) -> Vec<String> {
    let named = |spec: &Spec| Spec {
        env: BTreeMap::new(),
        command: Vec::new(),
        entrypoint: Vec::new(),
        ..spec.clone()
    };
    let mut found = Vec::new();
    let has = |spec: &Spec, name: &String| spec.env.contains_key(name) || spec.secrets.contains_key(name);
    let all = before.env.keys().chain(after.env.keys());
    for name in all.collect::<std::collections::BTreeSet<_>>() {
        match (has(before, name), has(after, name)) {
            (true, true) if before.env.get(name) != after.env.get(name) => {
                found.push(format!("{name} differs"));
            }
            (true, true) | (false, false) => {}
            (false, true) => found.push(format!("+ {name}")),
            (true, false) => found.push(format!("- {name}")),
        }
    }
    for (what, old, new) in [
        ("command", &before.command, &after.command),
        ("entrypoint", &before.entrypoint, &after.entrypoint),
    ] {
        if old != new {
            found.push(format!("{what} differs"));
        }
    }
    found.extend(changes(&named(before), &named(after)));
    found
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn number(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The other options of a replica, each before and after.
fn options(before: &Spec, after: &Spec) -> Vec<(&'static str, String, String)> {
    let words = |spec: &Spec| {
        let options = &spec.options;
        let yes = |yes: bool| if yes { "yes" } else { "" }.to_owned();
        let log = options.log.as_ref();
        let log = log.map(|log| {
            format!("{} {}", log.driver, pairs(&log.options))
                .trim()
                .to_owned()
        });
        let check = options.healthcheck.as_ref().map(|check| {
            let often = check.interval.map(|span| format!(" every {span:?}"));
            format!("{}{}", check.test.join(" "), often.unwrap_or_default())
        });
        [
            ("read_only", yes(options.read_only)),
            ("no_new_privileges", yes(options.no_new_privileges)),
            ("init", yes(options.init)),
            ("cap_add", options.cap_add.join(" ")),
            ("cap_drop", options.cap_drop.join(" ")),
            ("tmpfs", pairs(&options.tmpfs)),
            ("extra_hosts", pairs(&options.extra_hosts)),
            ("pids", number(options.pids)),
            ("working_dir", options.working_dir.clone().unwrap_or_default()),
            ("log", log.unwrap_or_default()),
            ("healthcheck", check.unwrap_or_default()),
        ]
    };
    let both = words(before).into_iter().zip(words(after));
    both.map(|((name, old), (_, new))| (name, old, new)).collect()
}

/// `edge (as shop-api)`
fn networks(spec: &Spec) -> String {
    let words = spec.networks.iter().map(|name| match spec.aliases.get(name) {
        Some(others) => format!("{name} (as {})", others.join(", ")),
        None => name.clone(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn ports(spec: &Spec) -> String {
    let all: Vec<String> = spec
        .ports
        .iter()
        .map(|port| format!("{}:{}/{}", port.outside, port.inside, port.protocol))
        .collect();
    all.join(" ")
}

fn volumes(spec: &Spec) -> String {
    let all: Vec<String> = spec
        .volumes
        .iter()
        .map(|mount| format!("{}:{}", mount.source, mount.target))
        .collect();
    all.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::service::{Secret, SecretFile};

    #[test]
    fn changes_are_told_in_words_and_secret_values_are_not() {
        let mut before = Spec::default();
        before.env.insert("PORT".to_owned(), "80".to_owned());
        before.env.insert("DB_PASSWORD".to_owned(), "one".to_owned());
        let mut after = before.clone();
        after.env.insert("PORT".to_owned(), "8080".to_owned());
        after.env.insert("DB_PASSWORD".to_owned(), "two".to_owned());
        after.env.insert("FEATURE".to_owned(), "on".to_owned());
        assert_eq!(
            changes(&before, &after),
            ["DB_PASSWORD •••••• → ••••••", "+ FEATURE", "PORT 80 → 8080"]
        );
    }

    #[test]
    fn a_secret_in_a_file_is_told_by_its_place_and_as_changed_by_its_seal() {
        let file = |path: &str| SecretFile {
            source: Secret::Env("KEY".to_owned()),
            path: path.to_owned(),
            uid: 1000,
            gid: 1000,
            mode: 0o400,
        };
        let mut before = Spec::default();
        before.files.insert("KEY".to_owned(), file("/run/key"));
        let mut after = before.clone();
        assert!(changes(&before, &after).is_empty());
        after.files.insert("KEY".to_owned(), file("/run/other"));
        after.files.insert("CERT".to_owned(), file("/run/cert"));
        assert_eq!(
            changes(&before, &after),
            [
                "+ CERT (secret) at /run/cert (0400, 1000:1000)",
                "KEY (secret) /run/key (0400, 1000:1000) → /run/other (0400, 1000:1000)"
            ]
        );
        assert_eq!(
            changes(&after, &Spec::default()),
            ["- CERT (secret)", "- KEY (secret)"]
        );
        let seals = |value: &str| Seals::from([("KEY".to_owned(), seal("KEY", value))]);
        assert_eq!(
            changed_secrets(&seals("a"), &seals("b")),
            ["KEY (secret) changed"]
        );
        assert!(changed_secrets(&seals("a"), &seals("a")).is_empty());
        assert!(
            changed_secrets(&Seals::new(), &seals("a")).is_empty(),
            "an old ledger has none"
        );
    }

    #[test]
    fn a_spec_without_files_is_hashed_as_it_always_was() {
        let text = serde_json::to_string(&Spec::default()).unwrap();
        assert!(!text.contains("files"), "{text}");
    }

    #[test]
    fn another_secret_is_another_spec() {
        let spec = Spec::default();
        let one = Seals::from([("KEY".to_owned(), seal("KEY", "a"))]);
        let two = Seals::from([("KEY".to_owned(), seal("KEY", "b"))]);
        assert_ne!(hash(&spec, &one).unwrap(), hash(&spec, &two).unwrap());
    }
}

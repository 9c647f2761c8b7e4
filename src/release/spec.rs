//! The specification of how a service runs: its hash, and the differences between two of them in words.
//! A secret is represented by a short hash of its value, so that a change shows and the value does not.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::config::service::{Mount, Options, Publish, Spec};
use crate::config::test::HealthCheck;

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
    let settings = settings(before).into_iter().zip(settings(after));
    let others = settings.chain(options(before).into_iter().zip(options(after)));
    for ((what, old), (_, new)) in others.filter(|((_, old), (_, new))| old != new) {
        found.push(format!("{what} {} → {}", or_none(&old), or_none(&new)));
    }
    if found.is_empty() && before != after {
        found.push("a value that is not shown differs".to_owned());
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

/// In words, but for what is told one by one. Every field is named here: what is left out is a change that no plan shows.
fn settings(spec: &Spec) -> [(&'static str, String); 13] {
    let Spec {
        command,
        entrypoint,
        env: _,
        secrets: _,
        files: _,
        ports,
        volumes,
        networks,
        aliases,
        labels,
        user,
        memory,
        cpus,
        restart,
        stop_signal,
        stop_grace,
        ephemeral,
        options: _,
    } = spec;
    [
        ("command", command.join(" ")),
        ("entrypoint", entrypoint.join(" ")),
        ("ports", each(ports, port)),
        ("volumes", each(volumes, volume)),
        (
            "networks",
            each(networks, |name| network(name, aliases.get(name))),
        ),
        ("user", user.clone().unwrap_or_default()),
        ("memory", number(*memory)),
        ("cpus", number(*cpus)),
        ("restart", format!("{restart:?}")),
        ("labels", pairs(labels)),
        ("stop_grace", format!("{} s", stop_grace.as_secs_f64())),
        ("stop_signal", stop_signal.clone().unwrap_or_default()),
        ("ephemeral", yes(*ephemeral)),
    ]
}

/// As `settings`, of the other options.
fn options(spec: &Spec) -> [(&'static str, String); 11] {
    let Options {
        read_only,
        no_new_privileges,
        init,
        cap_add,
        cap_drop,
        tmpfs,
        extra_hosts,
        pids,
        working_dir,
        log,
        healthcheck,
    } = spec.options.as_ref();
    let log = log.as_ref().map(|log| {
        let words = format!("{} {}", log.driver, pairs(&log.options));
        words.trim().to_owned()
    });
    [
        ("read_only", yes(*read_only)),
        ("no_new_privileges", yes(*no_new_privileges)),
        ("init", yes(*init)),
        ("cap_add", cap_add.join(" ")),
        ("cap_drop", cap_drop.join(" ")),
        ("tmpfs", pairs(tmpfs)),
        ("extra_hosts", pairs(extra_hosts)),
        ("pids", number(*pids)),
        ("working_dir", working_dir.clone().unwrap_or_default()),
        ("log", log.unwrap_or_default()),
        (
            "healthcheck",
            healthcheck.as_ref().map(health).unwrap_or_default(),
        ),
    ]
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "" }.to_owned()
}

fn each<T>(all: &[T], words: impl Fn(&T) -> String) -> String {
    all.iter().map(words).collect::<Vec<_>>().join(" ")
}

/// `CMD true every 5s, at most 3s, 10s to start, 3 tries`
fn health(check: &HealthCheck) -> String {
    let HealthCheck {
        test,
        interval,
        timeout,
        start_period,
        retries,
    } = check;
    let details = [
        interval.map(|span| format!("every {span:?}")),
        timeout.map(|span| format!("at most {span:?}")),
        start_period.map(|span| format!("{span:?} to start")),
        retries.map(|times| format!("{times} tries")),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    format!("{} {}", test.join(" "), details.join(", "))
        .trim()
        .to_owned()
}

/// `edge (as shop-api)`
fn network(name: &str, aliases: Option<&Vec<String>>) -> String {
    match aliases {
        Some(others) => format!("{name} (as {})", others.join(", ")),
        None => name.to_owned(),
    }
}

/// `127.0.0.1:8080:80/tcp`
fn port(port: &Publish) -> String {
    let Publish {
        address,
        outside,
        inside,
        protocol,
    } = port;
    let address = address.as_ref().map(|address| format!("{address}:"));
    format!("{}{outside}:{inside}/{protocol}", address.unwrap_or_default())
}

/// `/etc/shop:/etc/shop:ro`
fn volume(mount: &Mount) -> String {
    let Mount {
        source,
        target,
        read_only,
    } = mount;
    format!("{source}:{target}{}", if *read_only { ":ro" } else { "" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    fn published(address: Option<&str>) -> Publish {
        Publish {
            address: address.map(str::to_owned),
            outside: 8080,
            inside: 80,
            protocol: "tcp".to_owned(),
        }
    }

    fn mounted(read_only: bool) -> Mount {
        Mount {
            source: "/etc/shop".to_owned(),
            target: "/etc/shop".to_owned(),
            read_only,
        }
    }

    fn checked(change: impl Fn(&mut HealthCheck)) -> Spec {
        let mut check = HealthCheck {
            test: vec!["CMD".to_owned(), "true".to_owned()],
            interval: Some(Duration::from_secs(5)),
            timeout: None,
            start_period: None,
            retries: None,
        };
        change(&mut check);
        let mut spec = Spec::default();
        spec.options.healthcheck = Some(check);
        spec
    }

    /// Somebody who opens a port to the world, or a mount to be written, sees it in the plan.
    #[test]
    fn where_a_port_listens_how_a_mount_is_written_and_each_part_of_a_check_are_told() {
        let with = |change: &dyn Fn(&mut Spec)| {
            let mut spec = Spec::default();
            change(&mut spec);
            spec
        };
        let ports = |address| with(&|spec| spec.ports = vec![published(address)]);
        assert_eq!(
            changes(&ports(Some("127.0.0.1")), &ports(None)),
            ["ports 127.0.0.1:8080:80/tcp → 8080:80/tcp"]
        );
        let mounts = |read_only| with(&|spec| spec.volumes = vec![mounted(read_only)]);
        assert_eq!(
            changes(&mounts(true), &mounts(false)),
            ["volumes /etc/shop:/etc/shop:ro → /etc/shop:/etc/shop"]
        );
        let before = checked(|_| {});
        let said = |after: Spec| changes(&before, &after).join("|");
        let started = said(checked(|check| check.start_period = Some(Duration::from_secs(9))));
        assert_eq!(
            started,
            "healthcheck CMD true every 5s → CMD true every 5s, 9s to start"
        );
        assert!(said(checked(|check| check.timeout = Some(Duration::from_secs(1)))).contains("at most 1s"));
        assert!(said(checked(|check| check.retries = Some(2))).contains("2 tries"));
        assert_eq!(
            changes(&Spec::default(), &with(&|spec| spec.ephemeral = true)),
            ["ephemeral none → yes"]
        );
        assert_eq!(
            changes(
                &Spec::default(),
                &with(&|spec| spec.stop_grace = Duration::from_millis(500))
            ),
            ["stop_grace 0 s → 0.5 s"]
        );
    }

    #[test]
    fn a_change_of_a_value_that_is_not_shown_is_a_change() {
        let token = |value: &str| {
            let mut spec = Spec::default();
            spec.labels.insert("API_TOKEN".to_owned(), value.to_owned());
            spec
        };
        assert_eq!(
            changes(&token("a"), &token("b")),
            ["a value that is not shown differs"]
        );
        assert!(changes(&token("a"), &token("a")).is_empty());
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

//! How a replica runs: the keys of `[services.deploy]` that become container settings.
//! Parses the syntax of `docker run`; refuses what would surprise on a remote daemon.

use std::time::Duration;

use super::super::fault::Wrong;
use super::super::quantity::{size, span};
use super::super::section::{Section, Value};
use super::super::service::{Mount, Publish, Restart, Spec};
use super::stages::{command, name_of_label, name_of_variable, pairs};
use super::{networks, options, secrets};

/// Docker's own.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Docker refuses less.
const LEAST_MEMORY: u64 = 6 << 20;

/// What is not said stays as it is in `base`; variables and labels are laid over it name by name.
pub(super) fn read(section: &mut Section<'_>, base: Option<Spec>) -> Spec {
    let base = base.unwrap_or_else(|| Spec {
        stop_grace: STOP_GRACE,
        ..Spec::default()
    });
    let mut words = |key, base| {
        let said = section.take(key);
        said.map_or(base, |value| command(&value).unwrap_or_default())
    };
    let program = words("command", base.command);
    let entrypoint = words("entrypoint", base.entrypoint);
    let said = section
        .take("env")
        .and_then(|value| pairs(&value, &name_of_variable))
        .unwrap_or_default();
    let kept = section
        .take("secrets")
        .map(|value| secrets::of_replicas(&value, &said))
        .unwrap_or_default();
    let mut env = base.env;
    env.retain(|name, _| !kept.variables.contains_key(name));
    env.extend(said);
    let mut files = base.files;
    files.extend(
        kept.files
            .iter()
            .map(|(value, file)| (value.key.clone(), file.clone())),
    );
    let port_words = |port: &Publish| {
        format!(
            "{}:{}/{}",
            port.address.as_deref().unwrap_or("*"),
            port.outside,
            port.protocol
        )
    };
    let ports = match section.take("ports") {
        Some(value) => each(Some(value), publish, "port", port_words),
        None => base.ports,
    };
    let volumes = match section.take("volumes") {
        Some(value) => each(Some(value), mount, "mount at", |mount| mount.target.clone()),
        None => base.volumes,
    };
    let (networks, aliases) = match section.take("networks") {
        Some(value) => networks::read(&value),
        None => (base.networks, base.aliases),
    };
    let mut labels = base.labels;
    labels.extend(
        section
            .take("labels")
            .and_then(|value| pairs(&value, &name_of_label))
            .unwrap_or_default(),
    );
    let spec = Spec {
        command: program,
        entrypoint,
        env,
        secrets: kept.variables,
        files,
        ports,
        volumes,
        networks,
        aliases,
        labels,
        user: match section.take("user") {
            Some(value) => value.word().map(str::to_owned),
            None => base.user,
        },
        memory: section
            .take("memory")
            .map_or(base.memory, |value| value.parsed(memory)),
        cpus: section.take("cpus").map_or(base.cpus, |value| cpus(&value)),
        restart: section
            .take("restart")
            .map_or(base.restart, |value| value.parsed(restart).unwrap_or_default()),
        stop_signal: section
            .take("stop_signal")
            .map_or(base.stop_signal, |value| value.parsed(signal)),
        stop_grace: section
            .take("stop_grace")
            .map_or(base.stop_grace, |value| value.parsed(span).unwrap_or(STOP_GRACE)),
        ephemeral: section
            .take("ephemeral")
            .and_then(|value| value.truth())
            .unwrap_or_default(),
        options: Box::new(options::read(section, *base.options)),
    };
    secrets::check_places(section, &kept.files, &spec);
    spec
}

/// A list of texts, each made into something; two that `key` calls the same are a fault.
fn each<T>(
    value: Option<Value<'_>>,
    parse: fn(&str) -> Result<T, Wrong>,
    what: &str,
    key: impl Fn(&T) -> String,
) -> Vec<T> {
    let mut found: Vec<T> = Vec::new();
    for item in value.and_then(|value| value.list()).unwrap_or_default() {
        let Some(thing) = item.parsed(parse) else { continue };
        if found.iter().any(|other| key(other) == key(&thing)) {
            item.fault(Wrong::new(format!("a second {what} {}", key(&thing))));
        }
        found.push(thing);
    }
    found
}

/// `8080:80`, `127.0.0.1:8080:80/udp`, `[::1]:8080:80`
pub(in crate::config) fn publish(text: &str) -> Result<Publish, Wrong> {
    let wrong = || {
        Wrong::new(format!("{text:?} is not a port to publish"))
            .hint("`8080:80`, host port first; `127.0.0.1:8080:80`; `53:53/udp`")
    };
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol, "tcp" | "udp" | "sctp") {
        return Err(wrong());
    }
    let (rest, inside) = ports.rsplit_once(':').ok_or_else(|| {
        Wrong::new(format!("{text:?} has no host port"))
            .hint("a port chosen by chance would change with every release: `8080:80`")
    })?;
    let (address, outside) = match rest.rsplit_once(':') {
        Some((address, outside)) => (Some(address), outside),
        None => (None, rest),
    };
    let address = match address {
        Some(address) => {
            let bare = address
                .strip_prefix('[')
                .and_then(|a| a.strip_suffix(']'))
                .unwrap_or(address);
            let parsed: std::net::IpAddr = bare.parse().ok().ok_or_else(wrong)?;
            Some(parsed.to_string())
        }
        None => None,
    };
    let port = |digits: &str| {
        digits
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(wrong)
    };
    Ok(Publish {
        address,
        outside: port(outside)?,
        inside: port(inside)?,
        protocol: protocol.to_owned(),
    })
}

/// `data:/var/lib/data`, `/etc/shop:/etc/shop:ro`
pub(in crate::config) fn mount(text: &str) -> Result<Mount, Wrong> {
    let wrong = |what: &str| {
        Wrong::new(format!("{text:?} {what}")).hint("`data:/var/lib/data` or `/etc/shop:/etc/shop:ro`")
    };
    let mut parts = text.split(':');
    let (source, target, mode) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let Some(target) = target else {
        return Err(wrong("has no path in the container"));
    };
    if parts.next().is_some() {
        return Err(wrong("has more than three parts"));
    }
    let read_only = match mode {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(_) => return Err(wrong("ends in neither `ro` nor `rw`")),
    };
    if !target.starts_with('/') || target.len() < 2 {
        return Err(wrong("has no absolute path in the container"));
    }
    if source.starts_with('.') || source.starts_with('~') {
        return Err(wrong("is relative, but it is a folder of the remote host"));
    }
    if !source.starts_with('/') && !is_name(source) {
        return Err(wrong("begins with neither a volume's name nor an absolute path"));
    }
    Ok(Mount {
        source: source.to_owned(),
        target: target.to_owned(),
        read_only,
    })
}

/// As Docker names volumes and networks.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

pub(super) fn memory(text: &str) -> Result<u64, Wrong> {
    let bytes = size(text)?;
    if bytes < LEAST_MEMORY {
        return Err(Wrong::new(format!("{text:?} is less than Docker allows")).hint("at least `6M`"));
    }
    Ok(bytes)
}

fn cpus(value: &Value<'_>) -> Option<f64> {
    let cpus = value.number()?;
    if (0.01..=4096.0).contains(&cpus) {
        return Some(cpus);
    }
    value.fault(Wrong::new("`cpus` must be from 0.01 to 4096 cores"));
    None
}

pub(in crate::config) fn restart(text: &str) -> Result<Restart, Wrong> {
    match text {
        "always" => Ok(Restart::Always),
        "no" => Ok(Restart::No),
        "on-failure" => Ok(Restart::OnFailure(0)),
        "unless-stopped" => Err(
            Wrong::new("`unless-stopped` stays down after a crash of the daemon")
                .hint("`always`: Pilothouse sets `no` on containers that it retires"),
        ),
        _ => text
            .strip_prefix("on-failure:")
            .and_then(|times| times.parse().ok())
            .map(Restart::OnFailure)
            .ok_or_else(|| {
                Wrong::new(format!("{text:?} is not a restart policy"))
                    .hint("`always`, `on-failure`, `on-failure:5` or `no`")
            }),
    }
}

pub(in crate::config) fn signal(text: &str) -> Result<String, Wrong> {
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let is_number = text.parse::<u8>().is_ok_and(|number| (1..=64).contains(&number));
    let is_name = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '+' | '-'));
    if is_number || is_name {
        Ok(text.to_owned())
    } else {
        Err(Wrong::new(format!("{text:?} is not a signal")).hint("`SIGTERM`, `SIGQUIT`, `SIGINT`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_outside_first_with_address_and_protocol() {
        let port = publish("127.0.0.1:8080:80/udp").unwrap();
        assert_eq!(
            (port.address.as_deref(), port.outside, port.inside),
            (Some("127.0.0.1"), 8080, 80)
        );
        assert_eq!(publish("[::1]:8080:80").unwrap().address.as_deref(), Some("::1"));
        assert_eq!(publish("8080:80").unwrap().protocol, "tcp");
        for text in [
            "80",
            "",
            "0:80",
            "8080:99999",
            "a:80",
            "8080:80/icmp",
            "host:8080:80",
            "1:2:3:4",
        ] {
            assert!(publish(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_mount_is_a_volume_or_an_absolute_path_of_the_far_host() {
        assert!(mount("/etc/shop:/etc/shop:ro").unwrap().read_only);
        assert!(!mount("data:/var/lib/data").unwrap().read_only);
        for text in [
            "data",
            "./x:/x",
            "~/x:/x",
            "data:relative",
            "a:/b:z",
            "a:/b:ro:c",
            ":/x",
            "a/b:/x",
            "a:/",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn unless_stopped_is_refused_with_its_reason() {
        assert_eq!(restart("on-failure:5").unwrap(), Restart::OnFailure(5));
        assert!(restart("unless-stopped").unwrap_err().what.contains("crash"));
        assert!(restart("on-failure:x").is_err() && restart("sometimes").is_err());
    }

    #[test]
    fn signals_are_names_or_numbers() {
        for text in ["SIGTERM", "QUIT", "SIGRTMIN+3", "9"] {
            assert_eq!(signal(text).unwrap(), text);
        }
        for text in ["", "sigterm", "0", "65", "SIG"] {
            assert!(signal(text).is_err(), "{text}");
        }
    }
}

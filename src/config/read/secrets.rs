//! `secrets = { API_KEY = { command = [...] } }`: the source of each value, and whether it becomes a variable or a file.
//! Values must not be in the file; a path where a file would not be kept is refused.

use std::collections::BTreeMap;

use super::super::fault::Wrong;
use super::super::section::{Section, Value};
use super::super::service::{Secret, SecretFile, Spec};
use super::custom::refuse_of_others;
use super::stages::{command, name_of_variable};
use super::testing::inside;

const WAYS: &str = "{ command = [\"pass\", \"shop/api\"] }, { env = \"API_KEY\" } or { file = \"/run/key\" }";
/// Read by its owner alone.
const DEFAULT_MODE: u32 = 0o400;
/// What Linux knows.
const MOST_IDS: u32 = i32::MAX.unsigned_abs();
/// Docker writes these itself, or the kernel does.
const TAKEN: &[&str] = &[
    "/dev",
    "/proc",
    "/sys",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
];

/// What a replica is given, its files with the values that say so.
#[derive(Default)]
pub(super) struct Kept<'s> {
    pub(super) variables: BTreeMap<String, Secret>,
    pub(super) files: Vec<(Value<'s>, SecretFile)>,
}

/// Where each value comes from, by its name.
pub(super) fn secrets(value: &Value<'_>, env: &BTreeMap<String, String>) -> BTreeMap<String, Secret> {
    let mut found = BTreeMap::new();
    let Some(mut section) = value.section("`secrets`") else {
        return found;
    };
    for item in section.take_all() {
        check_name(&item, Some(env));
        if let Some(secret) = secret(&item) {
            found.insert(item.key.clone(), secret);
        }
    }
    section.finish();
    found
}

/// The same, where `path` makes a file of it.
pub(super) fn of_replicas<'s>(value: &Value<'s>, env: &BTreeMap<String, String>) -> Kept<'s> {
    let mut kept = Kept::default();
    let Some(mut section) = value.section("`secrets`") else {
        return kept;
    };
    for item in section.take_all() {
        if item.is_text() {
            // Says why it is refused.
            secret(&item);
            continue;
        }
        let Some(mut own) = item.section(format!("the secret `{}`", item.key)) else {
            continue;
        };
        if own.has("path") {
            check_name(&item, None);
            if let Some(file) = file(&mut own, &item) {
                kept.files.push((item, file));
            }
        } else {
            check_name(&item, Some(env));
            for key in ["uid", "gid", "mode"] {
                if let Some(value) = own.take(key) {
                    value.fault(
                        Wrong::new(format!("`{key}` needs a `path`, and `{}` has none", item.key))
                            .hint("path = \"/run/secrets/tls.key\"; without one the secret is an environment variable"),
                    );
                }
            }
            let source = source(&mut own, &item);
            kept.variables
                .extend(source.map(|source| (item.key.clone(), source)));
        }
        own.finish();
    }
    section.finish();
    kept
}

fn check_name(item: &Value<'_>, env: Option<&BTreeMap<String, String>>) {
    if let Err(wrong) = name_of_variable(&item.key) {
        item.fault(wrong);
    }
    if env.is_some_and(|env| env.contains_key(&item.key)) {
        item.fault(Wrong::new(format!(
            "`{}` is both in `env` and in `secrets`",
            item.key
        )));
    }
}

fn file(section: &mut Section<'_>, item: &Value<'_>) -> Option<SecretFile> {
    let path = section.take("path").and_then(|value| {
        value.parsed(|text| {
            let path = inside(text)?;
            if path.contains("//") || path.contains("/./") {
                return Err(Wrong::new(format!("{path:?} has empty parts")));
            }
            Ok(path)
        })
    });
    let mut number = |key| match section.take(key) {
        Some(value) => value.whole(0..=MOST_IDS),
        None => Some(0),
    };
    let (uid, gid) = (number("uid"), number("gid"));
    let mode = match section.take("mode") {
        Some(value) => value.parsed(mode),
        None => Some(DEFAULT_MODE),
    };
    let source = source(section, item);
    Some(SecretFile {
        source: source?,
        path: path?,
        uid: uid?,
        gid: gid?,
        mode: mode?,
    })
}

/// `"0400"`
fn mode(text: &str) -> Result<u32, Wrong> {
    let digits = text.strip_prefix('0').unwrap_or(text);
    let is_octal = digits.len() == 3 && digits.chars().all(|c| c.is_digit(8));
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|_| is_octal)
        .ok_or_else(|| Wrong::new(format!("{text:?} is not a file mode")).hint("\"0400\", \"0440\""))
}

/// Where one value comes from.
pub(super) fn secret(value: &Value<'_>) -> Option<Secret> {
    if value.is_text() {
        value.fault(
            Wrong::new(format!(
                "the secret `{}` must not be written in the file",
                value.key
            ))
            .hint(WAYS),
        );
        return None;
    }
    let mut section = value.section(format!("the secret `{}`", value.key))?;
    let source = source(&mut section, value);
    section.finish();
    source
}

fn source(section: &mut Section<'_>, value: &Value<'_>) -> Option<Secret> {
    let by_command = section.take("command");
    let by_env = section.take("env");
    let by_file = section.take("file");
    match (by_command, by_env, by_file) {
        (Some(argv), None, None) => {
            refuse_of_others(&argv);
            Some(Secret::Command(command(&argv)?))
        }
        (None, Some(name), None) => Some(Secret::Env(name.word()?.to_owned())),
        (None, None, Some(path)) => Some(Secret::File(path.path()?)),
        (_, _, _) => {
            value.fault(
                Wrong::new(format!(
                    "the secret `{}` must come from exactly one place",
                    value.key
                ))
                .hint(WAYS),
            );
            None
        }
    }
}

/// A file is put into the container's own layer before it starts: whatever is mounted over that place would hide it or keep
/// it, and a layer that cannot be written takes none.
pub(super) fn check_places(section: &Section<'_>, files: &[(Value<'_>, SecretFile)], spec: &Spec) {
    let is_own = |name: &str| files.iter().any(|(value, _)| value.key == name);
    for (name, file) in spec.files.iter().filter(|(name, _)| !is_own(name)) {
        if let Some(why) = why_not(file, spec) {
            section.fault(Wrong::new(format!(
                "the secret `{name}` of the compose file cannot be stored at {}: {why}",
                file.path
            )));
        }
    }
    for (n, (value, file)) in files.iter().enumerate() {
        if let Some(why) = why_not(file, spec) {
            value.fault(
                Wrong::new(format!(
                    "the secret `{}` cannot be stored at {}: {why}",
                    value.key, file.path
                ))
                .hint("choose another `path`, or none for an environment variable"),
            );
        }
        let mut before = files.iter().take(n);
        if let Some((other, _)) =
            before.find(|(_, other)| other.is_below(&file.path) || file.is_below(&other.path))
        {
            value.fault(Wrong::new(format!(
                "the secrets `{}` and `{}` cannot both be at {}",
                other.key, value.key, file.path
            )));
        }
    }
}

fn why_not(file: &SecretFile, spec: &Spec) -> Option<String> {
    if spec.options.read_only {
        return Some("with `read_only` Docker cannot copy files into a container".to_owned());
    }
    if let Some(taken) = TAKEN.iter().find(|taken| file.is_below(taken)) {
        return Some(format!("{taken} belongs to the engine"));
    }
    if let Some(mount) = spec.volumes.iter().find(|mount| file.is_below(&mount.target)) {
        return Some(format!(
            "{} is mounted at {}, and would keep the secret",
            mount.source, mount.target
        ));
    }
    let memory = spec.options.tmpfs.keys().find(|place| file.is_below(place))?;
    Some(format!("{memory} is in memory and empty at every start"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_of_nine_bits() {
        assert_eq!(mode("0400").unwrap(), 0o400);
        assert_eq!(mode("640").unwrap(), 0o640);
        for text in ["", "4", "0999", "04000", "rw", "-400", "+400"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }
}

//! `[services.environments.staging]`: the same service for another audience, given by its differences.
//! Tables are merged key by key, lists and single values replaced; the result is read like any service.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::fault::{Faults, Wrong};
use super::super::section::{Place, Section, Value};
use super::super::service::Environment;
use super::{Known, Names, service};

/// What an environment may say itself.
const SAID_THERE: &[&str] = &["deploy", "pipeline", "stages"];
/// What it may not: an image is made and proven once, whoever it is for.
const MADE_ONCE: &[&str] = &["image", "build", "tests"];
/// Of a deploy: easily written a level too high.
const OF_A_DEPLOY: &[&str] = &[
    "hosts",
    "strategy",
    "batch",
    "order",
    "on_failure",
    "canary",
    "bake",
    "compose",
    "compose_service",
    "compose_without",
    "before_switch",
    "after_switch",
    "shared",
    "replicas",
    "keep",
    "health",
    "command",
    "entrypoint",
    "env",
    "secrets",
    "ports",
    "volumes",
    "networks",
    "labels",
    "user",
    "memory",
    "cpus",
    "restart",
    "stop_signal",
    "stop_grace",
    "ephemeral",
];

/// `around`: the service they belong to. In the order of the file.
pub(super) fn read(value: &Value<'_>, around: &Section<'_>, known: &Known) -> Vec<Environment> {
    let Some(mut section) = value.section("[services.environments]") else {
        return Vec::new();
    };
    let mut all = section.take_all();
    section.finish();
    if all.is_empty() {
        value.fault(Wrong::new("`environments` is empty").hint("[services.environments.staging]"));
    }
    all.sort_by_key(|value| value.at.start);
    all.iter()
        .filter_map(|value| environment(value, around, known))
        .collect()
}

fn environment(value: &Value<'_>, around: &Section<'_>, known: &Known) -> Option<Environment> {
    let owner = around
        .table()
        .get("name")
        .and_then(|name| name.get_ref().as_str());
    let name = value.key.as_str();
    if let Err(wrong) = is_allowed(name, owner.unwrap_or_default()) {
        value.fault(wrong);
        return None;
    }
    let mut section = value.section(format!("[services.environments.{name}]"))?;
    let other = section.table();
    section.take("deploy");
    section.take("pipeline");
    section.take("stages");
    for key in MADE_ONCE {
        section.refuse(
            key,
            Wrong::new(format!("`{key}` cannot differ in an environment"))
                .hint("the image is the same in all environments; an environment can set `deploy`, `pipeline` and `stages`"),
        );
    }
    for key in OF_A_DEPLOY {
        let wrong = Wrong::new(format!("`{key}` belongs to the deploy of {name}"));
        section.refuse(key, wrong.hint(format!("deploy.{key} = …")));
    }
    section.finish();

    let whole = merged(around.table(), other);
    if !whole.contains_key("deploy") {
        value.fault(
            Wrong::new(format!("{name} is deployed nowhere")).hint("deploy.hosts = [\"tag:staging\"]"),
        );
        return None;
    }
    let faults = Faults::default();
    let place = Place {
        source: value.place.source,
        faults: &faults,
    };
    let mut section = Section::new(place, value.at.clone(), "[[services]]", &whole);
    let read = service::whole(
        &mut section,
        known,
        &mut Names::default(),
        &service::Place::Environment(name),
    );
    // What is unknown was said where it stands: in the service, or above.
    drop(section);
    for mut fault in faults.into_vec() {
        if !fault.what.contains(name) {
            fault.what = format!("{name}: {}", fault.what);
        }
        value.place.faults.add_new(fault);
    }
    Some(Environment {
        name: name.to_owned(),
        service: read?,
    })
}

/// It becomes a part of container names: `shop.staging.r42.1`, `pilothouse.lock.shop.staging`.
fn is_allowed(name: &str, service: &str) -> Result<(), Wrong> {
    crate::domain::ids::ServiceName::parse(name).map_err(|fault| {
        Wrong::new(format!("{name:?} cannot be an environment's name")).hint(fault.hint.unwrap_or_default())
    })?;
    let digits = name.strip_prefix('r').unwrap_or_default();
    if !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()) {
        return Err(
            Wrong::new(format!("{name:?} has the form of a release number")).hint("choose another name")
        );
    }
    if name.starts_with("taken-") {
        return Err(Wrong::new(format!("{name:?} is reserved for locks")).hint("choose another name"));
    }
    if name == service {
        return Err(Wrong::new(format!(
            "{name:?} is the service's own name: it stands for the service without an environment"
        ))
        .hint("choose another name"));
    }
    Ok(())
}

/// The service's table with what is other laid over it, without `environments`.
fn merged<'s>(service: &DeTable<'s>, other: &DeTable<'s>) -> DeTable<'s> {
    let mut whole = service.clone();
    whole.remove("environments");
    let own = |key: &str| SAID_THERE.contains(&key);
    let other: DeTable<'_> = other
        .iter()
        .filter(|(key, _)| own(key.get_ref()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    lay_over(&mut whole, &other, "");
    if let (Some(deploy), Some(other)) = (whole.get_mut("deploy"), other.get("deploy"))
        && let (DeValue::Table(deploy), DeValue::Table(other)) = (deploy.get_mut(), other.get_ref())
    {
        displace(deploy, other, "env", "secrets");
        displace(deploy, other, "secrets", "env");
        // What belongs to another strategy, or to other hosts, is not meant here unless it is said here.
        let inherited: &[&str] = match other.get("strategy").and_then(|value| value.get_ref().as_str()) {
            Some("recreate") => &["batch", "order", "on_failure", "canary"],
            Some(_) | None if other.contains_key("hosts") => &["canary"],
            Some(_) | None => &[],
        };
        for key in inherited.iter().filter(|key| !other.contains_key(**key)) {
            deploy.remove(*key);
        }
    }
    whole
}

/// A secret comes from one place: its table is replaced as a whole.
fn lay_over<'s>(under: &mut DeTable<'s>, over: &DeTable<'s>, title: &str) {
    for (key, value) in over {
        let below = under.remove(key.get_ref().as_ref());
        let value = match (below.map(Spanned::into_inner), value.get_ref()) {
            (Some(DeValue::Table(mut below)), DeValue::Table(above)) if title != "secrets" => {
                lay_over(&mut below, above, key.get_ref());
                Spanned::new(value.span(), DeValue::Table(below))
            }
            (_, _) => value.clone(),
        };
        under.insert(key.clone(), value);
    }
}

/// A variable that the environment sets in `by` is no longer one of `from`, unless it says so itself. Files are none.
fn displace(deploy: &mut DeTable<'_>, other: &DeTable<'_>, by: &str, from: &str) {
    let table = |name: &str| match other.get(name).map(Spanned::get_ref) {
        Some(DeValue::Table(table)) => Some(table),
        Some(_) | None => None,
    };
    let Some(DeValue::Table(left)) = deploy.get_mut(from).map(Spanned::get_mut) else {
        return;
    };
    let is_file = |value: Option<&Spanned<DeValue<'_>>>| {
        let table = value.map(Spanned::get_ref).and_then(DeValue::as_table);
        table.is_some_and(|secret| secret.contains_key("path"))
    };
    for (key, value) in table(by).into_iter().flatten() {
        let key: &str = key.get_ref();
        let file = is_file(Some(value)) || is_file(left.get(key));
        if !file && !table(from).is_some_and(|own| own.contains_key(key)) {
            left.remove(key);
        }
    }
}

//! `[services.deploy]`: where a service runs, how it is replaced, when it counts as ready.
//! Refuses what cannot work on any daemon; the rest is checked by the plan.

use std::time::Duration;

use super::super::fault::Wrong;
use super::super::nearest::nearest;
use super::super::quantity::span;
use super::super::section::{Section, Value};
use super::super::service::{Deploy, Gate};
use super::stages::find;
use super::switch::{self, When};
use super::{Known, compose, gate, rollout, spec};
use crate::domain::ids::HostName;

/// More on one host is a mistake: they would be named, listed and stopped one by one.
const MOST_REPLICAS: u32 = 100;
/// The current one and the one before it: without that there is nothing to roll back to.
const KEEP: std::ops::RangeInclusive<u32> = 2..=50;
const DEFAULT_KEEP: u32 = 3;

pub(super) fn read(section: &mut Section<'_>, known: &Known) -> Option<Deploy> {
    let hosts = section.need("hosts").and_then(|value| hosts(&value, known));
    let strategy = rollout::read(section, hosts.as_deref());
    let replicas = section.take("replicas");
    let count = match &replicas {
        Some(value) => value.whole(1..=MOST_REPLICAS),
        None => Some(1),
    };
    let keep = match section.take("keep") {
        Some(value) => value.whole(KEEP),
        None => Some(DEFAULT_KEEP),
    };
    let gate = match section.take("health") {
        Some(value) => gate::read(&value),
        None => Some(Gate::default()),
    };
    let bake = match section.take("bake") {
        Some(value) => value.parsed(span),
        None => Some(Duration::ZERO),
    };
    let shared = match section.take("shared") {
        Some(value) => value.truth(),
        None => Some(false),
    };
    let host = hosts.as_ref().and_then(|hosts| hosts.first());
    let (before, after) = (
        switch::read(section, When::Before, host),
        switch::read(section, When::After, host),
    );
    let composed = compose::read(section);
    let spec = spec::read(section, composed);
    if let (Some(value), Some(2..)) = (&replicas, count)
        && let Some(port) = spec.ports.first()
    {
        value.fault(
            Wrong::new(format!(
                "several replicas on one host cannot all publish port {}",
                port.outside
            ))
            .hint("use one replica per host, or no published port"),
        );
    }
    Some(Deploy {
        hosts: hosts?,
        strategy: strategy?,
        replicas: count?,
        keep: keep?,
        spec,
        gate: gate?,
        bake: bake?,
        before_switch: before?,
        after_switch: after?,
        shared: shared?,
    })
}

/// Names and `tag:…`, in the order of the configuration, each once.
fn hosts(value: &Value<'_>, known: &Known) -> Option<Vec<HostName>> {
    let items = value.list()?;
    if items.is_empty() {
        value.fault(Wrong::new("`hosts` is empty: it has no host to run on"));
        return None;
    }
    let mut wanted: Vec<HostName> = Vec::new();
    let mut all_found = true;
    for item in items {
        let found = item.parsed(|text| match text.strip_prefix("tag:") {
            Some(tag) => tagged(tag, known),
            None => Ok(vec![find(text, known)?]),
        });
        all_found &= found.is_some();
        wanted.extend(found.unwrap_or_default());
    }
    let ordered = known.hosts.iter().map(|(name, _)| name);
    let ordered: Vec<HostName> = ordered.filter(|name| wanted.contains(name)).cloned().collect();
    all_found.then_some(ordered)
}

fn tagged(tag: &str, known: &Known) -> Result<Vec<HostName>, Wrong> {
    let tagged = known
        .hosts
        .iter()
        .filter(|(_, tags)| tags.iter().any(|t| t == tag));
    let found: Vec<HostName> = tagged.map(|(name, _)| name.clone()).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut tags: Vec<&str> = known
        .hosts
        .iter()
        .flat_map(|(_, tags)| tags)
        .map(String::as_str)
        .collect();
    tags.sort_unstable();
    tags.dedup();
    let wrong = Wrong::new(format!("no host has the tag {tag:?}"));
    Err(match nearest(tag, tags.iter().copied()) {
        Some(meant) => wrong.hint(format!("did you mean `tag:{meant}`?")),
        None if tags.is_empty() => wrong.hint("no host has any tag"),
        None => wrong.hint(format!("there are {}", tags.join(", "))),
    })
}

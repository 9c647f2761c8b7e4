//! `strategy` and its keys: how new replicas replace the old ones.
//! Refuses keys that have no effect with the chosen strategy.

use super::super::fault::Wrong;
use super::super::rollout::{Batch, OnFailure, Order, Rolling, Strategy};
use super::super::section::{Section, Value};
use crate::domain::ids::HostName;

/// Larger ones are a percentage that was meant otherwise.
const LARGEST_BATCH: u32 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Recreate,
    Rolling,
}

/// `hosts`: those of the deploy, where they could be read.
pub(super) fn read(section: &mut Section<'_>, hosts: Option<&[HostName]>) -> Option<Strategy> {
    let kind = match section.take("strategy") {
        Some(value) => value.one_of(&[("recreate", Kind::Recreate), ("rolling", Kind::Rolling)]),
        None => Some(Kind::Recreate),
    };
    let keys = ["batch", "order", "on_failure", "canary"].map(|key| (key, section.take(key)));
    if kind == Some(Kind::Recreate) {
        for (key, value) in &keys {
            if let Some(value) = value {
                value.fault(
                    Wrong::new(format!("`{key}` has no effect with the strategy `recreate`"))
                        .hint("strategy = \"rolling\""),
                );
            }
        }
        return Some(Strategy::Recreate);
    }
    let [(_, batch), (_, order), (_, on_failure), (_, canary)] = keys;
    let batch = match batch {
        Some(value) => read_batch(&value),
        None => Some(Batch::default()),
    };
    let order = match order {
        Some(value) => value.one_of(&[
            ("stop-first", Order::StopFirst),
            ("start-first", Order::StartFirst),
        ]),
        None => Some(Order::default()),
    };
    let on_failure = match on_failure {
        Some(value) => value.one_of(&[("revert", OnFailure::Revert), ("pause", OnFailure::Pause)]),
        None => Some(OnFailure::default()),
    };
    let canary = match canary {
        Some(value) => Some(read_canary(&value, hosts)?),
        None => None,
    };
    kind?;
    Some(Strategy::Rolling(Rolling {
        batch: batch?,
        order: order?,
        on_failure: on_failure?,
        canary,
    }))
}

/// `2` or `"25%"`
fn read_batch(value: &Value<'_>) -> Option<Batch> {
    if !value.is_text() {
        return value.whole(1..=LARGEST_BATCH).map(Batch::Count);
    }
    value.parsed(|text| {
        text.strip_suffix('%')
            .and_then(|digits| digits.parse().ok())
            .filter(|percent| (1..=100).contains(percent))
            .map(Batch::Percent)
            .ok_or_else(|| {
                Wrong::new(format!("{text:?} is not a batch size")).hint("`2` replicas, or \"25%\" of all")
            })
    })
}

fn read_canary(value: &Value<'_>, hosts: Option<&[HostName]>) -> Option<HostName> {
    value.parsed(|text| {
        let wrong = |why: &str| Wrong::new(format!("{text:?} {why}"));
        let name = HostName::parse(text).map_err(|fault| wrong(&fault.why))?;
        match hosts {
            Some(hosts) if !hosts.contains(&name) => {
                let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
                Err(wrong("is not one of its hosts").hint(format!("they are {}", names.join(", "))))
            }
            Some(_) | None => Ok(name),
        }
    })
}

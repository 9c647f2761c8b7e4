//! Selects the containers whose statistics are requested: the rows on the screen, once they have been there for a moment.
//! Sends one request per host, and only if that host's set has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::effect::Effect;
use super::model::Model;
use crate::domain::ids::{ContainerId, ContainerKey, HostName};
use crate::domain::order::Order;

/// Scrolling through rows must not open and close a stream for each.
const SETTLE: Duration = Duration::from_millis(150);

#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// The last request to each host.
    asked: BTreeMap<HostName, BTreeSet<ContainerId>>,
    /// What is on the screen, and since when.
    shown: BTreeMap<HostName, BTreeSet<ContainerId>>,
    changed: Option<Duration>,
}

impl Watch {
    /// Whether statistics of this container are requested.
    #[must_use]
    pub fn is_asked(&self, key: &ContainerKey) -> bool {
        self.asked.get(&key.host).is_some_and(|ids| ids.contains(&key.id))
    }

    /// When `settle` has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.changed
    }
}

/// Nobody sees the rows for a while: their statistics are asked for no more. The next `settle` asks anew.
#[must_use]
pub(super) fn withdraw(model: &mut Model) -> Vec<Effect> {
    let watch = std::mem::take(&mut model.watch);
    let asked = watch.asked.into_iter().filter(|(_, ids)| !ids.is_empty());
    let empty = |(host, _)| Order::Watch {
        host,
        ids: Vec::new(),
    };
    asked
        .map(|asked| Effect::Order(model.next_order(), empty(asked)))
        .collect()
}

/// Asks for what has been on the screen for long enough. The first time at once.
#[must_use]
pub fn settle(model: &mut Model) -> Vec<Effect> {
    let mut shown: BTreeMap<HostName, BTreeSet<ContainerId>> = BTreeMap::new();
    for ContainerKey { host, id } in crate::panes::on_screen(model) {
        shown.entry(host).or_default().insert(id);
    }
    let now = model.now.uptime;
    let watch = &mut model.watch;
    if shown != watch.shown {
        let first = watch.asked.is_empty();
        watch.shown = shown;
        watch.changed = Some(if first { now } else { now + SETTLE });
    }
    if watch.changed.is_none_or(|due| due > now) {
        return Vec::new();
    }
    watch.changed = None;
    let before = std::mem::replace(&mut watch.asked, watch.shown.clone());
    let hosts: BTreeSet<HostName> = before.keys().chain(watch.asked.keys()).cloned().collect();
    let wanted = |host: &HostName| watch.asked.get(host).cloned().unwrap_or_default();
    let orders: Vec<Order> = hosts
        .into_iter()
        .filter(|host| before.get(host).cloned().unwrap_or_default() != wanted(host))
        .map(|host| Order::Watch {
            ids: wanted(&host).into_iter().collect(),
            host,
        })
        .collect();
    orders
        .into_iter()
        .map(|order| Effect::Order(model.next_order(), order))
        .collect()
}

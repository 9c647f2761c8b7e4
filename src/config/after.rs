//! Which services depend on the images of others, according to `after`.
//! Free of cycles once it is read; starting runs is done elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::ServiceName;

/// By the service that stands, what it stands on, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct After(BTreeMap<ServiceName, Vec<ServiceName>>);

impl After {
    pub(super) fn stands(&mut self, service: ServiceName, on: ServiceName) {
        self.0.entry(service).or_default().push(on);
    }

    /// What it depends on itself, not by way of others.
    #[must_use]
    pub fn of(&self, service: &ServiceName) -> &[ServiceName] {
        self.0.get(service).map_or(&[], Vec::as_slice)
    }

    /// All that stand on it, also by way of others; each behind everything that it stands on, else by name.
    #[must_use]
    pub fn dependants(&self, base: &ServiceName) -> Vec<ServiceName> {
        let mut all: BTreeSet<&ServiceName> = BTreeSet::new();
        loop {
            let stands = |on: &ServiceName| on == base || all.contains(on);
            let more: Vec<&ServiceName> = self
                .0
                .iter()
                .filter(|(name, bases)| !all.contains(name) && bases.iter().any(stands))
                .map(|(name, _)| name)
                .collect();
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        let mut order: Vec<ServiceName> = Vec::new();
        while let Some(next) = all
            .iter()
            .find(|name| !self.of(name).iter().any(|on| all.contains(on)))
            .copied()
        {
            all.remove(next);
            order.push(next.clone());
        }
        order
    }

    /// The way from a service back to itself: `shop, base, shop`.
    pub(super) fn cycle(&self, service: &ServiceName) -> Option<Vec<ServiceName>> {
        let mut seen: BTreeSet<&ServiceName> = BTreeSet::new();
        let mut ways = vec![vec![service.clone()]];
        while let Some(way) = ways.pop() {
            for on in way.last().map(|last| self.of(last)).unwrap_or_default() {
                let further = || way.iter().chain([on]).cloned().collect::<Vec<_>>();
                if on == service {
                    return Some(further());
                }
                if seen.insert(on) {
                    ways.push(further());
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pairs: &[(&str, &str)]) -> After {
        let name = |text: &str| ServiceName::parse(text).unwrap();
        let mut after = After::default();
        for (service, on) in pairs {
            after.stands(name(service), name(on));
        }
        after
    }

    fn words(names: &[ServiceName]) -> Vec<&str> {
        names.iter().map(ServiceName::as_str).collect()
    }

    #[test]
    fn dependants_come_behind_all_that_they_stand_on() {
        let after = after(&[
            ("api", "lib"),
            ("api", "base"),
            ("lib", "base"),
            ("zoo", "base"),
            ("web", "zoo"),
        ]);
        let name = |text: &str| ServiceName::parse(text).unwrap();
        assert_eq!(
            words(&after.dependants(&name("base"))),
            ["lib", "api", "zoo", "web"]
        );
        assert_eq!(words(&after.dependants(&name("zoo"))), ["web"]);
        assert_eq!(words(&after.dependants(&name("api"))), [""; 0]);
        assert_eq!(after.cycle(&name("api")), None);
    }

    #[test]
    fn a_cycle_is_found_from_each_that_is_in_it_and_ends_nothing() {
        let after = after(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]);
        let name = |text: &str| ServiceName::parse(text).unwrap();
        assert_eq!(words(&after.cycle(&name("a")).unwrap()), ["a", "b", "c", "a"]);
        assert_eq!(after.cycle(&name("d")), None);
        assert!(after.dependants(&name("a")).is_empty());
    }
}

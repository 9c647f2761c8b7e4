//! Which containers a log view reads, and the shortest labels that distinguish them.
//! A service's containers are added as they are created; sends no requests.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::container::{Container, Group};
use crate::domain::fleet::Fleet;
use crate::domain::ids::{ContainerId, ContainerKey, HostName};
use crate::domain::run::{Part, RunLine};

/// Sources remembered that are no longer there; more than this and the oldest go.
const REMEMBERED: usize = 256;

/// Stands for the host where a line of a run is of none.
const NO_HOST: &str = "run";

/// What was asked for: who else belongs to it later follows from this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These; one that is created again under the same name on the same host takes its place.
    Containers(Vec<ContainerKey>),
    /// All containers of a service or a compose service, on all hosts.
    Group(Group),
    /// What a run said.
    Run(Part),
    /// This program's own log file.
    OwnLog,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub key: ContainerKey,
    pub name: Arc<str>,
    /// What the column beside the lines shows.
    pub label: String,
}

#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
    by_key: HashMap<ContainerKey, usize>,
    /// Columns of the widest label; none when one source needs no label.
    label_width: usize,
}

impl Sources {
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Source> {
        self.list.iter()
    }

    #[must_use]
    pub fn get(&self, key: &ContainerKey) -> Option<&Source> {
        self.list.get(*self.by_key.get(key)?)
    }

    #[must_use]
    pub fn label_width(&self) -> usize {
        self.label_width
    }

    #[must_use]
    pub fn keys(&self) -> Vec<ContainerKey> {
        self.list.iter().map(|source| source.key.clone()).collect()
    }

    /// Those of the scope that are on the fleet now and were not here before; they are here afterwards.
    pub fn join(&mut self, scope: &Scope, fleet: &Fleet) -> Vec<ContainerKey> {
        let known: BTreeSet<(&HostName, &Arc<str>)> = self
            .list
            .iter()
            .map(|source| (&source.key.host, &source.name))
            .collect();
        let mut joining = Vec::new();
        for (host, row) in fleet.rows() {
            let container = &row.container;
            let key = ContainerKey {
                host: host.clone(),
                id: container.id.clone(),
            };
            let belongs = match scope {
                Scope::Containers(keys) => keys.contains(&key) || known.contains(&(host, &container.name)),
                Scope::Group(group) => belongs(container, group),
                Scope::Run(_) | Scope::OwnLog => false,
            };
            if belongs && !self.by_key.contains_key(&key) {
                joining.push((key, container.name.clone()));
            }
        }
        if joining.is_empty() {
            return Vec::new();
        }
        let keys = joining.iter().map(|(key, _)| key.clone()).collect();
        for (key, name) in joining {
            let label = String::new();
            self.list.push(Source { key, name, label });
        }
        self.forget(fleet);
        self.relabel();
        keys
    }

    /// Where a line of a run comes from: a stage on a host, known from its first line on.
    pub fn of_run(&mut self, line: &RunLine) -> Option<Arc<ContainerKey>> {
        // Our own words are well-formed names.
        let host = line.host.clone().or_else(|| HostName::parse(NO_HOST).ok())?;
        let is_its = |source: &&Source| source.key.host == host && *source.name == *line.stage;
        if let Some(known) = self.list.iter().find(is_its) {
            return Some(Arc::new(known.key.clone()));
        }
        let id = ContainerId::parse(&format!("stage{}", self.list.len())).ok()?;
        let key = ContainerKey { host, id };
        self.list.push(Source {
            key: key.clone(),
            name: line.stage.as_str().into(),
            label: String::new(),
        });
        self.relabel();
        Some(Arc::new(key))
    }

    fn forget(&mut self, fleet: &Fleet) {
        let mut excess = self.list.len().saturating_sub(REMEMBERED);
        self.list.retain(|source| {
            let goes = excess > 0 && fleet.row(&source.key).is_none();
            excess -= usize::from(goes);
            !goes
        });
    }

    fn relabel(&mut self) {
        let labels = labels(&self.list);
        for (source, label) in self.list.iter_mut().zip(labels) {
            source.label = label;
        }
        self.label_width = self
            .list
            .iter()
            .map(|source| source.label.chars().count())
            .max()
            .unwrap_or(0);
        let place = |(at, source): (usize, &Source)| (source.key.clone(), at);
        self.by_key = self.list.iter().enumerate().map(place).collect();
    }

    /// `shop.r42.1`, `shop.r42.* on 3 hosts`, `7 containers on 2 hosts`.
    #[must_use]
    pub fn title(&self) -> String {
        let hosts: BTreeSet<&HostName> = self.list.iter().map(|source| &source.key.host).collect();
        let names: BTreeSet<&str> = self.list.iter().map(|source| source.name.as_ref()).collect();
        let on = match (hosts.len(), hosts.first()) {
            (1, Some(host)) => format!("on {host}"),
            (count, _) => format!("on {count} hosts"),
        };
        let stem = common_stem(&names);
        match (names.len(), names.first()) {
            (0, _) => "no containers".to_owned(),
            (1, Some(name)) => format!("{name} {on}"),
            _ if !stem.is_empty() => format!("{stem}* {on}"),
            (count, _) => format!("{count} containers {on}"),
        }
    }
}

fn belongs(container: &Container, group: &Group) -> bool {
    !container.is_housekeeping() && container.group() == *group
}

/// The host where that is enough, otherwise the part of the name that differs, otherwise both.
fn labels(list: &[Source]) -> Vec<String> {
    let hosts: BTreeSet<&HostName> = list.iter().map(|source| &source.key.host).collect();
    let names: BTreeSet<&str> = list.iter().map(|source| source.name.as_ref()).collect();
    let stem = common_stem(&names).len();
    let own = |source: &Source| source.name.get(stem..).unwrap_or(&source.name).to_owned();
    let label = |source: &Source| {
        if list.len() < 2 {
            String::new()
        } else if hosts.len() == list.len() {
            source.key.host.to_string()
        } else if names.len() == list.len() && hosts.len() == 1 {
            own(source)
        } else if names.len() == 1 {
            source.key.host.to_string()
        } else if hosts.len() == 1 {
            own(source)
        } else {
            format!("{} {}", source.key.host, own(source))
        }
    };
    list.iter().map(label).collect()
}

/// What all names begin with, up to a separator: `shop.r42.`
fn common_stem<'a>(names: &BTreeSet<&'a str>) -> &'a str {
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return "";
    };
    let same = first
        .bytes()
        .zip(last.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let common = (0..=same)
        .rev()
        .find_map(|end| first.get(..end))
        .unwrap_or_default();
    let end = common.rfind(['.', '-', '_', '/']).map_or(0, |at| at + 1);
    common.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ContainerId;

    fn check(sources: &[(&str, &str)], labels_are: &[&str], title: &str) {
        let list = sources
            .iter()
            .enumerate()
            .map(|(number, (host, name))| Source {
                key: ContainerKey {
                    host: HostName::parse(host).unwrap(),
                    id: ContainerId::parse(&format!("id{number}")).unwrap(),
                },
                name: (*name).into(),
                label: String::new(),
            })
            .collect::<Vec<_>>();
        assert_eq!(labels(&list), labels_are);
        let sources = Sources {
            list,
            ..Sources::default()
        };
        assert_eq!(sources.title(), title);
    }

    #[test]
    fn labels_say_no_more_than_tells_sources_apart() {
        check(&[("web-1", "shop.r42.1")], &[""], "shop.r42.1 on web-1");
        check(
            &[("web-1", "shop.r42.1"), ("web-2", "shop.r42.2")],
            &["web-1", "web-2"],
            "shop.r42.* on 2 hosts",
        );
        check(
            &[("web-1", "shop.r41.1"), ("web-1", "shop.r42.1")],
            &["r41.1", "r42.1"],
            "shop.* on web-1",
        );
        check(
            &[
                ("web-1", "shop.r41.1"),
                ("web-1", "shop.r42.1"),
                ("web-2", "shop.r42.1"),
            ],
            &["web-1 r41.1", "web-1 r42.1", "web-2 r42.1"],
            "shop.* on 2 hosts",
        );
        check(
            &[("web-1", "db"), ("web-1", "cache")],
            &["db", "cache"],
            "2 containers on web-1",
        );
    }
}

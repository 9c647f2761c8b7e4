//! A host's record of adopted containers: which containers form a release, and the labels they are treated as having.
//! Stored as labels of a volume that no container mounts: labels cannot be added to an existing container, and pruning
//! containers or images does not remove a named volume.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::container::{Container, Group, Role, group_of, label};
use super::ids::{ContainerId, ReleaseNumber};

/// How the names of such volumes begin.
pub const VOLUMES: &str = "pilothouse.adopted.";

/// Which containers, on the volume: `id=name id=name`.
const CONTAINERS: &str = "pilothouse.adopted";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    pub release: ReleaseNumber,
    /// With their names, to report those that are gone.
    pub containers: BTreeMap<ContainerId, String>,
    /// The labels a replica of this release would have.
    pub labels: BTreeMap<String, String>,
}

impl Adoption {
    /// `None` if these are not the labels of an adoption.
    #[must_use]
    pub fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        if !Role::Adopted.is_of(labels) {
            return None;
        }
        let number = labels.get(label::RELEASE)?.trim_start_matches('r').parse().ok()?;
        let containers = labels
            .get(CONTAINERS)?
            .split_whitespace()
            .filter_map(|word| {
                let (id, name) = word.split_once('=')?;
                Some((ContainerId::parse(id).ok()?, name.to_owned()))
            })
            .collect();
        let own = |key: &str| key == label::ROLE || key == CONTAINERS;
        Some(Self {
            release: ReleaseNumber(number),
            containers,
            labels: labels
                .iter()
                .filter(|(key, _)| !own(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
    }

    #[must_use]
    pub fn write(&self) -> BTreeMap<String, String> {
        let words: Vec<String> = self
            .containers
            .iter()
            .map(|(id, name)| format!("{id}={name}"))
            .collect();
        let mut labels = self.labels.clone();
        labels.extend([Role::Adopted.label()]);
        labels.insert(CONTAINERS.to_owned(), words.join(" "));
        labels
    }

    /// Whether the container with this id is one of them.
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        self.containers.keys().any(|known| known.as_str() == id)
    }

    /// The service the release belongs to.
    #[must_use]
    pub fn group(&self) -> Group {
        group_of(&self.labels)
    }

    /// Gives the container the labels of the release.
    fn adopt(&self, container: &mut Container) {
        let mut labels = BTreeMap::clone(&container.labels);
        labels.extend(self.labels.clone());
        container.labels = Arc::new(labels);
    }
}

/// Gives an adopted container the labels it is treated as having; others are not changed.
pub fn adopt(adoptions: &[Adoption], container: &mut Container) {
    if let Some(adoption) = adoptions
        .iter()
        .find(|adoption| adoption.containers.contains_key(&container.id))
    {
        adoption.adopt(container);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_is_told_of_an_adoption_is_read_as_it_was_written() {
        let adoption = Adoption {
            release: ReleaseNumber(0),
            containers: BTreeMap::from([(ContainerId::parse("ab01").unwrap(), "shop-web-1".to_owned())]),
            labels: BTreeMap::from([
                (label::SERVICE.to_owned(), "shop".to_owned()),
                (label::RELEASE.to_owned(), "r0".to_owned()),
            ]),
        };
        let written = adoption.write();
        assert_eq!(Adoption::read(&written), Some(adoption));
        let mut other = written.clone();
        other.extend([Role::Ledger.label()]);
        assert_eq!(Adoption::read(&other), None);
    }

    proptest::proptest! {
        /// Anybody may make a volume with labels.
        #[test]
        fn whatever_a_volume_says_is_no_adoption_or_one_that_is_read_again_as_it_was(
            release in "r{0,2}[0-9]{0,11}|\\PC{0,12}",
            words in "([0-9a-fé]{0,6}=?[a-z=.\n-]{0,5} ?){0,5}",
            service in "\\PC{0,8}",
            adopted in proptest::bool::ANY,
        ) {
            let mut labels = BTreeMap::from([
                (label::RELEASE.to_owned(), release),
                (CONTAINERS.to_owned(), words.clone()),
                (label::SERVICE.to_owned(), service),
            ]);
            if adopted {
                labels.extend([Role::Adopted.label()]);
            }
            if let Some(read) = Adoption::read(&labels) {
                proptest::prop_assert!(adopted);
                for (id, name) in &read.containers {
                    let word = format!("{id}={name}");
                    proptest::prop_assert!(words.contains(&word), "{}", word);
                    proptest::prop_assert!(read.holds(id.as_str()));
                }
                proptest::prop_assert_eq!(Adoption::read(&read.write()), Some(read));
            }
        }
    }
}

//! What a host remembers of containers that are a release without having been made as one: which they are, and the
//! labels that they count as having. Kept as the labels of a volume that nothing mounts: no label can be given to a
//! container that exists, and what prunes containers and images leaves a named volume where it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::container::{Container, Group, group_of, label};
use super::ids::{ContainerId, ReleaseNumber};

/// The role of such a volume.
pub const ROLE: &str = "adopted";

/// How the names of such volumes begin.
pub const VOLUMES: &str = "pilothouse.adopted.";

/// Which containers, on the volume: `id=name id=name`.
const CONTAINERS: &str = "pilothouse.adopted";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    pub release: ReleaseNumber,
    /// With the names that they had: of one that is gone nothing else is left to say.
    pub containers: BTreeMap<ContainerId, String>,
    /// What a replica of this release would be labelled with.
    pub labels: BTreeMap<String, String>,
}

impl Adoption {
    /// `None`: these are not the labels of one.
    #[must_use]
    pub fn read(labels: &BTreeMap<String, String>) -> Option<Self> {
        if labels.get(label::ROLE).map(String::as_str) != Some(ROLE) {
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
        labels.insert(label::ROLE.to_owned(), ROLE.to_owned());
        labels.insert(CONTAINERS.to_owned(), words.join(" "));
        labels
    }

    /// Is the container with this id one of them?
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        self.containers.keys().any(|known| known.as_str() == id)
    }

    /// Whose release it is.
    #[must_use]
    pub fn group(&self) -> Group {
        group_of(&self.labels)
    }

    /// From here on the container is one of the release's, as if it had been labelled.
    fn adopt(&self, container: &mut Container) {
        let mut labels = BTreeMap::clone(&container.labels);
        labels.extend(self.labels.clone());
        container.labels = Arc::new(labels);
    }
}

/// Gives a container the labels that it counts as having, if anybody adopted it.
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
        other.insert(label::ROLE.to_owned(), "ledger".to_owned());
        assert_eq!(Adoption::read(&other), None);
    }
}

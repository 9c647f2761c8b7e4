//! What a release is of: a service, in an environment or in none; and the names that follow from it.
//! Names are made here only, so that a lock, a ledger and a replica can never be mistaken for each other's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::adoption;
use crate::domain::container::{Group, label};
use crate::domain::fault::Fault;
use crate::domain::ids::{ReleaseNumber, ServiceName};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    pub service: ServiceName,
    pub environment: Option<String>,
}

impl Subject {
    /// `shop`, or `shop.staging`. Whether the configuration knows it is another question.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (service, environment) = match text.split_once('.') {
            Some((service, environment)) => (service, Some(environment)),
            None => (text, None),
        };
        if environment == Some("") {
            return Err(Fault::new(
                "read the service",
                format!("{text:?} ends where its environment should begin"),
            ));
        }
        Ok(Self {
            service: ServiceName::parse(service)?,
            environment: environment.map(str::to_owned),
        })
    }

    /// Whose the group is; Compose's and nobody's are none of ours.
    #[must_use]
    pub fn of(group: &Group) -> Option<Self> {
        match group {
            Group::Service { name, environment } => Some(Self {
                service: name.clone(),
                environment: environment.as_deref().map(str::to_owned),
            }),
            Group::Compose { .. } | Group::None => None,
        }
    }

    /// `shop.r42.1`, or `shop.staging.r42.1`: never renamed, never reused.
    #[must_use]
    pub fn replica_name(&self, release: ReleaseNumber, n: u32) -> String {
        format!("{self}.{release}.{n}")
    }

    #[must_use]
    pub fn lock_name(&self) -> String {
        format!("pilothouse.lock.{self}")
    }

    /// What a stale lock is called once somebody took it; `id` is the stale container's own.
    #[must_use]
    pub fn taken_lock_name(&self, id: &str) -> String {
        format!("pilothouse.lock.{self}.taken-{id}")
    }

    /// The never-started container and the volume it mounts.
    #[must_use]
    pub fn ledger_name(&self) -> String {
        format!("pilothouse.ledger.{self}")
    }

    /// The volume whose labels say which containers were adopted as this release.
    #[must_use]
    pub fn adoption_name(&self, release: ReleaseNumber) -> String {
        format!("{}{self}.{release}", adoption::VOLUMES)
    }

    /// Does a container with these labels belong to this service in this environment?
    #[must_use]
    pub fn owns<'a>(&self, label_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        label_of(label::SERVICE) == Some(self.service.as_str())
            && label_of(label::ENVIRONMENT) == self.environment.as_deref()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.environment {
            Some(environment) => write!(f, "{}.{environment}", self.service),
            None => self.service.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_it_is_called() {
        for text in ["shop", "shop.staging"] {
            assert_eq!(Subject::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "Shop", "shop.", ".staging"] {
            assert!(Subject::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_service_and_its_environments_are_never_taken_for_each_other() {
        let [shop, staging] = ["shop", "shop.staging"].map(|text| Subject::parse(text).unwrap());
        let labels = |key: &str| (key == label::SERVICE).then_some("shop");
        assert!(shop.owns(labels) && !staging.owns(labels));
        let labels = |key: &str| match key {
            label::SERVICE => Some("shop"),
            label::ENVIRONMENT => Some("staging"),
            _ => None,
        };
        assert!(staging.owns(labels) && !shop.owns(labels));
        assert_eq!(staging.replica_name(ReleaseNumber(42), 1), "shop.staging.r42.1");
    }
}

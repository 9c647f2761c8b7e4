//! What a release belongs to: a service, with or without an environment; and the names derived from it.
//! All names are made here, so that the names of a lock, a ledger and a replica can never collide.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::adoption;
use crate::domain::container::{Group, label};
use crate::domain::fault::Fault;
use crate::domain::ids::{ReleaseNumber, ServiceName};

/// A service, in one of its environments or without one; written `shop` or `shop.staging`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    pub service: ServiceName,
    pub environment: Option<String>,
}

impl Subject {
    /// Parses `shop` or `shop.staging`; does not check the configuration.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (service, environment) = match text.split_once('.') {
            Some((service, environment)) => (service, Some(environment)),
            None => (text, None),
        };
        if environment == Some("") {
            return Err(Fault::new(
                "read the service",
                format!("{text:?} has no environment after the dot"),
            ));
        }
        Ok(Self {
            service: ServiceName::parse(service)?,
            environment: environment.map(str::to_owned),
        })
    }

    /// The subject of a group; `None` for Compose projects and ungrouped containers.
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

    /// `shop.r42.1`, or `shop.staging.r42.1`; such a name is never changed or reused.
    #[must_use]
    pub fn replica_name(&self, release: ReleaseNumber, n: u32) -> String {
        format!("{self}.{release}.{n}")
    }

    #[must_use]
    pub fn lock_name(&self) -> String {
        format!("pilothouse.lock.{self}")
    }

    /// The name of a stale lock after it was taken over; `id` is the id of its container.
    #[must_use]
    pub fn taken_lock_name(&self, id: &str) -> String {
        format!("pilothouse.lock.{self}.taken-{id}")
    }

    /// The name of the never-started container and of the volume it mounts.
    #[must_use]
    pub fn ledger_name(&self) -> String {
        format!("pilothouse.ledger.{self}")
    }

    /// The volume whose labels list the containers adopted as this release.
    #[must_use]
    pub fn adoption_name(&self, release: ReleaseNumber) -> String {
        format!("{}{self}.{release}", adoption::VOLUMES)
    }

    /// Whether a container with these labels belongs to this service and environment.
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

//! What a run is asked to do, with everything known before a host was looked at.
//! Written as the first record of the journal; what the hosts add to it is the `Decision`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::adopt::Whence;
use super::promote::Promoted;
use super::road::slots;
use super::spec::Seals;
use super::stage::Stage;
use super::subject::Subject;
use crate::config::Service;
use crate::config::service::{Deploy, Slot, Test};
use crate::domain::ids::{HostName, ReleaseNumber, RunId};
use crate::domain::plan::Foreseen;
use crate::domain::reference::Reference;
use crate::domain::run::RunKind;
use crate::domain::units::Stamp;

/// Moves in a registry, and only with an image whose tests passed.
pub const LATEST: &str = "latest";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub run: RunId,
    pub kind: RunKind,
    pub subject: Subject,
    pub by: Actor,
    pub reason: Option<String>,
    pub started: Stamp,
    /// The hosts whose containers are replaced; in a run that replaces none, where is built, tested or pushed.
    /// In the order of the configuration.
    pub targets: Vec<HostName>,
    /// Looked at for the image first, if it can be reached: where the service is built, or promoted from.
    pub builder: Option<HostName>,
    /// The reference to resolve, once: `shop:last-build`, `shop:v3`, `sha256:…`.
    pub image: String,
    /// Tags that a build gives, the last one being the pointer that `image` follows by default.
    pub tags: Vec<String>,
    /// What a push calls it in the registry; empty: as the image is called where it is.
    #[serde(default)]
    pub pushes: Vec<Reference>,
    /// Labels of a built image.
    pub labels: BTreeMap<String, String>,
    /// What a person should know before it begins.
    pub notes: Vec<String>,
    /// Where a rollback goes, if it was said.
    pub to: Option<ReleaseNumber>,
    /// What was confirmed: a decision that differs is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<Foreseen>,
    /// A promotion: whose release this was.
    #[serde(default)]
    pub promoted: Option<Promoted>,
    /// An adoption: where what runs is found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopts: Vec<Whence>,
    /// Known from a lock alone: the work that this machine does not do, because its configuration does not say the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Stage>,
    pub service: Service,
    pub seals: Seals,
}

/// The person, not the shared account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub login: String,
    pub machine: String,
    /// `SSH_CONNECTION`, where there is one.
    pub via: Option<String>,
}

impl Plan {
    #[must_use]
    pub fn deploy(&self) -> Option<&Deploy> {
        self.service.deploy.as_ref()
    }

    #[must_use]
    pub fn test(&self, name: &str) -> Option<&Test> {
        self.service.tests.iter().find(|test| test.name == name)
    }

    /// Does it make its image itself?
    #[must_use]
    pub fn builds(&self) -> bool {
        slots(&self.service, self.kind)
            .iter()
            .flatten()
            .any(|slot| *slot == Slot::Build)
    }

    /// Does it put its image into a registry?
    #[must_use]
    pub fn does_push(&self) -> bool {
        slots(&self.service, self.kind)
            .iter()
            .flatten()
            .any(|slot| *slot == Slot::Push)
    }

    /// Every host it talks to.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostName> {
        let mut hosts = self.targets.clone();
        for host in self.workplaces().into_iter().chain(self.builder.clone()) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// Makes what is on its targets a release, under their locks: replaces containers, or adopts them.
    #[must_use]
    pub fn is_release(&self) -> bool {
        match self.kind {
            RunKind::Deploy | RunKind::Rollback | RunKind::Adopt => true,
            RunKind::Pipeline => self
                .service
                .pipeline
                .iter()
                .flatten()
                .any(|slot| *slot == Slot::Deploy),
            RunKind::Build | RunKind::Test | RunKind::Push => false,
        }
    }
}

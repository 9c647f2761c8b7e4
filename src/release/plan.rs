//! What a run is asked to do, with everything known before any host was read.
//! The first record of the journal; the facts of the hosts turn it into a `Decision`.

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

/// The tag that a push moves, only to an image whose tests passed.
pub const LATEST: &str = "latest";

/// The request of one run: what, for which service, on which hosts, by whom. Made by `runs::begin::draft`, written as the
/// first record of the journal and into every lock; never changed afterwards, except by `withhold`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub run: RunId,
    pub kind: RunKind,
    pub subject: Subject,
    pub by: Actor,
    pub reason: Option<String>,
    pub started: Stamp,
    /// The hosts whose containers are replaced; in a run that replaces none, the hosts that build, test or push.
    /// In the order of the configuration.
    pub targets: Vec<HostName>,
    /// The host where the image is looked for first, if it is reachable: the build host, or the source of a promotion.
    pub builder: Option<HostName>,
    /// The reference to resolve, once: `shop:last-build`, `shop:v3`, `sha256:…`.
    pub image: String,
    /// Tags of a build; the last one is the pointer that `image` follows by default.
    pub tags: Vec<String>,
    /// Names under which it is pushed; empty: the names it has on its host.
    #[serde(default)]
    pub pushes: Vec<Reference>,
    /// Labels of a built image.
    pub labels: BTreeMap<String, String>,
    /// Notes shown to the person before it begins.
    pub notes: Vec<String>,
    /// The release a rollback returns to, if one was requested.
    pub to: Option<ReleaseNumber>,
    /// What was confirmed: a decision that differs is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreseen: Option<Foreseen>,
    /// In a promotion: the release it came from.
    #[serde(default)]
    pub promoted: Option<Promoted>,
    /// In an adoption: the containers to adopt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopts: Vec<Whence>,
    /// In a plan read from a lock: the stages this machine does not run, because its configuration of them differs.
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
    /// `SSH_CONNECTION`, if set.
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

    /// Whether it builds its image.
    #[must_use]
    pub fn builds(&self) -> bool {
        slots(&self.service, self.kind)
            .iter()
            .flatten()
            .any(|slot| *slot == Slot::Build)
    }

    /// Whether it pushes its image.
    #[must_use]
    pub fn does_push(&self) -> bool {
        slots(&self.service, self.kind)
            .iter()
            .flatten()
            .any(|slot| *slot == Slot::Push)
    }

    /// All hosts it connects to.
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

    /// Whether it makes a release on its targets, under their locks: by replacing containers, or by adopting them.
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

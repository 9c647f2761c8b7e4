//! The history of a service, from the ledgers on its hosts: the same on every machine.
//! Reads only, except that a pruned ledger's container is created again (never started). A host that does not answer is
//! reported, and the copies of the other hosts are used.

use std::cmp::Reverse;

use futures_util::future::join_all;
use serde::Serialize;

use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, ImageId, ReleaseNumber, ServiceName};
use crate::domain::order::Access;
use crate::domain::reference::Reference;
use crate::domain::run::RunKind;
use crate::domain::told;
use crate::domain::units::Stamp;
use crate::hosts::{Unreached, connect};
use crate::release::facts::LedgerSeen;
use crate::release::ledger::{Ledger, LedgerEntry, LedgerResult, Unlocked};
use crate::release::promote::Promoted;
use crate::release::subject::Subject;
use crate::runs::step::ledger;

/// One entry of the history, recorded by one or several hosts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chapter {
    #[serde(serialize_with = "told::time")]
    pub at: Stamp,
    pub service: ServiceName,
    pub environment: Option<String>,
    pub run: String,
    pub actor: String,
    pub machine: String,
    /// The hosts it applied to, under their names at that time; empty for an unlock.
    pub hosts: Vec<HostName>,
    /// The hosts whose ledgers contain it.
    pub told_by: Vec<HostName>,
    #[serde(flatten)]
    pub deed: Deed,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "deed")]
pub enum Deed {
    /// A run that replaced containers, or attempted to.
    Release(Box<Release>),
    /// A person removed the lock of that run.
    Unlock { why: String },
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Release {
    pub kind: RunKind,
    pub reason: Option<String>,
    pub from: Option<ReleaseNumber>,
    pub to: ReleaseNumber,
    pub image: ImageId,
    pub reference: String,
    pub git: Option<String>,
    pub digest: Option<Reference>,
    /// In a promotion: the release it came from.
    pub promoted: Option<Promoted>,
    #[serde(flatten)]
    pub result: LedgerResult,
}

/// The history, newest first; and what is missing, and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub chapters: Vec<Chapter>,
    pub faults: Vec<Fault>,
}

/// The history of these places on their configured hosts, read concurrently. `access`: with read-only access, a ledger whose
/// container was pruned cannot be read.
pub async fn history(config: &Config, places: &[Subject], access: Access) -> History {
    let mut asked = Vec::new();
    for place in places {
        let service = config.service_in(&place.service, place.environment.as_deref());
        let deploy = service.ok().and_then(|service| service.deploy.as_ref());
        for host in deploy.iter().flat_map(|deploy| &deploy.hosts) {
            if let Some(host) = config.host(host) {
                asked.push((host, place));
            }
        }
    }
    let answers = asked.iter().map(|(host, place)| async move {
        let read = async |access| {
            let daemon = connect(host, access).await.map_err(Unreached::fault)?;
            let seen = ledger::read(&daemon, place).await;
            seen.map_err(|failure| failure.fault)
        };
        let mut seen = read(Access::ReadOnly).await?;
        if access == Access::Full && ledger::is_pruned(&seen) {
            tracing::info!(host = %host.name, %place, "the ledger's container was pruned: it is created again to read the ledger");
            seen = read(access).await?;
        }
        let fault = |why: String| Fault::new(format!("read the ledger of {place} on {}", host.name), why);
        match seen {
            LedgerSeen::Read(ledger) => Ok(*ledger),
            LedgerSeen::Missing => Ok(Ledger::default()),
            LedgerSeen::Newer { schema } => {
                Err(fault(format!("a newer Pilothouse wrote it (schema {schema})")))
            }
            LedgerSeen::Unreadable { why } => Err(fault(why)),
        }
    });
    let mut history = History::default();
    let (mut of, mut first) = (None, 0);
    for ((host, place), answer) in asked.iter().zip(join_all(answers).await) {
        if of != Some(place) {
            (of, first) = (Some(place), history.chapters.len());
        }
        match answer {
            Ok(ledger) => history.add(place, &host.name, ledger, first),
            Err(fault) if history.faults.contains(&fault) => {}
            Err(fault) => history.faults.push(fault),
        }
    }
    history
        .chapters
        .sort_by(|one, two| (Reverse(one.at), &one.run).cmp(&(Reverse(two.at), &two.run)));
    history
}

impl History {
    /// `first`: the index of this place's first chapter.
    fn add(&mut self, place: &Subject, on: &HostName, ledger: Ledger, first: usize) {
        let released = ledger.entries.into_iter().map(|entry| released(place, entry));
        let unlocked = ledger
            .unlocked
            .into_iter()
            .map(|unlocked| unlock(place, unlocked));
        for mut chapter in released.chain(unlocked) {
            let mut same = self.chapters.iter_mut().skip(first);
            if let Some(known) = same.find(|known| known.is(&chapter)) {
                known.told_by.push(on.clone());
            } else {
                chapter.told_by.push(on.clone());
                self.chapters.push(chapter);
            }
        }
    }
}

impl Chapter {
    /// Whether both are the same event recorded by two hosts; unlocks have a different time on each.
    fn is(&self, other: &Self) -> bool {
        self.run == other.run
            && match (&self.deed, &other.deed) {
                (Deed::Release(one), Deed::Release(two)) => one.result == two.result,
                (Deed::Unlock { why: one }, Deed::Unlock { why: two }) => {
                    one == two && self.actor == other.actor
                }
                (Deed::Release(_), Deed::Unlock { .. }) | (Deed::Unlock { .. }, Deed::Release(_)) => false,
            }
    }
}

fn released(place: &Subject, entry: LedgerEntry) -> Chapter {
    Chapter {
        at: entry.at,
        service: place.service.clone(),
        environment: place.environment.clone(),
        run: entry.run.to_string(),
        actor: entry.actor,
        machine: entry.machine,
        hosts: entry.hosts,
        told_by: Vec::new(),
        deed: Deed::Release(Box::new(Release {
            kind: entry.kind,
            reason: entry.reason,
            from: entry.from,
            to: entry.release,
            image: entry.image,
            reference: entry.reference,
            git: entry.git,
            digest: entry.digest,
            promoted: entry.promoted,
            result: entry.result,
        })),
    }
}

fn unlock(place: &Subject, unlocked: Unlocked) -> Chapter {
    Chapter {
        at: unlocked.at,
        service: place.service.clone(),
        environment: place.environment.clone(),
        run: unlocked.unlocked,
        actor: unlocked.by,
        machine: unlocked.machine,
        hosts: Vec::new(),
        told_by: Vec::new(),
        deed: Deed::Unlock { why: unlocked.why },
    }
}

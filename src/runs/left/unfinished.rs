//! Finds what can be recovered: runs that died on this machine, and runs of any machine whose locks are no longer renewed.
//! Reads only; `recover` handles them one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;

use super::recover::{self, Found, left};
use crate::config::{Config, Service};
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::order::Access;
use crate::domain::run::{RunStatus, RunView, Silence};
use crate::hosts::{Daemon, Unreached, connect};
use crate::release::facts::LockSeen;
use crate::release::record::{Failure, FailureKind};
use crate::release::subject::Subject;
use crate::runs::disk::state::State;
use crate::runs::seen::follow;
use crate::runs::step::lock;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    pub run: RunId,
    /// `shop.staging`
    pub subject: String,
    /// The hosts that may need recovery, as far as known.
    pub hosts: Vec<HostName>,
    /// The user who started it, if this user may not recover it.
    pub theirs: Option<String>,
    /// How long its locks must be watched before anything is done, because the clocks disagree about their age.
    pub watched: Option<Duration>,
}

impl Unfinished {
    #[must_use]
    pub fn of(view: &RunView) -> Self {
        Self {
            run: view.id.clone(),
            subject: view.subject(),
            hosts: view.hosts.clone(),
            theirs: view.theirs.clone(),
            watched: None,
        }
    }
}

/// Of the locks of these services on these hosts: the runs that none of them is renewed of, as far as can be told. A host
/// that is not among the reached ones, or does not answer, says nothing. All are asked at once.
pub async fn left_locks(
    reached: &[Daemon],
    asked: &BTreeMap<Subject, BTreeSet<HostName>>,
) -> Vec<(String, Silence)> {
    let looked = asked.iter().map(|(subject, hosts)| async move {
        let its = reached.iter().filter(|daemon| hosts.contains(daemon.name()));
        let seen = its.map(|daemon| async move {
            // A host that does not answer is read again later.
            let locks = lock::seen(daemon, subject).await.unwrap_or_default();
            locks.into_iter().map(|lock| (daemon.clone(), lock))
        });
        let found: Vec<Found> = join_all(seen).await.into_iter().flatten().collect();
        silent(subject, &found)
    });
    join_all(looked).await.into_iter().flatten().collect()
}

fn silent(subject: &Subject, found: &[Found]) -> Vec<(String, Silence)> {
    let span = |run: String| {
        let its = || found.iter().map(|(_, lock)| lock).filter(|lock| lock.run == run);
        if let Some(ahead) = its().filter_map(LockSeen::ahead).max() {
            return Some((run, Silence::Ahead(ahead)));
        }
        let shortest = its().map(|lock| lock.renewed.until(lock.now)).min();
        shortest.map(|span| (run, Silence::For(span)))
    };
    left(subject, found).into_iter().filter_map(span).collect()
}

/// The locks of all deployed services, in the order of the configuration.
pub(in crate::runs) struct Locks<'a> {
    pub(in crate::runs) places: Vec<Place<'a>>,
    /// Hosts or locks that could not be read.
    pub(in crate::runs) missing: Vec<Failure>,
}

/// A service, or an environment of it, and the locks on its hosts.
pub(in crate::runs) struct Place<'a> {
    pub(in crate::runs) subject: Subject,
    pub(in crate::runs) service: &'a Service,
    pub(in crate::runs) found: Vec<Found>,
}

/// Reads all hosts concurrently, so that a hung host does not delay the others.
pub(in crate::runs) async fn locks(config: &Config, access: Access) -> Locks<'_> {
    let looked = config.hosts.iter().map(|host| async {
        let daemon = connect(host, access).await;
        (host.name.clone(), daemon.map_err(Unreached::fault))
    });
    let mut daemons: BTreeMap<HostName, Daemon> = BTreeMap::new();
    let mut locks = Locks {
        places: Vec::new(),
        missing: Vec::new(),
    };
    for (name, daemon) in join_all(looked).await {
        match daemon {
            Ok(daemon) => drop(daemons.insert(name, daemon)),
            Err(fault) => locks.missing.push(Failure::of(FailureKind::Unreachable, fault)),
        }
    }
    for (environment, service) in config.services.iter().flat_map(Service::places) {
        let Some(deploy) = &service.deploy else { continue };
        let subject = Subject {
            service: service.name.clone(),
            environment: environment.map(str::to_owned),
        };
        let its = deploy.hosts.iter().filter_map(|name| daemons.get(name));
        let seen = join_all(its.map(|daemon| async {
            let seen = lock::seen(daemon, &subject).await;
            seen.map(|locks| locks.into_iter().map(|lock| (daemon.clone(), lock)))
        }));
        let mut found: Vec<Found> = Vec::new();
        for seen in seen.await {
            match seen {
                Ok(its) => found.extend(its),
                Err(failure) => locks.missing.push(failure),
            }
        }
        locks.places.push(Place {
            subject,
            service,
            found,
        });
    }
    locks
}

/// All unfinished runs, those of this machine first, newest first; and the hosts that did not answer.
pub async fn unfinished(state: &State, config: &Config) -> (Vec<Unfinished>, Vec<Fault>) {
    let mut all: Vec<Unfinished> = follow::all(state)
        .filter(|view| view.status == RunStatus::Dead)
        .map(|view| Unfinished::of(&view))
        .collect();
    let Locks { places, missing } = locks(config, Access::ReadOnly).await;
    for Place { subject, found, .. } in places {
        for run in left(&subject, &found) {
            let its = || found.iter().filter(|(_, lock)| lock.run == run);
            let hosts = its().map(|(daemon, _)| daemon.name().clone()).collect();
            let watched = recover::watching(&subject, its().map(|(_, lock)| lock));
            if let Ok(run) = RunId::parse(&run)
                && !all.iter().any(|known| known.run == run)
            {
                all.push(Unfinished {
                    run,
                    subject: subject.to_string(),
                    hosts,
                    theirs: None,
                    watched,
                });
            }
        }
    }
    (all, missing.into_iter().map(|failure| failure.fault).collect())
}

//! The state of a service, derived from its hosts alone: the role of each container, and whether all hosts agree. Uses only
//! lists and labels, so that every control room shows the same state, whatever its own state folder contains.
//!
//! Adopted containers count as labelled: the host has a record of them.
//! A list does not include restart policies: of two releases that run side by side on a host, the one that runs on more
//! hosts (then the newer one) counts as active.

pub mod left;
mod reasons;
pub mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::config::Service;
use crate::domain::adoption::Adoption;
use crate::domain::container::{Container, Group, Role, State, is_clean_exit, label};
use crate::domain::ids::{ContainerId, HostName, ReleaseNumber};
use crate::domain::run::Silence;
use crate::domain::units::short_span;
use reasons::reasons;
use strangers::{gone, missed, nobodys};

/// A service as it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub standing: Standing,
    /// Of its containers on the hosts that are reached.
    pub parts: BTreeMap<ContainerId, Part>,
}

/// Judges every service, in every environment, that the configuration or a label names.
#[must_use]
pub fn judge_all(services: &[Service], hosts: &[HostSeen<'_>]) -> BTreeMap<Group, Judged> {
    let mut wanted: BTreeMap<Group, Option<Wanted<'_>>> = BTreeMap::new();
    for (environment, service) in services.iter().flat_map(Service::places) {
        let group = Group::Service {
            name: service.name.clone(),
            environment: environment.map(Into::into),
        };
        let asked = service.deploy.as_ref().map(|deploy| Wanted {
            hosts: &deploy.hosts,
            replicas: deploy.replicas,
            image: &service.image,
        });
        wanted.insert(group, asked);
    }
    let configured: BTreeSet<Group> = wanted.keys().cloned().collect();
    let mut by_group: BTreeMap<Group, BTreeMap<&HostName, Vec<&Container>>> = BTreeMap::new();
    for seen in hosts {
        for container in &seen.containers {
            let group = container.group();
            if matches!(group, Group::Service { .. }) {
                wanted.entry(group.clone()).or_default();
                let there = by_group.entry(group).or_default();
                there.entry(seen.host).or_default().push(container);
            }
        }
    }
    let judged = |(group, wanted): (Group, Option<Wanted<'_>>)| {
        let mut theirs = by_group.remove(&group).unwrap_or_default();
        let is_stranger = |host: &HostName, container: &Container| {
            wanted.is_some_and(|wanted| {
                wanted.hosts.contains(host) && strangers::is_of(container, wanted.image)
            })
        };
        let seen: Vec<Place<'_>> = hosts
            .iter()
            .map(|seen| Place {
                host: seen.host,
                reached: seen.reached,
                containers: theirs.remove(seen.host).unwrap_or_default(),
                adopted: seen
                    .adopted
                    .iter()
                    .filter(|adopted| adopted.group() == group)
                    .collect(),
                strangers: seen
                    .containers
                    .iter()
                    .copied()
                    .filter(|container| is_stranger(seen.host, container))
                    .collect(),
            })
            .collect();
        let (mut standing, parts) = judge(wanted, &seen);
        if !services.is_empty() && !configured.contains(&group) {
            standing = strangers::unconfigured(standing);
        }
        (group, Judged { standing, parts })
    };
    wanted.into_iter().map(judged).collect()
}

/// Containers on one host, locks and ledgers among them.
#[derive(Clone, Debug)]
pub struct HostSeen<'a> {
    pub host: &'a HostName,
    /// Its list is of now. What an unreachable host has is not known: never "down", never counted.
    pub reached: bool,
    pub containers: Vec<&'a Container>,
    pub adopted: &'a [Adoption],
}

/// One host as one service sees it.
#[derive(Clone, Debug)]
struct Place<'a> {
    host: &'a HostName,
    reached: bool,
    /// The service's own, its locks and ledgers among them.
    containers: Vec<&'a Container>,
    adopted: Vec<&'a Adoption>,
    /// They run its image, and nobody released them.
    strangers: Vec<&'a Container>,
}

/// What the configuration asks for.
#[derive(Clone, Copy, Debug)]
struct Wanted<'a> {
    hosts: &'a [HostName],
    /// On each host.
    replicas: u32,
    /// Its repository.
    image: &'a str,
}

/// What a container is to its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Runs, and is of the release that should.
    Active,
    /// Made by the run that holds the lock, or started while it is held.
    Candidate,
    /// Stopped, of another release: what a rollback starts again.
    Retained,
    /// Of the release that should run, and does not.
    Failed,
    /// Made by a run that is gone, and of no use to anybody.
    Orphan,
    /// An earlier release that runs again beside the active one.
    Revived,
}

impl Part {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Candidate => "candidate",
            Self::Retained => "retained",
            Self::Failed => "failed",
            Self::Orphan => "orphan",
            Self::Revived => "revived",
        }
    }
}

/// What the fleet is of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Standing {
    /// Nothing of it runs.
    Absent,
    /// Only what nobody released runs of it: `adopt` makes that its first release. Never empty.
    Unreleased { containers: Vec<String> },
    /// One release everywhere, as the configuration asks for.
    Converged { release: ReleaseNumber },
    /// A run holds a lock of it on some host. A list does not tell whether the lock is renewed: `silent`, where that was
    /// asked, and it was not seen to be.
    InProgress {
        actor: String,
        run: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        silent: Option<Silence>,
    },
    /// Hosts run different releases. By release, the hosts.
    Split {
        releases: BTreeMap<ReleaseNumber, Vec<HostName>>,
    },
    /// One release, yet not as labels and configuration say. Never empty.
    Drift {
        release: ReleaseNumber,
        reasons: Vec<String>,
    },
    /// What is reached is of one mind; these hosts are not reached.
    Unknown {
        release: Option<ReleaseNumber>,
        hosts: Vec<HostName>,
    },
}

impl Standing {
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Absent => "ABSENT",
            Self::Unreleased { .. } => "UNRELEASED",
            Self::Converged { .. } => "CONVERGED",
            Self::InProgress { .. } => "IN PROGRESS",
            Self::Split { .. } => "SPLIT",
            Self::Drift { .. } => "DRIFT",
            Self::Unknown { .. } => "UNKNOWN",
        }
    }
}

/// The reason, for people: `r41 on web-1, web-2; r42 on web-3`.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("not running"),
            Self::Unreleased { containers } => write!(
                f,
                "{}: `adopt` registers it as a release, without changing it",
                containers.join("; ")
            ),
            Self::Converged { release } => write!(f, "{release} everywhere"),
            Self::InProgress {
                actor,
                run,
                silent: None,
            } => write!(f, "run {run} of {actor} is in progress"),
            Self::InProgress {
                actor,
                run,
                silent: Some(Silence::For(span)),
            } => write!(
                f,
                "{actor}'s run {run} has not renewed its lock for {}: `pilothouse recover {run}` finishes or undoes it",
                short_span(*span)
            ),
            Self::InProgress {
                actor,
                run,
                silent: Some(Silence::Ahead(span)),
            } => write!(
                f,
                "the lock of {actor}'s run {run} is stamped {} ahead of its daemon's clock: `pilothouse recover {run}` watches whether anybody renews it",
                short_span(*span)
            ),
            Self::Split { releases } => {
                for (at, (release, hosts)) in releases.iter().enumerate() {
                    let between = if at == 0 { "" } else { "; " };
                    write!(f, "{between}{release} on {}", joined(hosts))?;
                }
                Ok(())
            }
            Self::Drift { reasons, .. } => f.write_str(&reasons.join("; ")),
            Self::Unknown { hosts, .. } => write!(f, "{} unreachable", joined(hosts)),
        }
    }
}

fn joined(hosts: &[HostName]) -> String {
    let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
    names.join(", ")
}

/// The standing of one service, and the part of each of its containers on the hosts that are reached.
fn judge(wanted: Option<Wanted<'_>>, hosts: &[Place<'_>]) -> (Standing, BTreeMap<ContainerId, Part>) {
    let reached: Vec<&Place<'_>> = hosts.iter().filter(|seen| seen.reached).collect();
    let lock = lock(&reached);
    let is_asked = |seen: &&&Place<'_>| wanted.is_none_or(|wanted| wanted.hosts.contains(seen.host));
    let asked: Vec<&Place<'_>> = reached.iter().filter(is_asked).copied().collect();
    // What is left on other hosts has no say while anything runs where it should.
    let main = main_release(&asked, lock.as_ref()).or_else(|| main_release(&reached, lock.as_ref()));
    let missing: Vec<HostName> = wanted
        .map(|wanted| wanted.hosts)
        .unwrap_or_default()
        .iter()
        .filter(|name| !reached.iter().any(|seen| seen.host == *name))
        .cloned()
        .collect();
    let is_wanted = wanted.is_some_and(|wanted| wanted.replicas > 0) && lock.is_none();
    // Where a host is not reached, something may run there.
    let is_down = is_wanted && missing.is_empty() && gone(&reached).is_none();
    let main = main.or_else(|| last_release(&asked).filter(|_| is_down));
    let views: Vec<View<'_>> = reached
        .iter()
        .map(|seen| View::new(seen, lock.as_ref(), main))
        .collect();
    let parts = views
        .iter()
        .flat_map(|view| {
            view.parts
                .iter()
                .map(|(container, part)| (container.id.clone(), *part))
        })
        .collect();
    (standing(wanted, (&reached, &views), lock, main, missing), parts)
}

fn standing(
    wanted: Option<Wanted<'_>>,
    seen: (&[&Place<'_>], &[View<'_>]),
    lock: Option<Lock>,
    main: Option<ReleaseNumber>,
    missing: Vec<HostName>,
) -> Standing {
    let (places, views) = seen;
    if let Some(Lock { actor, run }) = lock {
        return Standing::InProgress {
            actor,
            run,
            silent: None,
        };
    }
    let mut releases: BTreeMap<ReleaseNumber, Vec<HostName>> = BTreeMap::new();
    let is_asked = |host: &HostName| wanted.is_none_or(|wanted| wanted.hosts.contains(host));
    for view in views {
        if let Some(release) = view.active.filter(|_| is_asked(view.host)) {
            releases.entry(release).or_default().push(view.host.clone());
        }
    }
    if releases.len() > 1 {
        return Standing::Split { releases };
    }
    let Some(release) = main else {
        if let Some((release, reasons)) = gone(places) {
            return Standing::Drift { release, reasons };
        }
        let containers: Vec<String> = places.iter().flat_map(|place| nobodys(place)).collect();
        if !containers.is_empty() {
            return Standing::Unreleased { containers };
        }
        if missing.is_empty() {
            return Standing::Absent;
        }
        return Standing::Unknown {
            release: None,
            hosts: missing,
        };
    };
    let mut reasons = reasons(wanted, views, release);
    reasons.extend(places.iter().flat_map(|place| missed(place, release)));
    reasons.extend(places.iter().flat_map(|place| nobodys(place)));
    if !reasons.is_empty() {
        return Standing::Drift { release, reasons };
    }
    if missing.is_empty() {
        Standing::Converged { release }
    } else {
        Standing::Unknown {
            release: Some(release),
            hosts: missing,
        }
    }
}

struct Lock {
    actor: String,
    run: String,
}

fn lock(reached: &[&Place<'_>]) -> Option<Lock> {
    let of = |container: &Container, key: &str| container.label(key).unwrap_or_default().to_owned();
    reached
        .iter()
        .flat_map(|seen| &seen.containers)
        .find(|container| container.has_role(Role::Lock))
        .map(|container| Lock {
            actor: of(container, label::ACTOR),
            run: of(container, label::RUN),
        })
}

/// The release that most hosts run, the newest of equals; what the lock's holder made is not counted.
fn main_release(reached: &[&Place<'_>], lock: Option<&Lock>) -> Option<ReleaseNumber> {
    let mut votes: BTreeMap<ReleaseNumber, usize> = BTreeMap::new();
    for seen in reached {
        for release in up_on(seen, lock) {
            *votes.entry(release).or_default() += 1;
        }
    }
    votes
        .into_iter()
        .max_by_key(|(release, votes)| (*votes, *release))
        .map(|(release, _)| release)
}

/// Where nothing is up: the release that ran last. What was only created never did; and of several that ended at the same
/// time (a list says `2 days ago`) nobody knows which it was.
fn last_release(asked: &[&Place<'_>]) -> Option<ReleaseNumber> {
    let ended = |container: &Container| match &container.state {
        State::Exited { at, .. } => Some((*at, container.release()?)),
        State::Dead => Some((None, container.release()?)),
        State::Created
        | State::Running { .. }
        | State::Paused { .. }
        | State::Restarting { .. }
        | State::Removing => None,
    };
    let all: Vec<_> = asked
        .iter()
        .flat_map(|seen| replicas(seen))
        .filter_map(ended)
        .collect();
    let last = all.iter().map(|(at, _)| *at).max()?;
    let mut ones: BTreeSet<ReleaseNumber> = all
        .into_iter()
        .filter(|(at, _)| *at == last)
        .map(|(_, release)| release)
        .collect();
    ones.pop_first().filter(|_| ones.is_empty())
}

fn up_on(seen: &Place<'_>, lock: Option<&Lock>) -> BTreeSet<ReleaseNumber> {
    replicas(seen)
        .filter(|container| is_up(container) && !is_made_by(container, lock))
        .filter_map(Container::release)
        .collect()
}

fn replicas<'a>(seen: &Place<'a>) -> impl Iterator<Item = &'a Container> {
    let ours = |container: &&'a Container| !container.is_housekeeping() && container.release().is_some();
    seen.containers.iter().copied().filter(ours)
}

fn is_up(container: &Container) -> bool {
    container.state.is_up()
}

fn is_made_by(container: &Container, lock: Option<&Lock>) -> bool {
    lock.is_some_and(|lock| container.label(label::RUN) == Some(&lock.run))
}

/// One host with its verdicts.
struct View<'a> {
    host: &'a HostName,
    active: Option<ReleaseNumber>,
    parts: Vec<(&'a Container, Part)>,
}

impl<'a> View<'a> {
    fn new(seen: &Place<'a>, lock: Option<&Lock>, main: Option<ReleaseNumber>) -> Self {
        let up = up_on(seen, lock);
        let active = main.filter(|main| up.contains(main)).or(up.last().copied());
        let newest = replicas(seen).filter_map(Container::release).max();
        let part = |container: &Container| {
            let release = container.release()?;
            Some(match (is_up(container), &container.state) {
                _ if is_made_by(container, lock) => Part::Candidate,
                (true, _) if Some(release) == active => Part::Active,
                (true, _) if lock.is_some() => Part::Candidate,
                (true, _) if Some(release) > active => Part::Orphan,
                (true, _) => Part::Revived,
                (false, State::Created) => Part::Orphan,
                (false, _) if Some(release) == active.or(main) => Part::Failed,
                (false, State::Exited { code, .. })
                    if main.is_none() && Some(release) == newest && !is_clean_exit(*code) =>
                {
                    Part::Failed
                }
                (false, _) => Part::Retained,
            })
        };
        Self {
            host: seen.host,
            active,
            parts: replicas(seen)
                .filter_map(|container| Some((container, part(container)?)))
                .collect(),
        }
    }

    fn count(&self, wanted: Part) -> usize {
        self.parts.iter().filter(|(_, part)| *part == wanted).count()
    }
}

#[cfg(test)]
mod tests;

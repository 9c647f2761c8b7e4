//! Adoption: running containers become a release without being changed.
//! Decides which containers may be adopted and what they are as a release; the hosts store the record of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::decision::{Decision, Facts, RunImage, history};
use super::destination;
use super::facts::{HostFacts, ImageFacts};
use super::ledger::LedgerEntry;
use super::plan::Plan;
use super::replica::{Policy, Replica, Up};
use super::spec;
use super::subject::Subject;
use crate::config::service::{Restart, Spec};
use crate::domain::adoption::Adoption;
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, HostName, ReleaseNumber};

/// In an adoption: how the containers are found on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whence {
    /// By name or id.
    Container { host: Option<HostName>, name: String },
    /// By Compose's labels; `project`: if the file names one.
    Compose {
        file: String,
        project: Option<String>,
        service: String,
    },
}

impl Whence {
    /// Whether it applies to this host.
    #[must_use]
    pub fn is_for(&self, host: &HostName) -> bool {
        match self {
            Self::Container { host: Some(on), .. } => on == host,
            Self::Container { host: None, .. } | Self::Compose { .. } => true,
        }
    }

    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Container { name, .. } => name.clone(),
            Self::Compose { file, service, .. } => format!("{service} of {file}"),
        }
    }
}

/// The containers found for one of them on a host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sought {
    pub whence: Whence,
    /// Empty if there is none.
    pub found: Vec<Candidate>,
}

/// A container to adopt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub replica: Replica,
    /// Its image, as given when it was created.
    pub reference: String,
    pub image: ImageFacts,
    /// Names of that image.
    pub tags: Vec<String>,
    /// Its settings in terms of the configuration, without the values of secrets.
    pub spec: Spec,
    /// Names of settings that the configuration cannot express, or must not contain.
    pub lacks: Vec<String>,
    /// The release in its labels, if any: `r3 of shop`.
    pub owner: Option<String>,
    /// Whether Docker removes it when it stops (`--rm`).
    pub auto_remove: bool,
    /// Its Compose project.
    pub project: Option<String>,
}

/// The containers of an adopted release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// By id, with their names.
    pub containers: BTreeMap<ContainerId, String>,
    /// Settings missing from its specification; if there are any, it cannot be created again once its containers are gone.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// Whether this is an image of the repository.
#[must_use]
pub fn is_of(image: &str, repository: &str) -> bool {
    image
        .strip_prefix(repository)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '@']))
}

/// Why the containers found on a host cannot be adopted.
pub(super) fn refusals(plan: &Plan, host: &HostName, seen: &HostFacts) -> Vec<Fault> {
    let refuse = |why: String| Fault::new(format!("adopt {} on {host}", plan.subject), why);
    let mut found = Vec::new();
    if seen.sought.is_empty() {
        found.push(
            refuse("no container was given for it".to_owned())
                .hint(format!("--from {host}/NAME, once per host")),
        );
    }
    for sought in &seen.sought {
        if sought.found.is_empty() {
            found.push(refuse(match &sought.whence {
                Whence::Container { name, .. } => format!("no container is called {name}"),
                Whence::Compose {
                    file,
                    service,
                    project: None,
                } => format!("no container is labelled as the service {service} of {file}"),
                Whence::Compose {
                    file,
                    service,
                    project: Some(project),
                } => format!(
                    "no container is labelled as the service {service} of the project {project} ({file})"
                ),
            }));
        }
        let projects: BTreeSet<&String> = sought
            .found
            .iter()
            .filter_map(|one| one.project.as_ref())
            .collect();
        if let (Whence::Compose { service, .. }, true) = (&sought.whence, projects.len() > 1) {
            let names: Vec<&str> = projects.into_iter().map(String::as_str).collect();
            found.push(
                refuse(format!(
                    "{service} runs there in several projects: {}",
                    names.join(", ")
                ))
                .hint("name the containers, or the project in the file: `name: …`"),
            );
        }
        for one in &sought.found {
            found.extend(unfit(plan, one).map(|(why, hint)| match hint {
                Some(hint) => refuse(why).hint(hint),
                None => refuse(why),
            }));
        }
    }
    let own = |replica: &&Replica| {
        replica.state.is_up() && !candidates(seen).any(|one| one.replica.id == replica.id)
    };
    for replica in seen.replicas.iter().filter(own) {
        let release = replica
            .release
            .map_or_else(|| "a release".to_owned(), |number| number.to_string());
        found.push(
            refuse(format!("{release} of it runs there already: {}", replica.name))
                .hint("other containers of it were started by hand: stop and remove them"),
        );
    }
    found
}

/// Why this one cannot be adopted, with a hint.
fn unfit(plan: &Plan, one: &Candidate) -> Option<(String, Option<String>)> {
    let replica = &one.replica;
    let name = &replica.name;
    if let Some(owner) = &one.owner {
        return Some((format!("{name} already belongs to a release: {owner}"), None));
    }
    let repository = &plan.service.image;
    let names = std::iter::once(&one.reference).chain(&one.tags);
    if !names.clone().any(|image| is_of(image, repository)) && one.image.pinned(repository).is_none() {
        let hint = format!("the service's `image` is {repository}");
        return Some((
            format!("{name} runs another image: {}", one.reference),
            Some(hint),
        ));
    }
    match replica.state {
        Up::Running => {}
        Up::Paused => {
            return Some((
                format!("{name} is paused"),
                Some(format!("docker unpause {name}")),
            ));
        }
        Up::Restarting => {
            let hint = "an adopted container is a rollback target, so it must be healthy".to_owned();
            return Some((format!("{name} is in a restart loop"), Some(hint)));
        }
        Up::Created | Up::Exited { .. } | Up::Dead | Up::Removing => {
            let hint = format!("only running containers can be adopted: docker start {name}");
            return Some((
                format!("{name} does not run: it is {}", replica.state),
                Some(hint),
            ));
        }
    }
    if replica.policy == Policy::UnlessStopped {
        return Some((
            format!("{name} has restart policy unless-stopped: it would stay down after a daemon crash"),
            Some(format!("docker update --restart=always {name}")),
        ));
    }
    one.auto_remove.then(|| {
        (
            format!(
                "{name} was started with --rm: stopping it would remove it, and a rollback would be impossible"
            ),
            Some("start it without --rm".to_owned()),
        )
    })
}

fn candidates(seen: &HostFacts) -> impl Iterator<Item = &Candidate> {
    seen.sought.iter().flat_map(|sought| &sought.found)
}

/// The release that these containers form; the fault says why they form none.
pub(super) fn decide(plan: &Plan, order: &[HostName], facts: &Facts) -> Result<Decision, Fault> {
    let refuse = |why: String| Fault::new(format!("adopt {}", plan.subject), why);
    let all: Vec<(&HostName, &Candidate)> = order
        .iter()
        .filter_map(|host| Some((host, facts.get(host)?)))
        .flat_map(|(host, seen)| candidates(seen).map(move |one| (host, one)))
        .collect();
    let Some((on, first)) = all.first().copied() else {
        return Err(refuse("no container of it was found".to_owned()));
    };
    let place = |host: &HostName, one: &Candidate| format!("{} on {host}", one.replica.name);
    for (host, one) in &all {
        if one.image.id != first.image.id {
            return Err(refuse(format!(
                "{} runs {} ({}), {} runs {} ({})",
                place(on, first),
                first.reference,
                first.image.id.short(),
                place(host, one),
                one.reference,
                one.image.id.short()
            ))
            .hint("a release has one image: deploy the same image everywhere first"));
        }
        if one.replica.policy != first.replica.policy {
            return Err(refuse(format!(
                "{} has restart policy {}, {} has {}",
                place(on, first),
                first.replica.policy,
                place(host, one),
                one.replica.policy
            ))
            .hint("a release has only one: docker update --restart=always …"));
        }
    }
    let deploy = plan
        .deploy()
        .ok_or_else(|| refuse("it has no [services.deploy]".to_owned()))?;
    let history = history(order, facts);
    let mut lacks: BTreeSet<String> = all
        .iter()
        .flat_map(|(_, one)| one.lacks.iter().cloned())
        .collect();
    for (host, one) in &all {
        let other = spec::changed_names(&first.spec, &one.spec);
        if !other.is_empty() {
            lacks.insert(format!("the differences on {host} ({})", other.join(", ")));
        }
    }
    let spec = Spec {
        restart: restart(first.replica.policy),
        ..first.spec.clone()
    };
    let mut wake: BTreeMap<HostName, Vec<ContainerId>> = BTreeMap::new();
    let mut containers = BTreeMap::new();
    for (host, one) in &all {
        wake.entry((*host).clone())
            .or_default()
            .push(one.replica.id.clone());
        containers.insert(one.replica.id.clone(), one.replica.name.clone());
    }
    let release = number(order, facts, history.is_some());
    let mut decision = Decision {
        release,
        from: destination::current(order, facts, history.as_ref()),
        whole: destination::last_whole(order, history.as_ref(), release),
        image: RunImage {
            id: first.image.id.clone(),
            reference: first.reference.clone(),
            on: on.clone(),
            pinned: first.image.pinned(&plan.service.image).cloned(),
        },
        git: first.image.git.clone(),
        spec_hash: spec::hash(&spec, &plan.seals).map_err(|error| refuse(error.to_string()))?,
        spec,
        // What their values are is not looked at.
        seals: spec::Seals::new(),
        order: order.to_vec(),
        daemons: Decision::daemons_of(facts),
        snapshot: Decision::snapshot_of(order, facts),
        wake,
        make: BTreeSet::new(),
        replicas: deploy.replicas,
        gate: Some(deploy.gate.clone()),
        keep: BTreeSet::new(),
        kept: BTreeMap::new(),
        past: None,
        adopted: Some(Adopted {
            containers,
            lacks: lacks.into_iter().collect(),
        }),
        notes: notes(order, facts),
    };
    decision.keep_last(deploy.keep, history.as_ref());
    Ok(decision)
}

/// The first release is r0, whatever was tried before; later adoptions are numbered like any release.
fn number(order: &[HostName], facts: &Facts, has_history: bool) -> ReleaseNumber {
    let committed = order.iter().any(|host| {
        let seen = facts.get(host).and_then(|seen| seen.ledger.read());
        seen.is_some_and(|ledger| ledger.committed().next().is_some())
    });
    match Decision::highest(order, facts) {
        Some(highest) if committed || !has_history => ReleaseNumber(highest.0.saturating_add(1)),
        Some(_) | None => ReleaseNumber(0),
    }
}

fn restart(policy: Policy) -> Restart {
    match policy {
        Policy::Always | Policy::UnlessStopped => Restart::Always,
        Policy::OnFailure(times) => Restart::OnFailure(times),
        Policy::No => Restart::No,
    }
}

fn notes(order: &[HostName], facts: &Facts) -> Vec<String> {
    let mut notes = Vec::new();
    for (host, seen) in order.iter().filter_map(|host| Some((host, facts.get(host)?))) {
        let taken: BTreeSet<&String> = candidates(seen).map(|one| &one.replica.name).collect();
        for name in seen.strangers.iter().filter(|name| !taken.contains(name)) {
            notes.push(format!(
                "{host}: {name} runs its image, too, and was not given: deploys will be refused because of it"
            ));
        }
        if let Some(one) = candidates(seen).find(|one| one.replica.policy == Policy::No) {
            notes.push(format!(
                "{host}: {} has restart policy no: it does not start after a reboot",
                one.replica.name
            ));
        }
    }
    notes
}

/// Settings of an adopted release that are not recorded, in words.
pub(super) fn unwritten(entry: &LedgerEntry) -> Option<String> {
    let lacks = entry.adopted.as_ref().map(|adopted| &adopted.lacks)?;
    (!lacks.is_empty()).then(|| lacks.join(", "))
}

pub(super) fn can_be_made_again(plan: &Plan, host: &HostName, entry: &LedgerEntry) -> Result<(), Fault> {
    let Some(unwritten) = unwritten(entry) else {
        return Ok(());
    };
    let why = format!(
        "{host} retains no container of {}, and it cannot be created again: it was adopted, and its ledger does not contain {unwritten}",
        entry.release
    );
    Err(Fault::new(format!("roll back {}", plan.subject), why)
        .hint("deploy its image with the current configuration: --image"))
}

/// The record of it on the hosts.
#[must_use]
pub fn adoption(subject: &Subject, entry: &LedgerEntry) -> Option<Adoption> {
    let adopted = entry.adopted.as_ref()?;
    let image = entry
        .digest
        .as_ref()
        .map_or_else(|| entry.image.to_string(), ToString::to_string);
    let mut labels = BTreeMap::from([
        (label::SCHEMA.to_owned(), "1".to_owned()),
        (label::SERVICE.to_owned(), subject.service.to_string()),
        (label::RELEASE.to_owned(), entry.release.to_string()),
        (label::DIGEST.to_owned(), image),
        (label::SPEC.to_owned(), entry.spec_hash.clone()),
        (label::RUN.to_owned(), entry.run.to_string()),
        (label::ACTOR.to_owned(), entry.actor.clone()),
    ]);
    labels.extend(
        subject
            .environment
            .clone()
            .map(|name| (label::ENVIRONMENT.to_owned(), name)),
    );
    labels.extend(entry.git.clone().map(|git| (label::GIT.to_owned(), git)));
    Some(Adoption {
        release: entry.release,
        containers: adopted.containers.clone(),
        labels,
    })
}

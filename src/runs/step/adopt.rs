//! A host's record of adopted containers: a volume that no container mounts, with immutable labels.
//! One request creates it and one removes it; the containers are not changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};

use super::answer::{change, failure, status};
use crate::domain::adoption::Adoption;
use crate::domain::container::Role;
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, ReleaseNumber};
use crate::hosts::Daemon;
use crate::release::adopt::adoption;
use crate::release::ledger::Ledger;
use crate::release::record::Failure;
use crate::release::subject::Subject;

/// All adoption records of this service on the host.
pub async fn adoptions(daemon: &Daemon, subject: &Subject) -> Result<Vec<Adoption>, Failure> {
    let mut all = of_anybody(daemon).await?;
    all.retain(|adoption| subject.owns(|key| adoption.labels.get(key).map(String::as_str)));
    Ok(all)
}

/// Those of all services.
pub(super) async fn of_anybody(daemon: &Daemon) -> Result<Vec<Adoption>, Failure> {
    let filters = HashMap::from([
        ("label", vec![Role::Adopted.filter()]),
        ("driver", vec!["local".to_owned()]),
    ]);
    let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let listed = daemon
        .read()
        .list_volumes(Some(options))
        .await
        .map_err(|error| failure(daemon, "list the volumes", &error))?;
    let volumes = listed.volumes.unwrap_or_default().into_iter();
    Ok(volumes
        .filter_map(|volume| Adoption::read(&volume.labels.into_iter().collect::<BTreeMap<_, _>>()))
        .collect())
}

/// Creates the record; an existing one of that name must be equal.
pub async fn remember(daemon: &Daemon, subject: &Subject, adoption: &Adoption) -> Result<(), Failure> {
    let name = subject.adoption_name(adoption.release);
    let what = format!("record what is {} of {subject}", adoption.release);
    let asked = VolumeCreateRequest {
        name: Some(name),
        labels: Some(adoption.write().into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    let made = change(daemon)?.create_volume(asked).await;
    // What counts is what is there, also when the answer was lost.
    let there = adoptions(daemon, subject).await?;
    let known = there.iter().find(|known| known.release == adoption.release);
    if known == Some(adoption) {
        return Ok(());
    }
    made.map_err(|error| failure(daemon, &what, &error))?;
    Err(Failure::refused(
        Fault::new(
            format!("{what} on {}", daemon.name()),
            "the host has another record under that number",
        )
        .hint(format!(
            "docker volume inspect {}",
            subject.adoption_name(adoption.release)
        )),
    ))
}

/// Removes the record; a missing one is not a fault.
pub async fn forget(daemon: &Daemon, subject: &Subject, release: ReleaseNumber) -> Result<(), Failure> {
    let name = subject.adoption_name(release);
    match change(daemon)?
        .remove_volume(&name, None::<RemoveVolumeOptions>)
        .await
    {
        Ok(()) => Ok(()),
        Err(error) if status(&error) == Some(404) => Ok(()),
        Err(error) => Err(failure(daemon, &format!("forget {name}"), &error)),
    }
}

/// Removes the records of releases that are no longer retained.
pub async fn forget_beside(
    daemon: &Daemon,
    subject: &Subject,
    keep: &BTreeSet<ReleaseNumber>,
) -> Result<(), Failure> {
    for adoption in adoptions(daemon, subject).await? {
        if !keep.contains(&adoption.release) {
            forget(daemon, subject, adoption.release).await?;
        }
    }
    Ok(())
}

/// What the ledger knows and the host forgot (a `docker volume prune` of old): of containers that are there still. All that
/// the host remembers then.
pub async fn remember_again(
    daemon: &Daemon,
    subject: &Subject,
    ledger: &Ledger,
) -> Result<Vec<Adoption>, Failure> {
    let mut known = adoptions(daemon, subject).await?;
    let mut seen = BTreeSet::new();
    let entries = ledger.committed().filter(|entry| seen.insert(entry.release));
    for adoption in entries.filter_map(|entry| adoption(subject, entry)) {
        if known.iter().any(|known| known.release == adoption.release) {
            continue;
        }
        let mut there = BTreeMap::new();
        for (id, name) in &adoption.containers {
            if is_there(daemon, id).await? {
                there.insert(id.clone(), name.clone());
            }
        }
        if !there.is_empty() {
            let adoption = Adoption {
                containers: there,
                ..adoption
            };
            if daemon.change().is_ok() {
                remember(daemon, subject, &adoption).await?;
            }
            known.push(adoption);
        }
    }
    Ok(known)
}

async fn is_there(daemon: &Daemon, id: &ContainerId) -> Result<bool, Failure> {
    match daemon.read().inspect_container(id.as_str(), None).await {
        Ok(_) => Ok(true),
        Err(error) if status(&error) == Some(404) => Ok(false),
        Err(error) => Err(failure(daemon, "inspect a container", &error)),
    }
}

//! Removes images of releases that are no longer retained and that nothing else uses.
//! Only images recorded in our ledger, by id, never forced: an image in use stays.

use std::collections::BTreeSet;

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveImageOptionsBuilder};

use super::answer::{change, failure, status};
use super::{Progress, ledger, lock};
use crate::domain::ids::ImageId;
use crate::hosts::Daemon;
use crate::release::deeds::Scene;
use crate::release::facts::LedgerSeen;
use crate::release::record::Failure;

pub async fn clean_up(
    daemon: &Daemon,
    scene: &Scene<'_>,
    progress: &mut dyn Progress,
) -> Result<(), Failure> {
    let subject = &scene.plan.subject;
    let LedgerSeen::Read(own) = ledger::read(daemon, subject).await? else {
        return Ok(());
    };
    let mut spent = own.images_beside(&scene.decision.keep);
    spent.remove(&scene.decision.image.id);
    if spent.is_empty() {
        return Ok(());
    }
    let needed = needed(daemon, scene).await?;
    let docker = change(daemon)?;
    for image in spent.difference(&needed) {
        let options = RemoveImageOptionsBuilder::default()
            .force(false)
            .noprune(true)
            .build();
        match docker.remove_image(image.as_str(), Some(options), None).await {
            Ok(_) => progress.line(&format!("the image {} is removed", image.short())),
            Err(error) if status(&error) == Some(404) => {}
            // A container uses it, or it has a further name that somebody gave it.
            Err(error) if status(&error) == Some(409) => {
                tracing::debug!(host = %daemon.name(), image = image.short(), %error, "an image stays");
            }
            Err(error) => {
                return Err(failure(
                    daemon,
                    &format!("remove the image {}", image.short()),
                    &error,
                ));
            }
        }
    }
    Ok(())
}

/// By a container of anybody, a run under way, or another service's history; and what the wanted name means there.
async fn needed(daemon: &Daemon, scene: &Scene<'_>) -> Result<BTreeSet<ImageId>, Failure> {
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let containers = daemon
        .read()
        .list_containers(Some(options))
        .await
        .map_err(|error| failure(daemon, "list the containers", &error))?;
    let mut needed: BTreeSet<ImageId> = containers
        .into_iter()
        .filter_map(|container| ImageId::parse(&container.image_id?).ok())
        .collect();
    let runs = lock::all_pinned(daemon).await?;
    for pinned in runs.into_iter().filter(|other| other.plan.run != scene.plan.run) {
        needed.insert(pinned.decision.image.id.clone());
        let before = pinned.decision.snapshot.hosts.values().flatten();
        needed.extend(before.filter_map(|replica| ImageId::parse(&replica.image).ok()));
        needed.extend(pinned.decision.kept.into_values().map(|kept| kept.image));
    }
    for other in ledger::others(daemon, &scene.plan.subject).await? {
        needed.extend(other.entries.into_iter().map(|entry| entry.image));
    }
    let named = super::survey::image(daemon, &scene.plan.image).await?;
    needed.extend(named.map(|image| image.id));
    Ok(needed)
}

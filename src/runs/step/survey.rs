//! Reads everything a decision needs to know about one host, in one go.
//! Reads only, except that a pruned ledger's container is created again where changes are allowed.

use std::collections::{BTreeSet, HashMap};

use bollard::errors::Error;
use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, ImageInspect, ImageSummary, PortSummaryTypeEnum,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptions, ListVolumesOptions,
};

use super::answer::{failure, status};
use super::{adopt, found, ledger, lock, replicas};
use crate::domain::container::label;
use crate::domain::ids::ImageId;
use crate::domain::reference::Reference;
use crate::hosts::Daemon;
use crate::release::adopt::is_of;
use crate::release::facts::{HostFacts, ImageFacts, TakenPort};
use crate::release::ledger::Ledger;
use crate::release::plan::Plan;
use crate::release::record::Failure;
use crate::release::replica::Replica;

/// `wanted`: the image that is asked for, a reference or an id.
pub async fn survey(daemon: &Daemon, plan: &Plan, wanted: &str) -> Result<HostFacts, Failure> {
    let docker = daemon.read();
    let subject = &plan.subject;
    let running = docker
        .list_containers(Some(ListContainersOptionsBuilder::default().all(false).build()))
        .await
        .map_err(|error| failure(daemon, "list the containers", &error))?;
    let networks = docker
        .list_networks(None::<ListNetworksOptions>)
        .await
        .map_err(|error| failure(daemon, "list the networks", &error))?;
    let volumes = docker
        .list_volumes(None::<ListVolumesOptions>)
        .await
        .map_err(|error| failure(daemon, "list the volumes", &error))?;
    let images = docker
        .list_images(Some(ListImagesOptionsBuilder::default().all(false).build()))
        .await
        .map_err(|error| failure(daemon, "list the images", &error))?;
    let ledger = ledger::read(daemon, subject).await?;
    let adoptions = match ledger.read() {
        Some(ledger) => Box::pin(adopt::remember_again(daemon, subject, ledger)).await?,
        None => adopt::adoptions(daemon, subject).await?,
    };
    let is_adopted = |summary: &ContainerSummary| {
        let id = summary.id.as_deref().unwrap_or_default();
        adoptions.iter().any(|adoption| adoption.holds(id))
    };
    let no_labels = HashMap::new();
    let is_own = |summary: &ContainerSummary| {
        let labels = summary.labels.as_ref().unwrap_or(&no_labels);
        subject.owns(|key| labels.get(key).map(String::as_str)) || is_adopted(summary)
    };
    let replicas = replicas::with(daemon, subject, &adoptions).await?;
    let known = known_images(plan, &images, ledger.read(), &replicas);
    Ok(HostFacts {
        engine: daemon.engine().clone(),
        replicas,
        strangers: running
            .iter()
            .filter(|summary| is_stranger(summary, &plan.service.image, &known) && !is_adopted(summary))
            .map(name)
            .collect(),
        sought: Box::pin(found::sought(daemon, plan)).await?,
        taken: running
            .iter()
            .filter(|summary| !is_own(summary))
            .flat_map(ports)
            .collect(),
        networks: networks.into_iter().filter_map(|network| network.name).collect(),
        volumes: volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| volume.name)
            .collect(),
        image: image(daemon, wanted).await?,
        not_pulled: None,
        images: images
            .into_iter()
            .filter_map(|image| ImageId::parse(&image.id).ok())
            .collect::<BTreeSet<_>>(),
        ledger,
        locks: lock::seen(daemon, subject)
            .await?
            .into_iter()
            .filter(|lock| lock.run != plan.run.as_str())
            .collect(),
    })
}

/// What the reference names there, if anything.
pub async fn image(daemon: &Daemon, reference: &str) -> Result<Option<ImageFacts>, Failure> {
    match daemon.read().inspect_image(reference).await {
        Ok(seen) => Ok(image_facts(seen)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failure(
            daemon,
            &format!("look for the image {reference}"),
            &error,
        )),
    }
}

pub(super) fn image_facts(seen: ImageInspect) -> Option<ImageFacts> {
    let config = seen.config.unwrap_or_default();
    let git = config.labels.and_then(|mut labels| labels.remove(label::GIT));
    Some(ImageFacts {
        id: ImageId::parse(&seen.id?).ok()?,
        architecture: seen.architecture.unwrap_or_default(),
        os: seen.os.unwrap_or_default(),
        git,
        digests: seen
            .repo_digests
            .iter()
            .flatten()
            .filter_map(|digest| Reference::parse(digest).ok())
            .collect(),
        volumes: config.volumes.unwrap_or_default(),
    })
}

fn is_missing(error: &Error) -> bool {
    status(error) == Some(404)
}

fn name(summary: &ContainerSummary) -> String {
    let names = summary.names.as_deref().unwrap_or_default();
    names
        .first()
        .map(|name| name.trim_start_matches('/').to_owned())
        .unwrap_or_default()
}

/// Images that are the service's whatever their tags are by now: the registry says so, it was released, or it runs.
fn known_images(
    plan: &Plan,
    images: &[ImageSummary],
    ledger: Option<&Ledger>,
    replicas: &[Replica],
) -> BTreeSet<String> {
    let repository = &plan.service.image;
    let is_its = |image: &&ImageSummary| {
        let mut names = image.repo_tags.iter().chain(&image.repo_digests);
        names.any(|name| is_of(name, repository))
    };
    let named = images.iter().filter(is_its).map(|image| image.id.clone());
    let released = ledger.into_iter().flat_map(|ledger| &ledger.entries);
    let released = released.map(|entry| entry.image.to_string());
    let running = replicas.iter().map(|replica| replica.image.clone());
    named.chain(released).chain(running).collect()
}

/// Runs the service's image, by its repository, and carries no label of ours. Once its tag names another image a
/// container is listed by the id: then that tells.
fn is_stranger(summary: &ContainerSummary, repository: &str, known: &BTreeSet<String>) -> bool {
    let labels = summary.labels.as_ref();
    let ours =
        labels.is_some_and(|labels| labels.contains_key(label::SERVICE) || labels.contains_key(label::ROLE));
    let image = summary.image.as_deref().unwrap_or_default();
    let is_an_id = !image.is_empty()
        && image
            .trim_start_matches("sha256:")
            .chars()
            .all(|letter| letter.is_ascii_hexdigit());
    let is_known = summary.image_id.as_ref().is_some_and(|id| known.contains(id));
    (is_of(image, repository) || (is_an_id && is_known))
        && !ours
        && summary.state != Some(ContainerSummaryStateEnum::EXITED)
}

fn ports(summary: &ContainerSummary) -> Vec<TakenPort> {
    let by = name(summary);
    summary
        .ports
        .as_deref()
        .unwrap_or_default()
        .iter()
        .filter_map(|port| {
            Some(TakenPort {
                address: port.ip.clone().unwrap_or_default(),
                port: port.public_port?,
                protocol: match port.typ {
                    Some(PortSummaryTypeEnum::UDP) => "udp",
                    Some(PortSummaryTypeEnum::SCTP) => "sctp",
                    _ => "tcp",
                }
                .to_owned(),
                by: by.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(image: &str, id: &str) -> ContainerSummary {
        ContainerSummary {
            image: Some(image.to_owned()),
            image_id: Some(id.to_owned()),
            state: Some(ContainerSummaryStateEnum::RUNNING),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn a_container_whose_tag_has_moved_is_known_by_its_image() {
        let known: BTreeSet<String> = ["sha256:aa".to_owned()].into();
        let is_one = |image: &str, id: &str| is_stranger(&listed(image, id), "shop", &known);
        assert!(is_one("shop:v1", "sha256:bb"), "by its repository");
        assert!(is_one("sha256:aa", "sha256:aa") && is_one("aa", "sha256:aa"));
        assert!(!is_one("sha256:bb", "sha256:bb"), "another image");
        assert!(!is_one("tools:v1", "sha256:aa"), "somebody calls it otherwise");
    }
}

//! The containers of a service on one host, each inspected: the input and the verification of every step.
//! Reads only.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary, HealthStatusEnum,
    RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder};

use super::adopt;
use super::answer::{failure, status};
use crate::domain::adoption::Adoption;
use crate::domain::container::{Health, label};
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, ReleaseNumber};
use crate::hosts::Daemon;
use crate::release::deeds::Scene;
use crate::release::record::Failure;
use crate::release::replica::{Kept, Policy, Replica, Up};
use crate::release::subject::Subject;

/// All of them, running or not, adopted ones too; locks, ledgers and tests are none.
pub async fn replicas(daemon: &Daemon, subject: &Subject) -> Result<Vec<Replica>, Failure> {
    Looking::new(daemon, subject).replicas().await
}

/// The same again and again: what was adopted is asked for once.
pub(super) struct Looking<'a> {
    daemon: &'a Daemon,
    subject: &'a Subject,
    adoptions: Option<Vec<Adoption>>,
}

impl<'a> Looking<'a> {
    pub(super) fn new(daemon: &'a Daemon, subject: &'a Subject) -> Self {
        Self {
            daemon,
            subject,
            adoptions: None,
        }
    }

    pub(super) async fn replicas(&mut self) -> Result<Vec<Replica>, Failure> {
        let adoptions = match self.adoptions.take() {
            Some(known) => known,
            None => adopt::adoptions(self.daemon, self.subject).await?,
        };
        with(self.daemon, self.subject, self.adoptions.insert(adoptions)).await
    }
}

/// Of a host that remembers these adoptions.
pub(super) async fn with(
    daemon: &Daemon,
    subject: &Subject,
    adoptions: &[Adoption],
) -> Result<Vec<Replica>, Failure> {
    let found = labelled(daemon, &format!("{}={}", label::SERVICE, subject.service)).await?;
    let ids = found
        .into_iter()
        .filter(|summary| {
            let label_of = |key: &str| summary.labels.as_ref()?.get(key).map(String::as_str);
            subject.owns(label_of) && label_of(label::ROLE).is_none()
        })
        .filter_map(|summary| summary.id);
    let adopted = adoptions
        .iter()
        .flat_map(|adoption| adoption.containers.keys().map(ToString::to_string));
    inspected(daemon, ids.chain(adopted), adoptions).await
}

/// Fails if a new replica that must exist at this stage is gone.
pub fn all_there(daemon: &Daemon, scene: &Scene<'_>, now: &[Replica], verb: &str) -> Result<(), Failure> {
    match scene.missing(now).first() {
        None => Ok(()),
        Some(name) => {
            let what = format!("{verb} {name} on {}", daemon.name());
            Err(Failure::refused(Fault::new(what, "it is gone")))
        }
    }
}

/// Every container with this `key=value`.
pub(super) async fn labelled(daemon: &Daemon, wanted: &str) -> Result<Vec<ContainerSummary>, Failure> {
    let filters = HashMap::from([("label", vec![wanted])]);
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    daemon
        .read()
        .list_containers(Some(options))
        .await
        .map_err(|error| failure(daemon, "list the containers", &error))
}

async fn inspected(
    daemon: &Daemon,
    ids: impl Iterator<Item = String>,
    adoptions: &[Adoption],
) -> Result<Vec<Replica>, Failure> {
    let mut replicas = Vec::new();
    for id in ids {
        match daemon
            .read()
            .inspect_container(&id, None::<InspectContainerOptions>)
            .await
        {
            Ok(seen) => {
                let adopted = adoptions.iter().find(|adoption| adoption.holds(&id));
                replicas.extend(replica(seen, adopted));
            }
            // Gone since the list was made.
            Err(error) if status(&error) == Some(404) => {}
            Err(error) => return Err(failure(daemon, "inspect a container", &error)),
        }
    }
    replicas.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(replicas)
}

/// `adopted`: what it counts as being labelled with.
pub(super) fn replica(seen: ContainerInspectResponse, adopted: Option<&Adoption>) -> Option<Replica> {
    let id = ContainerId::parse(&seen.id?).ok()?;
    let config = seen.config.unwrap_or_default();
    let grace = config
        .stop_timeout
        .and_then(|seconds| u64::try_from(seconds).ok());
    let mut labels = config.labels.unwrap_or_default();
    labels.extend(adopted.into_iter().flat_map(|adopted| adopted.labels.clone()));
    let number = |key: &str| {
        let text = labels.get(key)?.trim_start_matches('r');
        text.parse().ok().map(ReleaseNumber)
    };
    let state = seen.state.unwrap_or_default();
    Some(Replica {
        id,
        name: seen.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        release: number(label::RELEASE),
        previous: number(label::PREVIOUS),
        kept: labels
            .get(label::KEPT)
            .map(|text| Kept::read(text))
            .unwrap_or_default(),
        run: labels.get(label::RUN).cloned(),
        image: seen.image.unwrap_or_default(),
        started_at: state.started_at.clone().unwrap_or_default(),
        restarts: u64::try_from(seen.restart_count.unwrap_or(0)).unwrap_or(0),
        health: health(&state),
        grace: grace.map(Duration::from_secs),
        policy: policy(seen.host_config.and_then(|config| config.restart_policy)),
        error: state.error.clone().filter(|error| !error.is_empty()),
        state: up(&state),
    })
}

fn up(state: &ContainerState) -> Up {
    use ContainerStateStatusEnum as Status;
    match state.status {
        Some(Status::RUNNING) => Up::Running,
        Some(Status::PAUSED) => Up::Paused,
        Some(Status::RESTARTING) => Up::Restarting,
        Some(Status::EXITED) => Up::Exited {
            code: state.exit_code.unwrap_or(0),
            oom: state.oom_killed.unwrap_or(false),
        },
        Some(Status::DEAD) => Up::Dead,
        Some(Status::REMOVING) => Up::Removing,
        _ => Up::Created,
    }
}

fn health(state: &ContainerState) -> Health {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::STARTING) => Health::Starting,
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::Unchecked,
    }
}

fn policy(policy: Option<RestartPolicy>) -> Policy {
    let policy = policy.unwrap_or_default();
    match policy.name {
        Some(RestartPolicyNameEnum::ALWAYS) => Policy::Always,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => Policy::UnlessStopped,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            Policy::OnFailure(u32::try_from(policy.maximum_retry_count.unwrap_or(0)).unwrap_or(0))
        }
        _ => Policy::No,
    }
}

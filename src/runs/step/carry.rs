//! Carries out the actions of one stage on one host, and verifies them: afterwards no action may be left.
//! A lost answer is not a failure if the action took effect; a refusal is reported in the daemon's words.

use std::time::{Duration, Instant};

use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptions};

use super::answer::{change, failure};
use super::fence::Fence;
use super::{create, replicas};
use crate::domain::fault::Fault;
use crate::domain::ids::ContainerId;
use crate::hosts::Daemon;
use crate::hosts::act::stop_limit;
use crate::release::deeds::{Deed, Scene};
use crate::release::record::{Failure, FailureKind};
use crate::release::replica::{Policy, Replica, Up};
use crate::release::stage::{Is, Stage};
use crate::runs::begin::secrets::Secrets;

/// A removal is seen a little after its answer, and a stop whose answer was lost goes on in the daemon.
const SETTLING: Duration = Duration::from_secs(15);
const LOOK: Duration = Duration::from_millis(100);

/// Carries out the actions of a stage; returns the service's containers afterwards.
pub async fn carry_out(
    scene: &Scene<'_>,
    stage: &Stage,
    secrets: &Secrets,
    fence: &Fence,
) -> Result<Vec<Replica>, Failure> {
    let daemon = &fence.daemon;
    let mut trouble: Option<Failure> = None;
    let mut looking = replicas::Looking::new(daemon, &fence.subject);
    let before = looking.replicas().await?;
    for deed in scene.deeds(stage, &before) {
        let allowed = match &deed {
            Deed::Start { id, .. } => whole(daemon, scene, made(scene, &before, id)).await,
            Deed::Create { .. } | Deed::Stop { .. } | Deed::Policy { .. } | Deed::Remove { .. } => Ok(()),
        };
        // Behind everything that is only read: nothing may come between this and the deed.
        fence.stands().await?;
        let done = match allowed {
            Ok(()) => one(fence, scene, &deed, secrets).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = done {
            trouble.get_or_insert(failure);
        }
    }
    let opened = Instant::now();
    loop {
        let now = looking.replicas().await?;
        let left = scene.deeds(stage, &now);
        let going = now.iter().any(|replica| replica.state == Up::Removing);
        let Some(first) = left.first() else {
            if !going || opened.elapsed() > SETTLING {
                let proof = match stage {
                    Stage::Create => whole(daemon, scene, scene.made(&now)).await,
                    stage if stage.is(Is::StartingNew) => {
                        replicas::all_there(daemon, &scene.at(stage), &now, "start")
                    }
                    _ => Ok(()),
                };
                if let Err(failure) = proof {
                    return Err(trouble.unwrap_or(failure));
                }
                return Ok(now);
            }
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let unknown = trouble
            .as_ref()
            .is_some_and(|failure| failure.kind == FailureKind::Unreachable);
        if (unknown || going) && opened.elapsed() < SETTLING {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        return Err(trouble.unwrap_or_else(|| Failure::refused(not_so(daemon, first, &now))));
    }
}

/// The one created by this run, if any.
fn made<'r>(scene: &Scene<'_>, now: &'r [Replica], id: &ContainerId) -> Option<&'r Replica> {
    scene.made(now).find(|replica| replica.id == *id)
}

/// What this run made has everything that its specification says: before that it is not started.
async fn whole<'r>(
    daemon: &Daemon,
    scene: &Scene<'_>,
    made: impl IntoIterator<Item = &'r Replica>,
) -> Result<(), Failure> {
    for replica in made {
        if let Some(fault) = create::lacking(daemon, scene, replica).await? {
            return Err(Failure::refused(fault));
        }
    }
    Ok(())
}

/// It was asked for, agreed to, and is not so.
fn not_so(daemon: &Daemon, deed: &Deed, now: &[Replica]) -> Fault {
    let what = format!("{} on {}", deed.words(), daemon.name());
    let id = match deed {
        Deed::Create { .. } => None,
        Deed::Start { id, .. }
        | Deed::Stop { id, .. }
        | Deed::Policy { id, .. }
        | Deed::Remove { id, .. } => Some(id),
    };
    match now.iter().find(|replica| Some(&replica.id) == id) {
        Some(replica) => match &replica.error {
            Some(error) => Fault::new(what, format!("it is {}: {error}", replica.state)),
            None => Fault::new(what, format!("it is {}", replica.state)),
        },
        None => Fault::new(what, "it is not there"),
    }
}

async fn one(fence: &Fence, scene: &Scene<'_>, deed: &Deed, secrets: &Secrets) -> Result<(), Failure> {
    let daemon = &fence.daemon;
    let docker = change(daemon)?;
    let done = match deed {
        Deed::Create { name } => return create::create(fence, scene, name, secrets).await,
        Deed::Start { id, .. } => {
            docker
                .start_container(id.as_str(), None::<StartContainerOptions>)
                .await
        }
        Deed::Stop { id, grace, .. } => {
            let docker = docker.clone().with_timeout(stop_limit(*grace));
            docker
                .stop_container(id.as_str(), None::<StopContainerOptions>)
                .await
        }
        Deed::Policy { id, policy, .. } => docker.update_container(id.as_str(), update(*policy)).await,
        Deed::Remove { id, .. } => {
            let options = RemoveContainerOptionsBuilder::default()
                .v(false)
                .force(false)
                .build();
            docker.remove_container(id.as_str(), Some(options)).await
        }
    };
    done.map_err(|error| failure(daemon, &deed.words(), &error))
}

fn update(policy: Policy) -> ContainerUpdateBody {
    let (name, times) = match policy {
        Policy::No => (RestartPolicyNameEnum::NO, None),
        Policy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Policy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Policy::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(times))),
    };
    ContainerUpdateBody {
        restart_policy: Some(RestartPolicy {
            name: Some(name),
            maximum_retry_count: times,
        }),
        ..ContainerUpdateBody::default()
    }
}

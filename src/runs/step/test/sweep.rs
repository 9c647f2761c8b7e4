//! Removes what a run's tests left on a host, found by labels: containers with their volumes, then volumes, then networks.
//! Removes nothing without these labels.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder,
};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::domain::container::{Role, label};
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;

/// A removed container holds its volumes and its place in a network for a moment longer.
const AGAIN: Duration = Duration::from_millis(100);
const TRIES: u32 = 50;

/// What is there, by id (volumes: by name), with what people call it.
#[derive(Debug, Default)]
struct Left {
    containers: Vec<(String, String)>,
    volumes: Vec<String>,
    networks: Vec<(String, String)>,
}

impl Left {
    fn names(self) -> Vec<String> {
        let containers = self.containers.into_iter().map(|(_, name)| name);
        let volumes = self.volumes.into_iter().map(|name| format!("volume {name}"));
        let networks = self
            .networks
            .into_iter()
            .map(|(_, name)| format!("network {name}"));
        containers.chain(volumes).chain(networks).collect()
    }
}

/// Removes everything that tests of a run left on the host; gives its names.
pub async fn sweep(daemon: &Daemon, run: &RunId) -> Result<Vec<String>, Fault> {
    clear(daemon, run, None).await
}

/// The names of everything that tests of a run left on the host.
pub async fn left(daemon: &Daemon, run: &RunId) -> Result<Vec<String>, Fault> {
    let fault = |error: Error| {
        Fault::new(
            format!("find what the tests of run {run} left on {}", daemon.name()),
            engine_words(&error),
        )
    };
    let found = find(daemon.read(), run, None).await.map_err(fault)?;
    Ok(found.names())
}

/// The same for one test only, where one is named.
pub(super) async fn clear(daemon: &Daemon, run: &RunId, stage: Option<&str>) -> Result<Vec<String>, Fault> {
    let what = format!("remove what the tests of run {run} left on {}", daemon.name());
    let fault = |error: Error| Fault::new(&what, engine_words(&error));
    let found = find(daemon.read(), run, stage).await.map_err(fault)?;
    if found.containers.is_empty() && found.volumes.is_empty() && found.networks.is_empty() {
        return Ok(Vec::new());
    }
    let docker = daemon.change()?;
    // At once: stopping each takes a moment.
    let removing = found.containers.iter().map(|(id, _)| remove(docker, id));
    for removed in futures_util::future::join_all(removing).await {
        removed.map_err(fault)?;
    }
    for name in &found.volumes {
        patiently(|| {
            let options = RemoveVolumeOptionsBuilder::default().build();
            docker.remove_volume(name, Some(options)).boxed()
        })
        .await
        .map_err(fault)?;
    }
    for (id, _) in &found.networks {
        patiently(|| docker.remove_network(id).boxed())
            .await
            .map_err(fault)?;
    }
    Ok(found.names())
}

async fn find(docker: &Docker, run: &RunId, stage: Option<&str>) -> Result<Left, Error> {
    let mut labels = vec![Role::Test.filter(), format!("{}={run}", label::RUN)];
    labels.extend(stage.map(|stage| format!("{}={stage}", label::STAGE)));
    let filters = HashMap::from([("label".to_owned(), labels)]);
    let containers = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filters)
        .build();
    let volumes = ListVolumesOptionsBuilder::default().filters(&filters).build();
    let networks = ListNetworksOptionsBuilder::default().filters(&filters).build();
    let (containers, volumes, networks) = tokio::try_join!(
        docker.list_containers(Some(containers)),
        docker.list_volumes(Some(volumes)),
        docker.list_networks(Some(networks)),
    )?;
    let named = |names: Option<Vec<String>>, id: &str| {
        let name = names.and_then(|names| names.into_iter().next());
        name.map_or_else(|| id.to_owned(), |name| name.trim_start_matches('/').to_owned())
    };
    Ok(Left {
        containers: containers
            .into_iter()
            .filter_map(|container| {
                let id = container.id?;
                let name = named(container.names, &id);
                Some((id, name))
            })
            .collect(),
        volumes: volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| volume.name)
            .collect(),
        networks: networks
            .into_iter()
            .filter_map(|network| {
                let id = network.id?;
                let name = network.name.unwrap_or_else(|| id.clone());
                Some((id, name))
            })
            .collect(),
    })
}

/// With the volumes it made itself, which nobody else can have.
async fn remove(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = || {
        RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build()
    };
    patiently(|| docker.remove_container(id, Some(options())).boxed()).await
}

/// Gone already is as good; in use, or being removed by somebody else, is asked again.
async fn patiently<'a>(request: impl Fn() -> BoxFuture<'a, Result<(), Error>>) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        match request().await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(()),
            // Docker says 403 of a network and 409 of a volume or a container; Podman says 500 of both.
            Err(Error::DockerResponseServerError {
                status_code: 403 | 409 | 500,
                ..
            }) if tries < TRIES => {
                tries += 1;
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

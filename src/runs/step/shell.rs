//! A container that never runs: it holds files (a lock's lease, a ledger) and reserves a name.
//! Needs no image; if a daemon requires one, an empty image is imported.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, CreateImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::answer::{change, failure, status};
use crate::hosts::Daemon;
use crate::release::record::Failure;

/// What the empty image is called where one is needed.
const EMPTY: &str = "pilothouse-empty";

/// Its id; `None` when the name is taken.
pub(super) async fn create(
    daemon: &Daemon,
    name: &str,
    labels: HashMap<String, String>,
    binds: Vec<String>,
) -> Result<Option<String>, Failure> {
    let what = format!("create {name}");
    let body = |image: &str| ContainerCreateBody {
        image: Some(image.to_owned()),
        // Never run; Docker asks for one.
        cmd: Some(vec!["/pilothouse".to_owned()]),
        labels: Some(labels.clone()),
        host_config: Some(HostConfig {
            binds: Some(binds.clone()),
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let options = || Some(CreateContainerOptionsBuilder::default().name(name).build());
    let mut made = change(daemon)?.create_container(options(), body("")).await;
    if let Err(error) = &made
        && refuses_no_image(error)
    {
        import_empty(daemon).await?;
        made = change(daemon)?.create_container(options(), body(EMPTY)).await;
    }
    match made {
        Ok(created) => Ok(Some(created.id)),
        Err(error) if is_taken(&error) => Ok(None),
        Err(error) => Err(failure(daemon, &what, &error)),
    }
}

/// Docker answers 409, Podman 500 with words.
pub(super) fn is_taken(error: &Error) -> bool {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            *status_code == 409 || (*status_code == 500 && message.contains("already in use"))
        }
        _ => false,
    }
}

fn refuses_no_image(error: &Error) -> bool {
    matches!(status(error), Some(400 | 404 | 500)) && !is_taken(error)
}

async fn import_empty(daemon: &Daemon) -> Result<(), Failure> {
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(EMPTY)
        .build();
    // Two blocks of zeros: a tar archive of nothing.
    let nothing = bollard::body_full(Bytes::from_static(&[0; 1024]));
    let stream = change(daemon)?.create_image(Some(options), Some(nothing), None);
    futures_util::pin_mut!(stream);
    while let Some(piece) = stream.next().await {
        piece.map_err(|error| failure(daemon, "import an empty image", &error))?;
    }
    Ok(())
}

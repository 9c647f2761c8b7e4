//! An image that is on a host for one test only: brought without a name, taken away again.
//! Takes away nothing that has a name or that a container stands on.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};
use tokio_util::sync::CancellationToken;

use super::image::{inspect, lend as bring};
use super::{Progress, test};
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::domain::ids::{ImageId, ServiceName};
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;

/// How often a host is asked to let it go, and how long between.
const TRIES: u32 = 6;
const BETWEEN: Duration = Duration::from_millis(500);

/// Brings it there without a name, if it is not there.
pub async fn lend(
    from: &Daemon,
    to: &Daemon,
    image: &ImageId,
    progress: &mut dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Fault> {
    bring(from, to, image, progress, cancel).await.map(drop)
}

/// Gone, or somebody else's by now: it has a name, or a container stands on it.
pub async fn take_away(daemon: &Daemon, image: &ImageId) -> Result<(), Fault> {
    let fault = |error: Error| {
        Fault::new(
            format!("take the image {} away from {}", image.short(), daemon.name()),
            engine_words(&error),
        )
    };
    let found = inspect(daemon.read(), image.as_str()).await.map_err(fault)?;
    if found.is_none_or(|found| !found.tags.is_empty()) {
        return Ok(());
    }
    // A container that is being removed stands on it a moment longer.
    for attempt in 1..=TRIES {
        let options = RemoveImageOptionsBuilder::default().build();
        let removed = daemon
            .change()?
            .remove_image(image.as_str(), Some(options), None)
            .await;
        match removed {
            Err(Error::DockerResponseServerError { status_code: 409, .. }) if attempt < TRIES => {
                tokio::time::sleep(BETWEEN).await;
            }
            Ok(_)
            | Err(Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => break,
            Err(error) => return Err(fault(error)),
        }
    }
    Ok(())
}

/// Whatever was lent for tests of this service and is left, as after a crash. Not for the host that builds it: what has no
/// name there is its cache.
pub async fn sweep(daemon: &Daemon, service: &ServiceName) -> Result<(), Fault> {
    let options = ListImagesOptionsBuilder::default().all(false).build();
    let images = daemon.read().list_images(Some(options)).await.map_err(|error| {
        Fault::new(
            format!("look for images of tests on {}", daemon.name()),
            engine_words(&error),
        )
    })?;
    let is = |labels: &std::collections::HashMap<String, String>, name: &str, value: &str| {
        labels.get(name).is_some_and(|found| found == value)
    };
    let lent = images.into_iter().filter(|image| {
        is(&image.labels, label::ROLE, test::ROLE) && is(&image.labels, label::SERVICE, service.as_str())
    });
    for image in lent {
        if let Ok(id) = ImageId::parse(&image.id) {
            take_away(daemon, &id).await?;
        }
    }
    Ok(())
}

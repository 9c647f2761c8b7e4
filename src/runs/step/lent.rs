//! Images that were on a host only for one test, as `image::lend` brings them: what is left of them is removed.
//! Removes nothing that has a name or is used by a container.

use bollard::query_parameters::ListImagesOptionsBuilder;

use super::image::{Layers, take_unnamed_away};
use crate::domain::container::{Role, label};
use crate::domain::fault::Fault;
use crate::domain::ids::{ImageId, ServiceName};
use crate::hosts::Daemon;
use crate::hosts::trouble::engine_words;

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
        is(&image.labels, label::ROLE, Role::Test.word())
            && is(&image.labels, label::SERVICE, service.as_str())
    });
    for image in lent {
        if let Ok(id) = ImageId::parse(&image.id) {
            take_unnamed_away(daemon, &id, Layers::Gone).await?;
        }
    }
    Ok(())
}

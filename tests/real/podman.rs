//! Podman's service answers the same requests as Docker's daemon.

use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::host::EngineKind;
use pilothouse::domain::order::Access;
use pilothouse::hosts::connect;

use crate::support::fleet;
use crate::support::podman::Podman;

#[tokio::test]
async fn podman_is_reached_and_known_for_what_it_is() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let host = daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned()));
    let reached = connect(&host, Access::Full).await.unwrap();
    assert_eq!(reached.engine().kind, EngineKind::Podman);
    let images = reached
        .read()
        .list_images(None::<bollard::query_parameters::ListImagesOptions>)
        .await
        .unwrap();
    assert_eq!(images.len(), 1);
}

//! A release of an image that is named by its digest and that no host has: pulled first, or refused with the registry's
//! own words.

use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use pilothouse::config::Registry;
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::reference::Reference;
use pilothouse::domain::run::RunKind;
use pilothouse::hosts;
use pilothouse::runs;
use pilothouse::runs::step::push::{self, Pushing};
use pilothouse::sim::{BOX_IMAGE, Fleet, Scenario};

use super::Sim;
use super::bench::reverted::why;
use super::bench::{Bench, actor};
use super::history::{Silent, built, deployed};
use tokio_util::sync::CancellationToken;

fn with_registry(hosts: usize) -> Sim {
    let sockets = tempfile::tempdir().unwrap();
    let scenario = Scenario {
        registry: Some("registry.sim".to_owned()),
        ..Scenario::empty(hosts)
    };
    let fleet = Fleet::start(scenario, sockets.path()).unwrap();
    let mut bench = Bench::on(fleet.config().hosts, BOX_IMAGE);
    bench.config.registries = vec![Registry {
        address: "registry.sim".to_owned(),
        login: None,
    }];
    Sim {
        bench,
        fleet,
        _sockets: sockets,
    }
}

#[tokio::test]
async fn a_digest_that_cannot_be_had_is_refused_with_what_its_registry_said() {
    let bench = with_registry(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let wanted = format!("registry.sim/box@sha256:{}", "7".repeat(64));
    let deploy = || async {
        let request = RunRequest {
            image: Some(wanted.clone()),
            ..bench.request(RunKind::Deploy)
        };
        let run = runs::launch(&bench.state, &bench.config, &request, actor());
        let run = Box::pin(run).await.unwrap();
        let (_, view) = bench.ended(&run).await;
        bench.assert_as_before(&before, &bench.journal(&run)).await;
        why(&view).to_owned()
    };
    let unknown = deploy().await;
    assert!(
        unknown.contains("it is not on host-1, host-2") && unknown.contains("registry.sim has no such image"),
        "{unknown}"
    );
    for engine in bench.fleet.engines() {
        engine.fail("POST", "/images/create", 1_000, "connection refused");
    }
    let down = deploy().await;
    assert!(
        down.contains(&format!("could not pull {wanted}")) && down.contains("connection refused"),
        "{down}"
    );
}

/// `docker system prune -a --volumes`, an old daemon's, between two releases that were pushed.
#[tokio::test]
async fn with_ledger_container_and_image_gone_the_digest_in_the_labels_of_what_runs_is_enough_to_go_back() {
    let mut bench = with_registry(1);
    bench.config.services[0].image = "registry.sim/shop".to_owned();
    let host = bench.config.hosts[0].clone();
    let daemon = hosts::connect(&host, Access::Full).await.unwrap();
    let docker = daemon.change().unwrap();
    let mut images = Vec::new();
    for version in ["v1", "v2"] {
        let image = built(&daemon, version).await;
        let tag = format!("registry.sim/shop:{version}");
        let pushing = Pushing {
            image: &image,
            references: &[Reference::parse(&tag).unwrap()],
            login: None,
        };
        push::push(&daemon, pushing, &mut Silent, &CancellationToken::new())
            .await
            .unwrap();
        deployed(&bench, &tag).await;
        images.push(image);
    }
    let first = images[0].as_str();
    let seen = bench.look().await;
    let old = seen[&host.name]
        .iter()
        .find(|replica| !replica.state.is_up())
        .unwrap();
    let ledger = bench.subject().ledger_name();
    for container in [old.id.as_str(), &ledger] {
        let force = RemoveContainerOptionsBuilder::default().force(true).build();
        docker.remove_container(container, Some(force)).await.unwrap();
    }
    let force = RemoveVolumeOptionsBuilder::default().force(true).build();
    docker.remove_volume(&ledger, Some(force)).await.unwrap();
    let force = RemoveImageOptionsBuilder::default().force(true).build();
    docker.remove_image(first, Some(force), None).await.unwrap();
    assert!(docker.inspect_image(first).await.is_err());
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    let seen = bench.look().await;
    let up = seen[&host.name]
        .iter()
        .find(|replica| replica.state.is_up())
        .unwrap();
    assert_eq!(up.image, first);
}

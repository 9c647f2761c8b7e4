//! The runner killed with -9 after every record of its journal: recovery ends converged or reverted, compared.

use std::time::Duration;

use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions};

use super::Sim;
use super::bench::matrix;
use pilothouse::config::test::{Need, NeedVolume, Ready, Test};
use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunKind;

#[tokio::test]
async fn a_deploy_killed_after_any_odd_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Deploy, 1, 2).await;
}

#[tokio::test]
async fn a_deploy_killed_after_any_even_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Deploy, 2, 2).await;
}

#[tokio::test]
async fn a_rollback_killed_after_any_odd_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Rollback, 1, 2).await;
}

#[tokio::test]
async fn a_rollback_killed_after_any_even_record_is_recovered() {
    matrix(&Sim::new(2), RunKind::Rollback, 2, 2).await;
}

/// Containers, networks and volumes of every host, as a person lists them.
async fn lists(bench: &Sim) -> Vec<String> {
    let mut found = Vec::new();
    for host in &bench.config.hosts {
        let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let containers = daemon.read().list_containers(Some(options)).await.unwrap();
        found.extend(containers.into_iter().filter_map(|container| container.id));
        let networks = daemon
            .read()
            .list_networks(None::<ListNetworksOptions>)
            .await
            .unwrap();
        found.extend(networks.into_iter().filter_map(|network| network.name));
        let volumes = daemon
            .read()
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .unwrap();
        found.extend(volumes.volumes.into_iter().flatten().map(|volume| volume.name));
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_test_with_needs_killed_after_any_record_leaves_nothing_once_it_is_recovered() {
    let mut bench = Sim::new(2);
    let host = bench.config.hosts[1].name.clone();
    // What they wait for takes long enough for live text in between: further records to die after.
    let script = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
    let need = |name: &str| Need {
        name: name.to_owned(),
        image: "self".to_owned(),
        command: script("sleep 0.7; echo ready; while true; do sleep 1; done"),
        ready: Ready::Log("^ready$".to_owned()),
        within: Duration::from_secs(20),
        volumes: [None, Some("shared".to_owned())]
            .map(|volume| NeedVolume {
                target: format!("/data/{}", volume.as_deref().unwrap_or("own")),
                name: volume,
                read_only: false,
            })
            .into(),
        ..Need::default()
    };
    bench.config.services[0].tests = vec![Test {
        command: script("sleep 0.7; echo tested; test $PILOTHOUSE_ATTEMPT = 2"),
        needs: vec![need("db"), need("cache")],
        retries: 1,
        ..Test::new("api", host)
    }];
    let before = lists(&bench).await;
    let (mut found_something, mut reverted) = (false, 0);
    for after in 1.. {
        let run = bench.launch_dying(after, RunKind::Test).await;
        let (exit, view) = bench.ended(&run).await;
        let context = || format!("killed after record {after}:\n{}", bench.journal(&run));
        if exit == 0 {
            assert!(after > 10, "it ended before it could be killed: {}", context());
            let tested = view
                .stages
                .iter()
                .find_map(|stage| stage.tested.as_ref())
                .unwrap();
            assert!(tested.flaky && tested.attempt == 2, "{tested:?}");
            break;
        }
        assert_eq!(exit, 5, "{}", context());
        found_something |= lists(&bench).await != before;
        let (exit, _) = bench.recover(&run).await;
        assert_eq!(exit, 1, "{}", context());
        reverted += 1;
        assert_eq!(lists(&bench).await, before, "{}", context());
    }
    assert!(found_something && reverted > 8, "{reverted} reverted");
    assert_eq!(lists(&bench).await, before);
}

//! A release of an image that is named by its digest and that no host has: pulled first, or refused with the registry's
//! own words.

use pilothouse::config::Registry;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::run::RunKind;
use pilothouse::runs;
use pilothouse::sim::{BOX_IMAGE, Fleet, Scenario};

use super::Sim;
use super::bench::reverted::why;
use super::bench::{Bench, actor};

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

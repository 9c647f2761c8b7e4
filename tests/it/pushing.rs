//! The simulated registry, used by the steps of real runs.

use std::sync::{Arc, Mutex};

use pilothouse::domain::ids::ImageId;
use pilothouse::domain::order::Access;
use pilothouse::domain::reference::Reference;
use pilothouse::hosts::{self, Daemon};
use pilothouse::runs::step::push::{self, Pushing};
use pilothouse::runs::step::{Progress, pull};
use pilothouse::sim::{BOX_IMAGE, Fleet, Scenario};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Progress for Told {
    fn text(&mut self, _now: &str) {}

    fn line(&mut self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl Told {
    fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }
}

/// Two hosts that reach `registry.sim`, if that is wanted.
fn fleet(registry: Option<&str>) -> (Fleet, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = Scenario {
        registry: registry.map(str::to_owned),
        ..Scenario::empty(2)
    };
    (Fleet::start(scenario, folder.path()).unwrap(), folder)
}

async fn daemon(fleet: &Fleet, number: usize) -> Daemon {
    hosts::connect(&fleet.config().hosts[number], Access::Full)
        .await
        .unwrap()
}

async fn box_image(daemon: &Daemon) -> ImageId {
    let found = daemon.read().inspect_image(BOX_IMAGE).await.unwrap();
    ImageId::parse(&found.id.unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_pushed_has_one_digest_and_is_pulled_by_it_on_another_host() {
    let (fleet, _folder) = fleet(Some("registry.sim"));
    let (one, two) = (daemon(&fleet, 0).await, daemon(&fleet, 1).await);
    let id = box_image(&one).await;
    let never = CancellationToken::new();
    let tags = ["registry.sim/box:v1", "registry.sim/box:latest"].map(|tag| Reference::parse(tag).unwrap());
    let told = Told::default();
    let pushing = Pushing {
        image: &id,
        references: &tags,
        login: None,
    };
    let pinned = push::push(&one, pushing, &mut told.clone(), &never)
        .await
        .unwrap();
    assert!(pinned.digest().is_some());
    for words in [
        "The push refers to repository [registry.sim/box]",
        "Pushed",
        "Layer already exists",
    ] {
        assert!(told.all().contains(words), "{words}\n{}", told.all());
    }
    let pulled = pull::pull(&two, &pinned, None, &mut told.clone(), &never)
        .await
        .unwrap();
    assert_eq!(pulled, id);
    assert_eq!(
        two.asked_of_registry(&tags[0], None).await.unwrap(),
        *pinned.digest().unwrap()
    );
    let missing = Reference::parse("registry.sim/box:v9").unwrap();
    let fault = pull::pull(&two, &missing, None, &mut told.clone(), &never)
        .await
        .unwrap_err();
    assert!(fault.why.contains("registry.sim has no such image"), "{fault:?}");
}

#[tokio::test]
async fn a_host_without_a_registry_says_that_it_reaches_none() {
    let (fleet, _folder) = fleet(None);
    let one = daemon(&fleet, 0).await;
    let id = box_image(&one).await;
    let tags = [Reference::parse("registry.sim/box:v1").unwrap()];
    let pushing = Pushing {
        image: &id,
        references: &tags,
        login: None,
    };
    let never = CancellationToken::new();
    let fault = push::push(&one, pushing, &mut Told::default(), &never)
        .await
        .unwrap_err();
    assert!(fault.why.contains("no such host"), "{fault:?}");
}

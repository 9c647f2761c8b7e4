//! What is kept of earlier releases (labels, ledgers, images), and what is removed when they are no longer retained.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, RemoveContainerOptionsBuilder,
    RemoveVolumeOptionsBuilder, TagImageOptionsBuilder,
};
use pilothouse::config::service::Build;
use pilothouse::domain::ids::{ImageId, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::RunRequest;
use pilothouse::domain::run::{RunKind, RunView};
use pilothouse::hosts::{self, Daemon};
use pilothouse::release::facts::LedgerSeen;
use pilothouse::runs;
use pilothouse::runs::step::{Progress, build, image, ledger};
use pilothouse::sim::BOX_IMAGE;
use tokio_util::sync::CancellationToken;

use super::Sim;
use super::bench::{Bench, actor};

pub(super) struct Silent;

impl Progress for Silent {
    fn text(&mut self, _now: &str) {}
    fn line(&mut self, _line: &str) {}
}

/// One host with a service of several images, two releases of which are kept.
async fn ground() -> (Sim, Daemon) {
    let mut bench = Sim::new(1);
    let service = &mut bench.config.services[0];
    service.image = "shop".to_owned();
    service.deploy.as_mut().unwrap().keep = 2;
    let daemon = hosts::connect(&bench.config.hosts[0], Access::Full)
        .await
        .unwrap();
    (bench, daemon)
}

pub(super) async fn built(daemon: &Daemon, version: &str) -> ImageId {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("Dockerfile"),
        format!("FROM {BOX_IMAGE}\nRUN echo {version}\n"),
    )
    .unwrap();
    let plan = Build::new(
        daemon.name().clone(),
        folder.path().to_owned(),
        Duration::from_secs(30),
    );
    let labels = BTreeMap::from([("pilothouse.git".to_owned(), format!("revision-{version}"))]);
    let tags = [format!("shop:{version}")];
    let order = build::Order {
        build: &plan,
        tags: &tags,
        labels: &labels,
        secrets: &BTreeMap::new(),
        logins: &BTreeMap::new(),
    };
    build::build(daemon, order, &mut Silent, &CancellationToken::new())
        .await
        .unwrap()
}

pub(super) async fn deployed(bench: &Sim, image: &str) -> RunView {
    let mut request = bench.request(RunKind::Deploy);
    request.image = Some(image.to_owned());
    let run = runs::launch(&bench.state, &bench.config, &request, actor())
        .await
        .unwrap();
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&run));
    view
}

#[tokio::test]
async fn images_of_releases_that_are_kept_no_more_go_unless_somebody_else_needs_them() {
    let (bench, daemon) = ground().await;
    let docker = daemon.change().unwrap();
    let versions = ["v1", "v2", "v3", "v4", "v5", "v6"];
    let mut ids = BTreeMap::new();
    for version in versions {
        ids.insert(version, built(&daemon, version).await);
    }
    let never_deployed = built(&daemon, "other").await;
    // A person gave one another name, and another one's container was never started.
    let golden = TagImageOptionsBuilder::default()
        .repo("golden")
        .tag("one")
        .build();
    docker.tag_image("shop:v1", Some(golden)).await.unwrap();
    let name = CreateContainerOptionsBuilder::default().name("somebodys").build();
    let body = ContainerCreateBody {
        image: Some("shop:v2".to_owned()),
        ..ContainerCreateBody::default()
    };
    docker.create_container(Some(name), body).await.unwrap();
    for version in versions {
        deployed(&bench, &format!("shop:{version}")).await;
    }
    let mut left = Vec::new();
    for version in versions {
        if image::present(&daemon, &ids[version]).await.unwrap() {
            left.push(version);
        }
    }
    assert_eq!(left, ["v1", "v2", "v5", "v6"]);
    assert!(image::present(&daemon, &never_deployed).await.unwrap());
    let forced = bench.fleet.engine("host-1").unwrap().requests();
    assert!(
        !forced.iter().any(|request| request.contains("/prune")),
        "{forced:?}"
    );
}

#[tokio::test]
async fn with_ledger_and_old_containers_gone_the_labels_of_what_runs_are_enough_to_go_back() {
    let (bench, daemon) = ground().await;
    let docker = daemon.change().unwrap();
    let first = built(&daemon, "v1").await;
    built(&daemon, "v2").await;
    deployed(&bench, "shop:v1").await;
    deployed(&bench, "shop:v2").await;
    let host = &bench.config.hosts[0].name;
    let labels = |replica: &pilothouse::release::replica::Replica| {
        let id = replica.id.clone();
        let docker = docker.clone();
        async move {
            let seen = docker
                .inspect_container(id.as_str(), None::<InspectContainerOptions>)
                .await
                .unwrap();
            seen.config.unwrap().labels.unwrap()
        }
    };
    let seen = bench.look().await;
    let up = seen[host].iter().find(|replica| replica.state.is_up()).unwrap();
    let said = labels(up).await;
    assert_eq!(
        said.get("pilothouse.git").map(String::as_str),
        Some("revision-v2")
    );
    assert!(said["pilothouse.kept"].contains(first.as_str()), "{said:?}");
    // `docker system prune --volumes`, an old daemon's.
    let old = seen[host].iter().find(|replica| !replica.state.is_up()).unwrap();
    let force = || Some(RemoveContainerOptionsBuilder::default().force(true).build());
    docker.remove_container(old.id.as_str(), force()).await.unwrap();
    let name = bench.subject().ledger_name();
    docker.remove_container(&name, force()).await.unwrap();
    let options = RemoveVolumeOptionsBuilder::default().force(true).build();
    docker.remove_volume(&name, Some(options)).await.unwrap();
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    let seen = bench.look().await;
    let up = seen[host].iter().find(|replica| replica.state.is_up()).unwrap();
    assert_eq!(up.image, first.as_str());
}

#[tokio::test]
async fn who_took_a_lock_away_and_why_is_in_the_ledgers() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    let fresh = bench.unlock("I say so", Access::Full).await;
    assert!(fresh.is_err(), "not while it is renewed");
    bench.bastion_gone(&run).await;
    let removed = bench
        .unlock("its bastion burnt down", Access::Full)
        .await
        .unwrap();
    assert_eq!(removed.removed.len(), 2);
    assert_eq!(bench.locks().await, 0);
    for host in &bench.config.hosts {
        let daemon = hosts::connect(host, Access::ReadOnly).await.unwrap();
        let LedgerSeen::Read(ledger) = ledger::read(&daemon, &bench.subject()).await.unwrap() else {
            panic!("{} has a ledger", host.name)
        };
        let [unlocked] = ledger.unlocked.as_slice() else {
            panic!("{:?}", ledger.unlocked)
        };
        assert_eq!(unlocked.why, "its bastion burnt down");
        assert_eq!(
            (unlocked.by.as_str(), unlocked.unlocked.as_str()),
            ("ops-a", run.as_str())
        );
    }
}

#[tokio::test]
async fn the_releases_are_listed_from_the_hosts_alone_and_a_named_one_is_gone_back_to() {
    let bench = Sim::new(2);
    for _ in 0..3 {
        bench.good(RunKind::Deploy).await;
    }
    let other = bench.another();
    let asked = other.request(RunKind::Rollback);
    let listed = async |other: &Bench| {
        let plan = Box::pin(runs::plan(&other.state, &other.config, &asked, Access::Full))
            .await
            .unwrap();
        plan.releases
    };
    let seen = listed(&other).await;
    let numbers: Vec<u32> = seen.iter().map(|one| one.release.0).collect();
    assert_eq!(numbers, [3, 2, 1]);
    let [now, usual, first] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert!(
        now.runs && now.refused.as_deref() == Some("r3 is the release that runs now"),
        "{now:?}"
    );
    assert!(
        usual.default && usual.kept.len() == 2 && usual.by.as_deref() == Some("ops-a"),
        "{usual:?}"
    );
    assert!(
        !first.default && first.refused.is_none() && first.hosts.len() == 2,
        "{first:?}"
    );
    let back = RunRequest {
        to: Some(ReleaseNumber(1)),
        ..asked.clone()
    };
    let run = Box::pin(runs::launch(&other.state, &other.config, &back, actor()))
        .await
        .unwrap();
    let (exit, view) = other.ended(&run).await;
    assert_eq!((exit, view.to), (0, Some(ReleaseNumber(1))), "{:?}", view.status);
    // From there the default rollback is none: nothing was there before it.
    let seen = listed(&other).await;
    assert!(seen.iter().all(|one| !one.default), "{seen:?}");
    assert!(
        seen.iter().any(|one| one.release.0 == 3 && one.refused.is_none()),
        "{seen:?}"
    );
}

#[tokio::test]
async fn hosts_and_replicas_that_left_the_configuration_and_another_bastions_are_said_in_the_plan() {
    let mut bench = Sim::new(2);
    bench.config.services[0].deploy.as_mut().unwrap().replicas = 2;
    bench.good(RunKind::Deploy).await;
    let gone = bench.config.hosts[1].name.clone();
    let mut other = bench.another();
    let deploy = other.config.services[0].deploy.as_mut().unwrap();
    deploy.replicas = 1;
    deploy.hosts.truncate(1);
    deploy.spec.env.insert("SIZE".to_owned(), "3".to_owned());
    let asked = other.request(RunKind::Deploy);
    let plan = Box::pin(runs::plan(&other.state, &other.config, &asked, Access::Full))
        .await
        .unwrap();
    let warned = plan.warnings.join("\n");
    assert!(
        warned.contains(&format!("no longer among its hosts: {gone} (had r1)")),
        "{warned}"
    );
    assert!(
        warned.contains("r1 was deployed by ops-a on bastion-1 with a different configuration"),
        "{warned}"
    );
    let changes = plan.changes.join("\n");
    let host = &bench.config.hosts[0].name;
    for wanted in [format!("replicas on {host} 2 → 1"), "+ SIZE".to_owned()] {
        assert!(changes.contains(&wanted), "{changes}");
    }
    // What stays there is told by every control room from the hosts alone.
    assert_eq!(other.good(RunKind::Deploy).await, ReleaseNumber(2));
    let standing = super::bench::adoption::judged(&other).await.standing;
    assert_eq!(standing.word(), "DRIFT", "{standing}");
    let said = format!("{gone} runs r1 and is not in the configuration");
    assert!(standing.to_string().contains(&said), "{standing}");
}

#[tokio::test]
async fn what_a_colleague_committed_after_the_plan_was_confirmed_is_neither_rolled_back_nor_deployed_over() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    let mut asked = Vec::new();
    for kind in [RunKind::Rollback, RunKind::Deploy] {
        let request = bench.request(kind);
        let plan = Box::pin(runs::plan(&bench.state, &bench.config, &request, Access::Full));
        asked.push(plan.await.unwrap().request);
    }
    bench.good(RunKind::Deploy).await;
    for request in asked {
        let launched = Box::pin(runs::launch(&bench.state, &bench.config, &request, actor()));
        let (exit, view) = bench.ended(&launched.await.unwrap()).await;
        assert_eq!(exit, 1, "{:?}", view.status);
        let why = super::bench::reverted::why(&view);
        assert!(
            why.contains("shop now runs r3; the plan was made for r2"),
            "{:?}: {why}",
            request.kind
        );
    }
    bench.assert_on(ReleaseNumber(3), "nothing was changed").await;
}

#[tokio::test]
async fn a_host_that_burnt_down_keeps_no_lock_on_the_others() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    bench.bastion_gone(&run).await;
    let before = bench.config.hosts.clone();
    let gone = pilothouse::domain::endpoint::Endpoint::Unix("/nowhere/docker.sock".into());
    bench.config.hosts[0].endpoint = gone;
    let done = bench.unlock("it burnt down", Access::Full).await;
    let done = done.unwrap();
    assert_eq!(done.removed.len(), 1, "{done:?}");
    assert_eq!(done.unreached.len(), 1, "{done:?}");
    assert_eq!(done.removed[0].host, before[1].name);
    let refused = bench.unlock("it burnt down", Access::ReadOnly).await;
    assert!(refused.unwrap_err().fault.why.contains("--read-only"));
}

#[tokio::test]
async fn a_lock_that_cannot_be_removed_hides_none_that_was() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    bench.age_locks().await;
    let engine = bench.fleet.engine("host-2").unwrap();
    engine.fail("DELETE", "/containers/", u32::MAX, "no");
    let done = bench.unlock("a test", Access::Full).await.unwrap();
    assert_eq!((done.removed.len(), done.failed.len()), (1, 1), "{done:?}");
    assert_eq!(done.removed[0].host.as_str(), "host-1");
    assert!(done.failed[0].to_string().contains("host-2"), "{done:?}");
}

#[tokio::test]
async fn a_plan_makes_nothing_but_the_container_of_a_pruned_ledger_and_says_so() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    bench.good(RunKind::Deploy).await;
    let pruned = &bench.config.hosts[0];
    let daemon = hosts::connect(pruned, Access::Full).await.unwrap();
    let force = RemoveContainerOptionsBuilder::default().force(true).build();
    let docker = daemon.change().unwrap();
    let ledger = bench.subject().ledger_name();
    docker.remove_container(&ledger, Some(force)).await.unwrap();
    let plan = async || {
        let request = bench.request(RunKind::Rollback);
        let plan = Box::pin(runs::plan(&bench.state, &bench.config, &request, Access::Full)).await;
        let plan = plan.unwrap();
        assert_eq!((&plan.refusals[..], plan.to), (&[][..], Some(ReleaseNumber(1))));
        plan.warnings.join("; ")
    };
    let said = format!("the ledger's container on {} had been pruned", pruned.name);
    let first = plan().await;
    assert!(first.contains(&said), "{first}");
    let second = plan().await;
    assert!(!second.contains("pruned"), "{second}");
}

#[tokio::test]
async fn a_tag_that_names_another_image_since_the_plan_is_refused_by_a_deploy_and_by_a_pipeline() {
    let (mut bench, daemon) = ground().await;
    bench.config.services[0].pipeline = vec![vec![pilothouse::config::service::Slot::Deploy]];
    for version in ["v1", "v2"] {
        built(&daemon, version).await;
    }
    let mut asked = Vec::new();
    for kind in [RunKind::Deploy, RunKind::Pipeline] {
        let request = RunRequest {
            image: Some("shop:v1".to_owned()),
            ..bench.request(kind)
        };
        let plan = Box::pin(runs::plan(&bench.state, &bench.config, &request, Access::Full)).await;
        let plan = plan.unwrap();
        assert!(plan.refusals.is_empty(), "{:?}", plan.refusals);
        asked.push(plan.request);
    }
    let moved = TagImageOptionsBuilder::default().repo("shop").tag("v1").build();
    let docker = daemon.change().unwrap();
    docker.tag_image("shop:v2", Some(moved)).await.unwrap();
    for request in asked {
        let launched = Box::pin(runs::launch(&bench.state, &bench.config, &request, actor()));
        let (exit, view) = bench.ended(&launched.await.unwrap()).await;
        assert_eq!(exit, 1, "{:?}", view.status);
        let why = super::bench::reverted::why(&view);
        assert!(
            why.contains("shop:v1 is") && why.contains("the plan was made for"),
            "{why}"
        );
    }
}

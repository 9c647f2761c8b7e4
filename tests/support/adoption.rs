//! A service that was started by hand is adopted, deployed over and rolled back to, on any kind of daemon.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListVolumesOptions, PruneContainersOptions, PruneImagesOptionsBuilder,
};
use pilothouse::domain::container::Group;
use pilothouse::domain::ids::{HostName, ReleaseNumber, ServiceName};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::{Found, PlanView, RunRequest};
use pilothouse::domain::run::{RunKind, RunView};
use pilothouse::hosts::Daemon;
use pilothouse::release::standing::{self, HostSeen, Judged};
use pilothouse::runs;

use super::reverted::why;
use super::{Bench, actor};

/// What was started by hand is called so on every host.
pub(crate) const BY_HAND: &str = "shop-by-hand";

/// As a person with `docker run` would have it.
pub(crate) fn by_hand(image: &str) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(
            ["sh", "-c", "trap 'exit 0' TERM; sleep infinity"]
                .map(str::to_owned)
                .into(),
        ),
        env: Some(vec!["COLOUR=green".to_owned(), "DB_PASSWORD=hunter2".to_owned()]),
        stop_timeout: Some(1),
        host_config: Some(HostConfig {
            restart_policy: Some(RestartPolicy {
                name: Some(RestartPolicyNameEnum::ALWAYS),
                maximum_retry_count: None,
            }),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

pub(crate) async fn daemon(bench: &Bench, host: usize) -> Daemon {
    pilothouse::hosts::connect(&bench.config.hosts[host], Access::Full)
        .await
        .unwrap()
}

pub(crate) async fn start(daemon: &Daemon, name: &str, body: ContainerCreateBody) -> String {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let docker = daemon.change().unwrap();
    let made = docker.create_container(Some(options), body).await.unwrap();
    docker.start_container(&made.id, None).await.unwrap();
    made.id
}

/// One on every host.
pub(crate) async fn start_everywhere(bench: &Bench) {
    for host in 0..bench.config.hosts.len() {
        start(&daemon(bench, host).await, BY_HAND, by_hand(&bench.image)).await;
    }
}

pub(crate) fn named(name: &str) -> Found {
    Found::Container {
        host: None,
        name: name.to_owned(),
    }
}

pub(crate) fn request(bench: &Bench, found: Vec<Found>) -> RunRequest {
    RunRequest {
        found,
        image: None,
        ..bench.request(RunKind::Adopt)
    }
}

pub(crate) async fn adopt(bench: &Bench, found: Vec<Found>) -> (u8, RunView) {
    let run = Box::pin(runs::launch(
        &bench.state,
        &bench.config,
        &request(bench, found),
        actor(),
    ))
    .await
    .unwrap();
    bench.ended(&run).await
}

pub(crate) async fn planned(bench: &Bench, request: &RunRequest) -> PlanView {
    Box::pin(runs::plan(&bench.state, &bench.config, request, Access::Full))
        .await
        .unwrap()
}

/// Everything that a person sees of them who inspects them, on every host.
pub(crate) async fn inspected(bench: &Bench) -> Vec<String> {
    let mut seen = Vec::new();
    for host in 0..bench.config.hosts.len() {
        let one = daemon(bench, host).await;
        let one = one.read().inspect_container(BY_HAND, None).await.unwrap();
        seen.push(serde_json::to_value(&one).unwrap().to_string());
    }
    seen
}

/// What is left of an adoption on any host.
pub(crate) async fn remembered(bench: &Bench) -> usize {
    let mut count = 0;
    for host in 0..bench.config.hosts.len() {
        let daemon = daemon(bench, host).await;
        let volumes = daemon
            .read()
            .list_volumes(None::<ListVolumesOptions>)
            .await
            .unwrap();
        let names = volumes
            .volumes
            .unwrap_or_default()
            .into_iter()
            .map(|volume| volume.name);
        count += names
            .filter(|name| name.starts_with("pilothouse.adopted."))
            .count();
    }
    count
}

/// As every control room judges it, from lists alone.
pub(crate) async fn judged(bench: &Bench) -> Judged {
    let mut seen = Vec::new();
    for host in &bench.config.hosts {
        let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
        seen.push((host.name.clone(), daemon.containers().await.unwrap()));
    }
    let seen: Vec<HostSeen<'_>> = seen
        .iter()
        .map(|(host, (containers, adopted))| HostSeen {
            host,
            reached: true,
            containers: containers.iter().collect(),
            adopted,
        })
        .collect();
    let group = Group::Service {
        name: ServiceName::parse("shop").unwrap(),
        environment: bench.environment.as_deref().map(Into::into),
    };
    standing::judge_all(&bench.config.services, &seen)
        .remove(&group)
        .unwrap()
}

/// `docker system prune -af` on every host.
pub(crate) async fn prune_everything(bench: &Bench) {
    for host in 0..bench.config.hosts.len() {
        let daemon = daemon(bench, host).await;
        let docker = daemon.change().unwrap();
        docker
            .prune_containers(None::<PruneContainersOptions>)
            .await
            .unwrap();
        let all = HashMap::from([("dangling", vec!["false"])]);
        let options = PruneImagesOptionsBuilder::default().filters(&all).build();
        docker.prune_images(Some(options)).await.unwrap();
    }
}

/// Adopted untouched; deployed over, a failure takes it back; gone back to, the same containers; from another bastion too.
pub(crate) async fn story(bench: &mut Bench) {
    use pilothouse::release::standing::Standing;
    let r = ReleaseNumber;
    start_everywhere(bench).await;
    let hosts = bench.config.hosts.len();
    assert_eq!(judged(bench).await.standing.word(), "UNRELEASED");
    let refused = planned(bench, &bench.request(RunKind::Deploy)).await;
    let hint = refused.refusals[0].hint.clone().unwrap();
    assert!(
        hint.contains("pilothouse adopt shop --from shop-by-hand"),
        "{hint}"
    );

    let before = inspected(bench).await;
    let plan = planned(bench, &request(bench, vec![named(BY_HAND)])).await;
    assert_eq!(plan.refusals, []);
    let told = format!("{plan:?}");
    assert!(told.contains("COLOUR") && told.contains("DB_PASSWORD"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("green"), "{told}");
    assert_eq!(remembered(bench).await, 0, "a plan changes nothing");

    let (exit, view) = adopt(bench, vec![named(BY_HAND)]).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&view.id));
    assert_eq!(view.to, Some(r(0)));
    assert!(!bench.journal(&view.id).contains("hunter2"));
    assert_eq!(inspected(bench).await, before, "not touched");
    bench.assert_on(r(0), "").await;
    let adopted = bench.look().await;
    assert_eq!(
        judged(bench).await.standing,
        Standing::Converged { release: r(0) }
    );
    let (exit, view) = adopt(bench, vec![named(BY_HAND)]).await;
    assert_eq!(exit, 1);
    assert!(
        why(&view).contains("already belongs to a release: r0 of shop"),
        "{}",
        why(&view)
    );

    // A deploy that fails brings the same containers back, with the policy that they had.
    let good = bench.config.clone();
    bench.config.services[0].deploy.as_mut().unwrap().spec.command =
        ["sh", "-c", "exit 3"].map(str::to_owned).into();
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 1, "{:?}", view.status);
    bench.assert_as_before(&adopted, &bench.journal(&view.id)).await;
    bench.assert_on(r(0), "").await;
    bench.config = good;

    // The number of the one that failed is not given out again.
    assert_eq!(bench.good(RunKind::Deploy).await, r(2));
    bench.assert_on(r(2), "").await;
    assert_eq!(
        judged(bench).await.standing,
        Standing::Converged { release: r(2) }
    );
    let other = bench.another();
    assert_eq!(other.good(RunKind::Rollback).await, r(0));
    other.assert_on(r(0), "").await;
    let now = other.look().await;
    for (host, replicas) in &adopted {
        let woken = now[host]
            .iter()
            .find(|replica| replica.id == replicas[0].id)
            .unwrap();
        assert!(woken.state.is_up(), "the same container: {woken:?}");
    }

    // What was stopped goes with a prune, and with it what the ledger holds no word of.
    prune_everything(bench).await;
    assert_eq!(
        judged(bench).await.standing,
        Standing::Converged { release: r(0) }
    );
    assert_eq!(remembered(bench).await, hosts);
    let other = bench.another();
    let release = other.good(RunKind::Deploy).await;
    assert!(release > r(0));
    prune_everything(bench).await;
    let back = planned(bench, &bench.request(RunKind::Rollback)).await;
    let said = format!("{:?}", back.refusals);
    assert!(
        said.contains("it was adopted, and its ledger does not contain the value of DB_PASSWORD"),
        "{said}"
    );
}

/// Recreated by hand afterwards, it is said, and adopting what runs now is possible again.
pub(crate) async fn recreated(bench: &Bench) {
    start_everywhere(bench).await;
    let (exit, view) = adopt(bench, vec![named(BY_HAND)]).await;
    assert_eq!(exit, 0, "{:?}", view.status);
    let first = daemon(bench, 0).await;
    let options = bollard::query_parameters::RemoveContainerOptionsBuilder::default()
        .force(true)
        .build();
    first
        .change()
        .unwrap()
        .remove_container(BY_HAND, Some(options))
        .await
        .unwrap();
    let name: HostName = bench.config.hosts[0].name.clone();
    let standing = judged(bench).await.standing;
    assert_eq!(standing.word(), "DRIFT");
    assert!(
        standing
            .to_string()
            .contains(&format!("{name}: shop-by-hand, adopted as r0, is gone")),
        "{standing}"
    );
    start(&first, BY_HAND, by_hand(&bench.image)).await;
    let standing = judged(bench).await.standing;
    assert_eq!(standing.word(), "DRIFT");
    assert!(
        standing.to_string().contains(&format!(
            "{name}: shop-by-hand runs its image without belonging to a release"
        )),
        "{standing}"
    );
}

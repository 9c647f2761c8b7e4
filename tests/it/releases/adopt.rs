//! Adoption on simulated daemons: no container is changed, whatever is killed, and refusals are exact.

use bollard::models::{RestartPolicy, RestartPolicyNameEnum};
use pilothouse::config::service::Publish;
use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::plan::Found;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus};
use pilothouse::runs;
use pilothouse::sim::BOX_IMAGE;

use super::Sim;
use super::bench::adoption::{self, BY_HAND, adopt, by_hand, daemon, named, start, start_everywhere};
use super::bench::reverted::why;

#[tokio::test]
async fn what_runs_is_adopted_untouched_deployed_over_and_gone_back_to() {
    Box::pin(adoption::story(&mut Sim::new(2))).await;
}

#[tokio::test]
async fn what_was_adopted_and_made_anew_by_hand_is_drift() {
    Box::pin(adoption::recreated(&Sim::new(2))).await;
}

#[tokio::test]
async fn killed_after_any_record_an_adoption_is_there_everywhere_or_nowhere() {
    let bench = Sim::new(2);
    start_everywhere(&bench).await;
    let before = adoption::inspected(&bench).await;
    let request = adoption::request(&bench, vec![named(BY_HAND)]);
    let (mut undone, mut finished) = (0, 0);
    for after in 1.. {
        let run = bench.launch_dying_of(after, &request).await;
        let (exit, _) = bench.ended(&run).await;
        let context = format!("killed after record {after}:\n{}", bench.journal(&run));
        if exit == 0 {
            assert!(after > 15, "it ended before it could be killed: {context}");
            break;
        }
        let (exit, view) = bench.recover(&run).await;
        assert_eq!(adoption::inspected(&bench).await, before, "{context}");
        assert_eq!(bench.locks().await, 0, "{context}");
        match (&view.status, exit) {
            (
                RunStatus::Closed {
                    outcome: Outcome::Reverted { .. },
                    ..
                },
                1,
            ) => {
                undone += 1;
                assert_eq!(adoption::remembered(&bench).await, 0, "{context}");
                assert_eq!(
                    adoption::judged(&bench).await.standing.word(),
                    "UNRELEASED",
                    "{context}"
                );
            }
            (
                RunStatus::Closed {
                    outcome: Outcome::Converged,
                    ..
                },
                0,
            ) => {
                finished += 1;
                bench.assert_on(ReleaseNumber(0), &context).await;
                assert_eq!(
                    bench.another().good(RunKind::Deploy).await,
                    ReleaseNumber(1),
                    "{context}"
                );
                break;
            }
            other => panic!("{other:?}\n{context}"),
        }
    }
    assert!(undone > 0 && finished > 0, "{undone} undone, {finished} finished");
}

#[tokio::test]
async fn what_cannot_be_adopted_is_refused_with_its_reason_and_nothing_is_remembered() {
    let bench = Sim::new(2);
    let (one, two) = (daemon(&bench, 0).await, daemon(&bench, 1).await);
    for host in [&one, &two] {
        start(host, "good", by_hand(BOX_IMAGE)).await;
        start(host, "paused", by_hand(BOX_IMAGE)).await;
        host.change().unwrap().pause_container("paused").await.unwrap();
        start(host, "stopped", by_hand(BOX_IMAGE)).await;
        host.change()
            .unwrap()
            .stop_container("stopped", None)
            .await
            .unwrap();
    }
    let with = |change: &dyn Fn(&mut bollard::models::HostConfig)| {
        let mut body = by_hand(BOX_IMAGE);
        change(body.host_config.as_mut().unwrap());
        body
    };
    let unless = with(&|host| {
        host.restart_policy = Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        });
    });
    let away = with(&|host| {
        host.restart_policy = None;
        host.auto_remove = Some(true);
    });
    let never = with(&|host| host.restart_policy = None);
    for host in [&one, &two] {
        start(host, "unless", unless.clone()).await;
        start(host, "away", away.clone()).await;
    }
    start(&one, "only-here", by_hand(BOX_IMAGE)).await;
    start(&two, "never", never).await;
    let at = |host: &str, name: &str| Found::Container {
        host: Some(HostName::parse(host).unwrap()),
        name: name.to_owned(),
    };
    let hosts: Vec<&str> = bench.config.hosts.iter().map(|host| host.name.as_str()).collect();
    let cases = [
        (vec![named("nothing")], "no container is called nothing"),
        (vec![named("only-here")], "no container is called only-here"),
        (vec![named("stopped")], "stopped does not run: it is exited"),
        (vec![named("paused")], "paused is paused"),
        (vec![named("unless")], "unless has restart policy unless-stopped"),
        (vec![named("away")], "away was started with --rm"),
        (vec![at(hosts[0], "good")], "no container was given for it"),
        (
            vec![at(hosts[0], "good"), at(hosts[1], "never")],
            "never on host-2 has",
        ),
    ];
    for (found, words) in cases {
        let (exit, view) = adopt(&bench, found).await;
        assert_eq!(exit, 1, "{:?}", view.status);
        // Which of two is named first is a matter of their daemons' ids.
        let why = why(&view).replace("never on host-2 has restart policy no", "never on host-2 has no");
        assert!(why.contains(words), "{why}");
        assert_eq!(adoption::remembered(&bench).await, 0);
        assert_eq!(bench.locks().await, 0);
    }
    let mut other = bench.another();
    other.config.services[0].image = "registry/elsewhere".to_owned();
    let (exit, view) = adopt(&other, vec![named("good")]).await;
    assert_eq!(exit, 1);
    assert!(
        why(&view).contains(&format!("good runs another image: {BOX_IMAGE}")),
        "{}",
        why(&view)
    );
}

#[tokio::test]
async fn a_compose_file_names_the_containers_by_composes_labels() {
    let bench = Sim::new(2);
    let labelled = |project: &str| {
        let mut body = by_hand(BOX_IMAGE);
        body.labels = Some(
            [
                ("com.docker.compose.project", project),
                ("com.docker.compose.service", "shop"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        );
        body
    };
    for host in 0..2 {
        start(&daemon(&bench, host).await, "web_shop_1", labelled("web")).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("compose.yaml");
    std::fs::write(&file, "services:\n  shop:\n    image: box\n").unwrap();
    start(&daemon(&bench, 1).await, "blue_shop_1", labelled("blue")).await;
    let (exit, view) = adopt(&bench, vec![Found::Compose(file.clone())]).await;
    assert_eq!(exit, 1);
    assert!(
        why(&view).contains("shop runs there in several projects: blue, web"),
        "{}",
        why(&view)
    );
    std::fs::write(&file, "name: web\nservices:\n  shop:\n    image: box\n").unwrap();
    let (exit, view) = adopt(&bench, vec![Found::Compose(file)]).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&view.id));
    let seen = bench.look().await;
    assert!(
        seen.values()
            .all(|replicas| replicas.len() == 1 && replicas[0].name == "web_shop_1"),
        "{seen:#?}"
    );
}

#[tokio::test]
async fn a_host_that_forgot_what_was_adopted_is_told_again_by_its_ledger() {
    let bench = Sim::new(2);
    start_everywhere(&bench).await;
    assert_eq!(adopt(&bench, vec![named(BY_HAND)]).await.0, 0);
    for host in 0..2 {
        let daemon = daemon(&bench, host).await;
        let docker = daemon.change().unwrap();
        docker
            .remove_volume(
                "pilothouse.adopted.shop.r0",
                None::<bollard::query_parameters::RemoveVolumeOptions>,
            )
            .await
            .unwrap();
    }
    let before = bench.look().await;
    assert!(before.values().all(Vec::is_empty), "{before:#?}");
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1));
    bench.assert_on(ReleaseNumber(1), "").await;
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(0));
    bench.assert_on(ReleaseNumber(0), "").await;
}

#[tokio::test]
async fn what_the_next_deploy_would_change_is_named_and_adopting_twice_is_not_possible() {
    let mut bench = Sim::new(1);
    start_everywhere(&bench).await;
    let spec = &mut bench.config.services[0].deploy.as_mut().unwrap().spec;
    spec.env.insert("COLOUR".to_owned(), "blue".to_owned());
    spec.env.insert("SIZE".to_owned(), "3".to_owned());
    spec.ports.push(Publish {
        address: None,
        outside: 8080,
        inside: 80,
        protocol: "tcp".to_owned(),
    });
    let request = adoption::request(&bench, vec![named(BY_HAND)]);
    let plan = adoption::planned(&bench, &request).await;
    let changes = plan.changes.join("\n");
    for wanted in ["COLOUR differs", "+ SIZE", "ports none → 8080:80/tcp"] {
        assert!(changes.contains(wanted), "{changes}");
    }
    let left = plan.warnings.join("\n");
    assert!(left.contains("the value of DB_PASSWORD"), "{left}");
    let list = runs::list(&bench.state);
    assert!(list.is_empty(), "{list:?}");
}

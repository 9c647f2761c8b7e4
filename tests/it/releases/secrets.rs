//! Secrets as files: written before the start, unchanged in retained containers, and stored nowhere else.

use std::path::PathBuf;
use std::time::Duration;

use pilothouse::config::service::{Secret, SecretFile};
use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunKind;
use pilothouse::runs;
use rustix::process::{Signal, kill_process};

use super::Sim;
use super::bench::crash::{Points, crash_matrix};
use super::bench::reverted::assert_unknown;
use super::bench::secret_files;

const FIRST: &str = "-----BEGIN KEY-----\nvery-secret-one\n-----END KEY-----\n";
const SECOND: &str = "-----BEGIN KEY-----\nvery-secret-two\n-----END KEY-----\n";

/// A bench whose service finds a key in a file; where its value is taken from.
fn keyed(hosts: usize) -> (Sim, PathBuf) {
    let mut bench = Sim::new(hosts);
    let source = bench.folder().join("tls.key");
    std::fs::write(&source, FIRST).unwrap();
    secret_files(&mut bench, &source);
    (bench, source)
}

async fn plan(bench: &Sim, kind: RunKind) -> pilothouse::domain::plan::PlanView {
    runs::plan(&bench.state, &bench.config, &bench.request(kind), Access::Full)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_replica_has_its_file_before_it_starts_and_a_rollback_wakes_the_one_with_the_file_of_its_time() {
    let (bench, source) = keyed(1);
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1));
    let first = bench.file_of_active("/run/secrets/tls.key").await;
    assert_eq!(first, (FIRST.to_owned(), 0o440, 1000, 1001));
    std::fs::write(&source, SECOND).unwrap();
    let view = plan(&bench, RunKind::Deploy).await;
    assert_eq!(view.changes, ["TLS_KEY (secret) changed"]);
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(2));
    assert_eq!(bench.file_of_active("/run/secrets/tls.key").await.0, SECOND);
    let view = plan(&bench, RunKind::Deploy).await;
    assert_eq!(
        view.changes,
        ["none seen: same image and container settings as r2"]
    );
    let view = plan(&bench, RunKind::Rollback).await;
    assert!(
        view.order
            .iter()
            .any(|line| line.ends_with(", with their original secrets")),
        "{:?}",
        view.order
    );
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    assert_eq!(bench.file_of_active("/run/secrets/tls.key").await.0, FIRST);
    // What is kept is gone: it is made again, with today's.
    let engine = bench.fleet.engine("host-1").unwrap();
    engine.remove("shop.r2.1").unwrap();
    let mut request = bench.request(RunKind::Rollback);
    request.to = Some(ReleaseNumber(2));
    std::fs::write(&source, FIRST).unwrap();
    let run = runs::launch(&bench.state, &bench.config, &request, super::actor())
        .await
        .unwrap();
    assert_eq!(bench.ended(&run).await.0, 0, "{}", bench.journal(&run));
    assert_eq!(bench.file_of_active("/run/secrets/tls.key").await.0, FIRST);

    let state = bench.state.dir(&run);
    let state = state.parent().unwrap();
    for value in ["very-secret-one", "very-secret-two"] {
        assert_unknown(state, value);
        for name in engine.containers() {
            assert!(
                !engine.inspect(&name).unwrap().to_string().contains(value),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn where_the_file_cannot_be_put_nothing_is_started_and_all_is_as_before() {
    let (bench, source) = keyed(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    std::fs::write(&source, SECOND).unwrap();
    let engine = bench.fleet.engine("host-2").unwrap();
    // The container is made by then; a lease is never looked at by HEAD.
    engine.fail("HEAD", "/archive", 1, "no such device");
    let view = bench
        .is_undone(&before, &["could not look for /run on host-2"])
        .await;
    let journal = bench.journal(&view.id);
    assert!(!journal.contains("\"start\""), "it was never started: {journal}");
}

#[tokio::test]
async fn killed_between_the_container_and_its_file_it_is_undone_and_never_started() {
    let (bench, _source) = keyed(1);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let engine = bench.fleet.engine("host-1").unwrap().clone();
    engine.slow(Duration::from_millis(300));
    let seen = engine.requests().len();
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let looked = || {
        engine
            .requests()
            .iter()
            .skip(seen)
            .any(|request| request.starts_with("HEAD"))
    };
    let looking = async {
        while !looked() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), looking)
        .await
        .unwrap();
    kill_process(bench.process(&run), Signal::KILL).unwrap();
    engine.slow(Duration::ZERO);
    assert_eq!(bench.ended(&run).await.0, 5);
    let there = bench.look().await;
    let host = HostName::parse("host-1").unwrap();
    let left = there[&host]
        .iter()
        .find(|replica| replica.run.as_deref() == Some(run.as_str()));
    assert!(left.is_some(), "its container was made: {there:?}");
    let (exit, _) = bench.recover(&run).await;
    assert_eq!(exit, 1, "{}", bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
    let name = &left.unwrap().id;
    let started = format!("POST /containers/{name}/start");
    assert!(!engine.requests().iter().any(|request| request.contains(&started)));
}

#[tokio::test]
async fn a_deploy_with_files_killed_after_any_record_is_recovered() {
    let (bench, _source) = keyed(2);
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 1, step: 3 }, None).await;
    assert_eq!(bench.file_of_active("/run/secrets/tls.key").await.0, FIRST);
}

#[tokio::test]
async fn what_a_volume_of_the_image_would_keep_is_refused_before_anything_is_changed() {
    let mut ground = super::refusals::Ground::new();
    let file = SecretFile {
        source: Secret::Env("KEY".to_owned()),
        path: "/data/key".to_owned(),
        uid: 0,
        gid: 0,
        mode: 0o400,
    };
    ground.spec().files.insert("KEY".to_owned(), file);
    ground.spec().ephemeral = true;
    assert_eq!(ground.refusals(), []);
    for seen in ground.facts.values_mut() {
        seen.image.as_mut().unwrap().volumes = vec!["/data".to_owned()];
    }
    let found = ground.refusals();
    assert!(
        found[0].why.contains("the secret KEY at /data/key would be left"),
        "{found:?}"
    );
}

//! Secrets as files on a real daemon: their permissions as seen by the replica, what the daemon stores of them, and paths where
//! a file would not be kept.

use std::path::PathBuf;

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::TryStreamExt as _;
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::run::RunKind;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::releases::crash::{Points, crash_matrix};
use crate::support::releases::reverted::assert_unknown;
use crate::support::releases::{Bench, secret_files};
use crate::support::{fleet, image};

const FIRST: &str = "-----BEGIN KEY-----\nvery-secret-one\n-----END KEY-----\n";
const SECOND: &str = "-----BEGIN KEY-----\nvery-secret-two\n-----END KEY-----\n";

fn keyed(daemons: &fleet::Lease) -> (Bench, PathBuf) {
    let mut bench = Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX);
    let source = bench.folder().join("tls.key");
    std::fs::write(&source, FIRST).unwrap();
    secret_files(&mut bench, &source);
    let spec = &mut bench.config.services[0].deploy.as_mut().unwrap().spec;
    // Read by the process itself as it starts: later would be too late.
    let script = "ls -ln /run/secrets; cat /run/secrets/tls.key || exit 9; \
                  trap 'exit 0' TERM; while :; do sleep 0.2; done";
    spec.command = ["sh", "-c", script].map(str::to_owned).into();
    spec.user = Some("1000:1000".to_owned());
    (bench, source)
}

/// What a container has said since it was made.
async fn said(daemon: &Daemon, id: &str) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
    let pieces: Vec<_> = daemon
        .docker()
        .logs(id, Some(options))
        .try_collect()
        .await
        .unwrap();
    pieces.iter().map(ToString::to_string).collect()
}

/// Of the one container that runs.
async fn said_by_active(daemon: &Daemon) -> String {
    let list = daemon.ask("GET", "/containers/json", &Value::Null);
    assert_eq!(list.as_array().unwrap().len(), 1, "{list}");
    said(daemon, list[0]["Id"].as_str().unwrap()).await
}

#[tokio::test]
async fn the_replica_reads_its_file_as_its_own_user_and_nobody_else_ever_sees_it() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let (bench, source) = keyed(&daemons);
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1));
    let first = said_by_active(daemon).await;
    assert!(first.contains("-r--r-----    1 1000     1001"), "{first}");
    assert!(first.contains("very-secret-one"), "{first}");
    std::fs::write(&source, SECOND).unwrap();
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(2));
    assert!(said_by_active(daemon).await.contains("very-secret-two"));

    // It stays through a restart of the container, and of the daemon.
    let list = daemon.ask("GET", "/containers/json", &Value::Null);
    let id = list[0]["Id"].as_str().unwrap();
    daemon.ask("POST", &format!("/containers/{id}/restart?t=1"), &Value::Null);
    assert_eq!(bench.file_of_active("/run/secrets/tls.key").await.0, SECOND);
    assert_eq!(said_by_active(daemon).await.matches("very-secret-two").count(), 2);

    // What is kept has the one of its time.
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    let back = bench.file_of_active("/run/secrets/tls.key").await;
    assert_eq!(back, (FIRST.to_owned(), 0o440, 1000, 1001));

    let all = daemon.ask("GET", "/containers/json?all=1", &Value::Null);
    for container in all.as_array().unwrap() {
        let id = container["Id"].as_str().unwrap();
        let seen = daemon
            .ask("GET", &format!("/containers/{id}/json"), &Value::Null)
            .to_string();
        assert!(!seen.contains("very-secret"), "{seen}");
    }
    // Plans, journals, output and ledgers: its own folder holds the source, which is no part of it.
    std::fs::remove_file(&source).unwrap();
    assert_unknown(bench.folder(), "very-secret");
    assert!(!daemon.log().contains("very-secret"));
}

#[tokio::test]
async fn a_deploy_with_files_killed_now_and_then_is_recovered() {
    let daemons = fleet::lease(2);
    let (bench, _source) = keyed(&daemons);
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 2, step: 9 }, None).await;
}

/// Why `read_only` and places in memory are refused when the configuration is read: a daemon would not put the file
/// there, or would hide it.
#[tokio::test]
async fn what_the_configuration_refuses_is_what_the_daemon_does_not_do() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let put = |id: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o400);
        header.set_size(3);
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append_data(&mut header, "scratch/key", &b"key"[..])
            .unwrap();
        let tar = archive.into_inner().unwrap();
        let docker = daemon.docker();
        let id = id.to_owned();
        async move {
            let options = bollard::query_parameters::UploadToContainerOptionsBuilder::default()
                .path("/")
                .build();
            let body = bollard::body_full(tar.into());
            docker.upload_to_container(&id, Some(options), body).await
        }
    };
    let command = json!(["sh", "-c", "cat /scratch/key; echo ended"]);
    let fixed = daemon.create(
        "fixed",
        json!({ "Image": image::BUSYBOX, "Cmd": command, "HostConfig": { "ReadonlyRootfs": true } }),
    );
    let refused = put(fixed.as_str()).await.unwrap_err().to_string();
    assert!(refused.contains("marked read-only"), "{refused}");
    let hidden = daemon.create(
        "hidden",
        json!({ "Image": image::BUSYBOX, "Cmd": command, "HostConfig": { "Tmpfs": { "/scratch": "" } } }),
    );
    put(hidden.as_str()).await.unwrap();
    daemon.ask(
        "POST",
        &format!("/containers/{}/start", hidden.as_str()),
        &Value::Null,
    );
    daemon.await_state(&hidden, "exited");
    let said = said(daemon, hidden.as_str()).await;
    assert!(said.contains("No such file") && said.contains("ended"), "{said}");
}

//! Podman's service in place of Docker's daemon: differences in its answers are listed here, and a container is
//! watched, read, measured and controlled as on Docker.

use pilothouse::config::Host;
use pilothouse::domain::container::State;
use pilothouse::domain::endpoint::Endpoint;
use pilothouse::domain::ids::{ContainerId, ContainerKey};
use pilothouse::domain::logs::LogRange;
use pilothouse::domain::order::{Access, Verb};
use serde_json::{Value, json};

use crate::support::podman::Podman;
use crate::support::watch::Watch;
use crate::support::{fleet, image, raw, same_answers};

fn ask(podman: &Podman, method: &str, path: &str, body: &Value) -> raw::Answer {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    raw::request(podman.socket(), method, path, "application/json", body.as_bytes()).unwrap()
}

fn run(podman: &Podman, name: &str, command: &str) -> ContainerId {
    let body = json!({ "Image": image::BUSYBOX, "Cmd": ["sh", "-c", command] });
    let made = ask(podman, "POST", &format!("/containers/create?name={name}"), &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["Id"].as_str().unwrap().to_owned();
    let started = ask(podman, "POST", &format!("/containers/{id}/start"), &Value::Null);
    assert_eq!(started.status, 204, "{}", started.text());
    ContainerId::parse(&id).unwrap()
}

#[tokio::test]
async fn a_container_of_podman_is_watched_read_measured_and_acted_on() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let host: Host = daemons[0].host_at(Endpoint::Unix(podman.socket().to_owned()));
    let mut watch = Watch::start(vec![host.clone()], Access::Full);
    watch.until_listed().await;

    let id = run(
        &podman,
        "web",
        "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done",
    );
    let key = ContainerKey {
        host: host.name.clone(),
        id: id.clone(),
    };
    let row = watch
        .until_row(&key, "an event told of it", |row| row.state.is_running())
        .await;
    assert_eq!(&*row.name, "web");
    watch
        .until("recent events", |watch| {
            let told = &watch.fleet.row(&key)?.happenings;
            told.iter().any(|one| one.what == "start").then_some(())
        })
        .await;

    watch.sample(&host.name, vec![id.clone()]);
    watch
        .until("statistics", |watch| {
            watch.fleet.row(&key)?.history.last().map(drop)
        })
        .await;
    watch.follow(vec![key.clone()], LogRange::All);
    watch
        .until("lines of its log", |watch| (watch.lines.len() > 5).then_some(()))
        .await;
    assert_eq!(watch.texts()[..3], ["line 1", "line 2", "line 3"]);

    watch.act(&key, Verb::Pause).await.unwrap();
    watch
        .until_row(&key, "paused", |row| matches!(row.state, State::Paused { .. }))
        .await;
    watch.act(&key, Verb::Unpause).await.unwrap();
    watch
        .until_row(&key, "going on", |row| matches!(row.state, State::Running { .. }))
        .await;
    watch.act(&key, Verb::Restart).await.unwrap();
    watch.act(&key, Verb::Kill).await.unwrap();
    watch
        .until_row(&key, "killed, with its exit code", |row| {
            matches!(row.state, State::Exited { code: 137, .. })
        })
        .await;
    watch
        .until("by somebody", |watch| {
            watch.fleet.row(&key)?.was_stopped().then_some(())
        })
        .await;
    watch.act(&key, Verb::Start).await.unwrap();
    watch
        .until_row(&key, "started", |row| row.state.is_running())
        .await;
    watch.act(&key, Verb::Stop).await.unwrap();
    watch
        .until_row(&key, "stopped", |row| matches!(row.state, State::Exited { .. }))
        .await;
    watch.act(&key, Verb::Remove).await.unwrap();
    watch
        .until("gone", |watch| watch.fleet.row(&key).is_none().then_some(()))
        .await;
    watch.end().await;
}

/// Where Podman 4.3 has another status than Docker, and it. It tells a misuse and a conflict as its own failure (500),
/// wants every container to have an image, and looks into one that does not run.
const OTHERWISE: &[(&str, u16)] = &[
    ("POST /v1.41/containers/create?name=same/a", 500),
    ("POST /v1.41/containers/create?name=same-a", 500),
    ("POST /v1.41/containers/create?name=same-a", 500),
    ("POST /v1.41/containers/create?name=same-e", 500),
    ("GET /v1.41/containers/same-e/json", 404),
    ("POST /v1.41/containers/same-e/start", 404),
    (
        "GET /v1.41/containers/json?filters=%7B%22odd%22%3A%5B%22x%22%5D%7D",
        500,
    ),
    (
        "GET /v1.41/containers/json?all=1&filters=%7B%22status%22%3A%5B%22odd%22%5D%7D",
        500,
    ),
    ("POST /v1.41/containers/same-b/exec", 500),
    ("POST /v1.41/containers/same-a/exec", 500),
    ("POST /v1.41/containers/same-a/kill?signal=ODD", 500),
    ("POST /v1.41/containers/same-b/kill", 500),
    ("POST /v1.41/containers/same-a/pause", 500),
    ("DELETE /v1.41/containers/same-a", 500),
    ("DELETE /v1.41/containers/same-a", 500),
    ("POST /v1.41/containers/same-b/pause", 500),
    ("POST /v1.41/containers/same-b/rename", 500),
    ("GET /v1.41/containers/same-c/top", 200),
    ("POST /v1.41/networks/create", 500),
    ("POST /v1.41/networks/same-net/connect", 500),
    ("DELETE /v1.41/networks/same-net", 500),
    ("DELETE /v1.41/networks/bridge", 500),
    ("DELETE /v1.41/containers/same-e", 404),
];

#[test]
fn podman_answers_the_script_as_docker_does_but_where_it_is_named() {
    let daemons = fleet::lease(1);
    let podman = Podman::start(&daemons[0]);
    let docker = same_answers::answers(&daemons[0].socket(), image::BUSYBOX);
    let other = same_answers::answers(podman.socket(), image::BUSYBOX);
    // It has no such request: a restart policy is not changed there.
    let is_update = |request: &str| request.ends_with("/update");
    let mut differing = Vec::new();
    for ((request, status, _), (_, theirs, answer)) in docker.iter().zip(&other) {
        if is_update(request) {
            assert!(matches!(theirs, 0 | 404), "{request}: {theirs} {answer}");
        } else if status != theirs {
            differing.push((request.as_str(), *theirs));
        }
    }
    assert_eq!(differing, OTHERWISE);
}

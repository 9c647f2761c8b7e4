//! The simulated engine held against a real daemon by one script of requests, answer by answer.

use pilothouse::sim::{Fleet, Scenario};

use crate::support::{fleet, image, raw, same_answers};

#[tokio::test]
async fn the_simulated_engine_answers_as_a_real_daemon_does() {
    let daemons = fleet::lease(1);
    let folder = tempfile::tempdir().unwrap();
    let simulated = Fleet::start(Scenario::empty(1), folder.path()).unwrap();
    let socket = simulated.engine("host-1").unwrap().socket().to_owned();
    let real = same_answers::answers(&daemons[0].socket(), image::BUSYBOX);
    let other = tokio::task::spawn_blocking(move || {
        raw::request(
            &socket,
            "POST",
            "/images/load",
            "application/x-tar",
            &image::busybox(),
        )
        .unwrap();
        same_answers::answers(&socket, image::BUSYBOX)
    })
    .await
    .unwrap();
    let root = daemons[0].ask("GET", "/info", &serde_json::Value::Null)["DockerRootDir"].clone();
    let real: Vec<_> = real
        .into_iter()
        .map(|(request, status, answer)| {
            // Each daemon of the fleet keeps its data in a folder of its own.
            let text = answer
                .to_string()
                .replace(root.as_str().unwrap(), "/var/lib/docker");
            (request, status, serde_json::from_str(&text).unwrap())
        })
        .collect();
    let found = same_answers::differences(&real, &other);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

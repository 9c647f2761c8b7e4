//! The simulated engine compared with a real daemon by two scripts, answer by answer: plain requests, and streams.

use std::path::Path;

use pilothouse::sim::{Fleet, Scenario};
use serde_json::Value;

use crate::support::{fleet, image, raw, same_answers, same_streams};

type Script = fn(&Path, &str) -> Vec<(String, u16, Value)>;

async fn the_same(script: Script) {
    let daemons = fleet::lease(1);
    let folder = tempfile::tempdir().unwrap();
    let simulated = Fleet::start(Scenario::empty(1), folder.path()).unwrap();
    let socket = simulated.engine("host-1").unwrap().socket().to_owned();
    let real = script(&daemons[0].socket(), image::BUSYBOX);
    let other = tokio::task::spawn_blocking(move || {
        raw::request(
            &socket,
            "POST",
            "/images/load",
            "application/x-tar",
            &image::busybox(),
        )
        .unwrap();
        script(&socket, image::BUSYBOX)
    })
    .await
    .unwrap();
    let root = daemons[0].ask("GET", "/info", &Value::Null)["DockerRootDir"].clone();
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

#[tokio::test]
async fn the_simulated_engine_answers_as_a_real_daemon_does() {
    the_same(same_answers::answers).await;
}

#[tokio::test]
async fn the_simulated_engine_streams_as_a_real_daemon_does() {
    the_same(same_streams::streams).await;
}

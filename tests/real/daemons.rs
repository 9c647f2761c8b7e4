//! The basis of the other tests: the fleet itself works.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::wait::until;
use crate::support::{fleet, image, raw};

#[test]
fn daemons_know_nothing_of_each_other() {
    let daemons = fleet::lease(3);
    let [a, b, c] = &daemons[..] else {
        panic!("three were leased")
    };
    let id = a.run("one", "sleep 1000");
    a.await_state(&id, "running");
    for other in [b, c] {
        assert_eq!(
            other.ask("GET", "/containers/json?all=1", &Value::Null),
            json!([])
        );
    }
    let ids = daemons
        .iter()
        .map(|daemon| daemon.ask("GET", "/info", &Value::Null)["ID"].clone());
    assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), 3);
}

#[test]
fn every_daemon_has_the_image_under_one_id() {
    let daemons = fleet::lease(2);
    let [a, b] = &daemons[..] else {
        panic!("two were leased")
    };
    let path = format!("/images/{}/json", image::BUSYBOX);
    assert_eq!(
        a.ask("GET", &path, &Value::Null)["Id"],
        b.ask("GET", &path, &Value::Null)["Id"]
    );
}

#[test]
fn a_published_port_is_reached_from_another_daemons_namespace() {
    let daemons = fleet::lease(2);
    let [a, b] = &daemons[..] else {
        panic!("two were leased")
    };
    a.run_with(
        "web",
        "while :; do echo there | nc -l -p 80; done",
        json!({ "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "8080" }] } }, "ExposedPorts": { "80/tcp": {} } }),
    );
    let script = format!("nc -w 3 {} 8080 </dev/null", a.address());
    until(Duration::from_secs(10), "the port answers", || {
        let heard = b.inside("busybox").args(["sh", "-c", &script]).output().unwrap();
        (heard.stdout == b"there\n").then_some(())
    });
}

#[test]
fn a_killed_daemon_comes_back_and_a_cut_one_is_not_reached() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let id = daemon.run("one", "sleep 1000");
    daemon.kill_9();
    assert!(!raw::answers(&daemon.socket()));
    daemon.start();
    assert_eq!(daemon.inspect(&id)["State"]["Status"], "exited");
    let there: SocketAddr = format!("{}:2375", daemon.address()).parse().unwrap();
    daemon.cut_link();
    assert!(TcpStream::connect_timeout(&there, Duration::from_millis(300)).is_err());
    daemon.mend_link();
    assert!(TcpStream::connect_timeout(&there, Duration::from_secs(5)).is_ok());
}

#[tokio::test]
async fn a_frozen_daemon_is_silent_until_it_is_thawed() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let id = daemon.run("one", "sleep 1000");
    daemon.remove(&id);
    let docker = daemon.docker();
    daemon.freeze();
    let asked = tokio::time::timeout(Duration::from_millis(300), docker.ping()).await;
    assert!(asked.is_err());
    daemon.thaw();
    docker.ping().await.unwrap();
}

#[test]
fn the_host_reaches_the_fleet_from_its_own_address_and_folders_are_fresh() {
    let daemons = fleet::lease(1);
    let daemon = &daemons[0];
    let script = format!("ping -c 1 -W 5 {}", fleet::gateway());
    assert!(
        daemon
            .inside("busybox")
            .args(["sh", "-c", &script])
            .output()
            .unwrap()
            .status
            .success()
    );
    assert_ne!(fleet::folder("x"), fleet::folder("x"));
    assert_ne!(daemon.host().endpoint, daemon.tcp_host().endpoint);
    assert_eq!(daemon.key(&daemon.create("one", json!({}))).host, *daemon.name());
}

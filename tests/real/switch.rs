//! Tests of a release on real daemons: a container on the replicas' network that uses their addresses, a probe, and the
//! published port from outside. A failure undoes the release, and the tests leave nothing.

use std::time::Duration;

use pilothouse::config::service::{Batch, HttpProbe, OnFailure, Order, Probe, Publish, ReleaseTest};
use pilothouse::config::switch::{Ask, Url};
use pilothouse::config::test::Test;
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::run::RunKind;
use serde_json::json;

use crate::support::releases::crash::{Points, crash_matrix};
use crate::support::releases::{Bench, Seen};
use crate::support::{fleet, image};

fn test(name: &str, ask: Ask) -> ReleaseTest {
    ReleaseTest {
        name: name.to_owned(),
        ask,
        retries: 2,
        timeout: Duration::from_secs(20),
    }
}

/// Serves this page on port 8080, published as 18080, on the network `edge`; asked in all three ways.
fn serving(bench: &mut Bench, page: &str) {
    let host = bench.config.hosts[0].name.clone();
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    let script = format!(
        "trap 'exit 0' TERM; mkdir -p /www; echo {page} > /www/healthz; httpd -p 8080 -h /www; while :; do sleep 0.2; done"
    );
    deploy.spec.command = ["sh", "-c", &script].map(str::to_owned).into();
    deploy.spec.networks = vec!["edge".to_owned()];
    deploy.spec.ports = vec![Publish {
        address: None,
        outside: 18_080,
        inside: 8080,
        protocol: "tcp".to_owned(),
    }];
    let script = "wget -q -O - http://$0:8080/healthz > /tmp/page; cat /tmp/page; grep -qx good /tmp/page";
    let asks = Test {
        command: ["sh", "-c", script, "{replica.address}"]
            .map(str::to_owned)
            .into(),
        ..Test::new("page", host)
    };
    let probe = Probe::Http(HttpProbe {
        tls: None,
        path: "/healthz".to_owned(),
        port: 8080,
        host: None,
        status: Some(200),
    });
    let url = Url {
        url: "http://{host.address}:18080/healthz".to_owned(),
        host: None,
        status: None,
        ca: None,
    };
    deploy.before_switch = vec![
        test("page", Ask::Run(Box::new(asks))),
        test("probe", Ask::Probe(probe)),
    ];
    deploy.after_switch = vec![
        test("front", Ask::Http(url)),
        test("port", Ask::Tcp("{host.address}:18080".to_owned())),
    ];
}

fn bench(daemons: &fleet::Lease) -> Bench {
    for daemon in daemons.iter() {
        daemon.ask("POST", "/networks/create", &json!({ "Name": "edge" }));
    }
    let hosts = daemons.iter().map(|daemon| {
        let mut host = daemon.host();
        host.address = Some(daemon.address().to_owned());
        host
    });
    Bench::on(hosts.collect(), image::BUSYBOX)
}

/// With these words in the reason; nothing of its tests stays.
async fn reverted(bench: &Bench, before: &Seen, words: &str) {
    let view = bench.is_undone(before, &[words]).await;
    bench.assert_no_tests_left(&view.id, words).await;
}

#[tokio::test]
async fn a_release_is_asked_in_its_network_and_from_outside_and_what_it_answers_undoes_it() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    serving(&mut bench, "good");
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1));
    let before = bench.look().await;
    let quick = |test: &mut ReleaseTest| test.retries = 0;
    let mut wrong = Bench::on(bench.config.hosts.clone(), image::BUSYBOX);
    serving(&mut wrong, "bad");
    let bad = wrong.config.services[0].clone();
    let good = std::mem::replace(&mut bench.config.services[0], bad);
    bench.config.services[0]
        .deploy
        .as_mut()
        .unwrap()
        .before_switch
        .iter_mut()
        .for_each(quick);
    reverted(&bench, &before, "pass the test page with shop.r2.1").await;
    bench.config.services[0] = good;
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.after_switch[0].retries = 0;
    deploy.after_switch[0].ask = Ask::Http(Url {
        url: "http://{host.address}:18080/absent".to_owned(),
        host: None,
        status: None,
        ca: None,
    });
    reverted(&bench, &before, "/absent: it answered 404").await;
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.after_switch = vec![test("port", Ask::Tcp("{host.address}:18081".to_owned()))];
    reverted(&bench, &before, ":18081: Connection refused").await;
}

#[tokio::test]
async fn a_tested_rolling_deploy_killed_now_and_then_is_recovered_and_no_test_is_left() {
    let daemons = fleet::lease(2);
    let mut bench = bench(&daemons);
    serving(&mut bench, "good");
    bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert);
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 3, step: 9 }, None).await;
}

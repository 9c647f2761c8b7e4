//! Probes of a new replica on a real daemon: at its own address through its own network, and why one failed.

use std::time::Duration;

use pilothouse::config::service::{HttpProbe, Probe};
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::run::RunKind;

use crate::support::daemon::Daemon;
use crate::support::releases::Bench;
use crate::support::{fleet, image};

/// What the service runs, with a page at `/healthz` on port 8080.
fn serving(bench: &mut Bench, address: &str, script: &str) {
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.spec.command = vec![
        "sh".to_owned(),
        "-c".to_owned(),
        format!(
            "trap 'exit 0' TERM; mkdir -p /www; echo good > /www/healthz; httpd -p {address}8080 -h /www; {script}"
        ),
    ];
}

fn asks(bench: &mut Bench, probe: Probe) {
    let gate = &mut bench.config.services[0].deploy.as_mut().unwrap().gate;
    gate.probe = Some(probe);
    gate.times = 2;
    gate.timeout = Duration::from_secs(20);
    gate.within = Duration::from_secs(30);
}

fn http(path: &str) -> Probe {
    Probe::Http(HttpProbe {
        tls: None,
        path: path.to_owned(),
        port: 8080,
        host: None,
        status: Some(200),
    })
}

const STAYS: &str = "while true; do sleep 0.2; done";

#[tokio::test]
async fn a_replica_is_good_once_it_answers_and_what_it_answers_otherwise_is_the_reason() {
    let daemons = fleet::lease(1);
    let mut bench = Bench::on(daemons.iter().map(Daemon::host).collect(), image::BUSYBOX);
    serving(&mut bench, "", STAYS);
    asks(&mut bench, http("/healthz"));
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1));
    asks(&mut bench, Probe::Tcp(8080));
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(2));
    let before = bench.look().await;

    let gate = |bench: &mut Bench| {
        bench.config.services[0].deploy.as_mut().unwrap().gate.within = Duration::from_secs(4);
    };
    asks(&mut bench, http("/absent"));
    gate(&mut bench);
    bench
        .is_undone(&before, &["http :8080/absent", "it answered 404"])
        .await;
    asks(&mut bench, Probe::Tcp(8081));
    gate(&mut bench);
    bench
        .is_undone(&before, &["tcp :8081", "nothing listens on port 8081"])
        .await;

    // What listens for itself alone reaches nobody.
    serving(&mut bench, "127.0.0.1:", STAYS);
    asks(&mut bench, Probe::Tcp(8080));
    gate(&mut bench);
    bench.is_undone(&before, &["only listens on loopback"]).await;
    asks(&mut bench, http("/healthz"));
    gate(&mut bench);
    bench.is_undone(&before, &["http :8080/healthz", "refused"]).await;

    // Now good, now not: not waited for until its time is over.
    serving(
        &mut bench,
        "",
        "while true; do sleep 1; rm /www/healthz; sleep 1; echo good > /www/healthz; done",
    );
    asks(&mut bench, http("/healthz"));
    let gate = &mut bench.config.services[0].deploy.as_mut().unwrap().gate;
    gate.times = 1;
    gate.steady = Duration::from_mins(4);
    gate.within = Duration::from_mins(5);
    bench
        .is_undone(&before, &["is flapping", "it answered 404"])
        .await;
}

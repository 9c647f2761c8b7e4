//! Tests of a release before and after the switch: they reach the new replicas, a failure undoes everything, and they leave nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pilothouse::config::service::{Batch, OnFailure, Order as Sequence, ReleaseTest};
use pilothouse::config::switch::{Ask, Url};
use pilothouse::config::test::Test;
use pilothouse::domain::exit::Exit;
use pilothouse::domain::ids::ReleaseNumber;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::runs;

use super::Sim;
use super::bench::Bench;
use super::bench::crash::{Points, crash_matrix};
use super::bench::reverted::why;

fn contained(bench: &Bench, name: &str, script: &str) -> ReleaseTest {
    let host = bench.config.hosts[0].name.clone();
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    ReleaseTest {
        name: name.to_owned(),
        ask: Ask::Run(Box::new(Test {
            command,
            ..Test::new(name, host)
        })),
        retries: 0,
        timeout: Duration::from_mins(1),
    }
}

/// With these scripts as its tests before and after.
fn tested(bench: &mut Bench, before: &str, after: &str) {
    let (before, after) = (
        contained(bench, "smoke", before),
        contained(bench, "check", after),
    );
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.before_switch = vec![before];
    deploy.after_switch = vec![after];
}

/// What the plan says of tests.
async fn shown_for(bench: &Bench, kind: RunKind) -> Vec<String> {
    let request = bench.request(kind);
    runs::plan(&bench.state, &bench.config, &request, Access::Full)
        .await
        .unwrap()
        .tests
}

fn said(view: &RunView) -> String {
    let lines: Vec<&str> = view.output.iter().map(|line| line.text.as_str()).collect();
    lines.join("\n")
}

#[tokio::test]
async fn tests_know_their_replica_and_host_and_are_shown_as_stages() {
    let mut bench = Sim::new(2);
    tested(
        &mut bench,
        "echo asks {replica.name} at {replica.address}",
        "echo asks {service.name} {release.name} on {host.name} at {host.address}",
    );
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&view.id));
    let text = said(&view);
    assert!(text.contains("asks shop.r1.1 at 172.17.0."), "{text}");
    for host in ["host-1", "host-2"] {
        assert!(
            text.contains(&format!("asks shop r1 on {host} at 127.0.0.1")),
            "{text}"
        );
    }
    let names: Vec<&str> = view.stages.iter().map(|stage| stage.name.as_str()).collect();
    let at = |name: &str| names.iter().position(|known| *known == name).unwrap();
    assert!(
        at("gate") < at("smoke") && at("smoke") < at("check") && at("check") < at("commit"),
        "{names:?}"
    );
    bench.assert_no_tests_left(&view.id, "").await;
    let shown = shown_for(&bench, RunKind::Deploy).await;
    assert!(
        shown[0].starts_with("each new replica, smoke: sh -c echo asks")
            && shown[1].contains("before the commit, check:"),
        "{shown:?}"
    );
    // What is gone back to is not asked what only the new one knows.
    bench.good(RunKind::Deploy).await;
    tested(&mut bench, "exit 1", "exit 1");
    let tests = shown_for(&bench, RunKind::Rollback).await;
    assert!(tests[0].starts_with("none: "), "{tests:?}");
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
}

#[tokio::test]
async fn a_test_that_fails_before_or_after_undoes_everything_with_its_last_words() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let fails = "echo asking; echo the basket is empty; exit 3";
    for (smoke, check, name) in [(fails, "true", "smoke"), ("true", fails, "check")] {
        tested(&mut bench, smoke, check);
        let (exit, view) = bench.run(RunKind::Deploy).await;
        let journal = bench.journal(&view.id);
        assert_eq!(exit, 1, "{journal}");
        let why = why(&view);
        assert!(
            why.contains(&format!("pass the test {name}"))
                && why.contains("exit code 3: the basket is empty"),
            "{why}"
        );
        bench.assert_as_before(&before, &journal).await;
        bench.assert_no_tests_left(&view.id, &journal).await;
    }
}

#[tokio::test]
async fn in_waves_each_is_tested_before_the_next_and_a_pause_keeps_the_tested_ones() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    bench.rolling(Batch::Count(1), Sequence::StopFirst, OnFailure::Pause);
    tested(
        &mut bench,
        "echo on {host.name}; test {host.name} = host-1",
        "true",
    );
    let (exit, view) = bench.run(RunKind::Deploy).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 5, "{journal}");
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { why, differences },
            ..
        } => {
            assert!(why.contains("exit code 1: on host-2"), "{why}");
            assert!(
                differences[0].contains("SPLIT: r2 on host-1; as before on host-2"),
                "{differences:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    bench.assert_no_tests_left(&view.id, &journal).await;
    assert!(
        !journal.contains("\"after\""),
        "what is not everywhere is not asked from outside: {journal}"
    );
}

#[tokio::test]
async fn cancelled_in_a_test_it_is_undone_and_the_tests_container_is_gone() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    tested(&mut bench, "echo begun; sleep 600", "true");
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let (state, tested) = (bench.state.clone(), run.clone());
    let mut asked = false;
    let exit = runs::follow(&bench.state, &run, |view| {
        // On both hosts its container runs.
        if view.output.iter().filter(|line| line.text == "begun").count() == 2 && !asked {
            asked = true;
            runs::cancel(&state, &tested, "ops-b").unwrap();
        }
    })
    .await
    .unwrap();
    assert_eq!(exit, Exit::Interrupted, "{}", bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
    bench.assert_no_tests_left(&run, "").await;
}

#[tokio::test]
async fn from_outside_a_published_port_is_asked_by_its_url_and_what_it_answers_is_the_reason() {
    let mut bench = Sim::new(1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let good = Arc::new(AtomicBool::new(true));
    let is_good = Arc::clone(&good);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let status = if is_good.load(Ordering::SeqCst) {
                "200 OK"
            } else {
                "503 Busy"
            };
            if stream.read(&mut request).is_ok() {
                // Whoever asked may be gone.
                drop(write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                ));
            }
        }
    });
    let asks = |ask: Ask| ReleaseTest {
        name: "front".to_owned(),
        ask,
        retries: 1,
        timeout: Duration::from_secs(20),
    };
    let url = Url {
        url: format!("http://{{host.address}}:{port}/healthz"),
        host: Some("shop.example".to_owned()),
        status: None,
        ca: None,
    };
    let mut tcp = asks(Ask::Tcp(format!("{{host.address}}:{port}")));
    tcp.name = "listens".to_owned();
    bench.config.services[0].deploy.as_mut().unwrap().after_switch = vec![asks(Ask::Http(url)), tcp];
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    good.store(false, Ordering::SeqCst);
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 1, "{:?}", view.status);
    let words = format!("http://127.0.0.1:{port}/healthz: it answered 503");
    assert!(why(&view).contains(&words), "{}", why(&view));
    assert!(said(&view).contains("front, attempt 1 of 2"), "{}", said(&view));
    bench.assert_as_before(&before, &bench.journal(&view.id)).await;
}

#[tokio::test]
async fn a_tested_deploy_killed_after_any_record_is_recovered_and_no_test_is_left() {
    let mut bench = Sim::new(2);
    tested(&mut bench, "sleep 0.1; echo smoke", "sleep 0.1; echo check");
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 1, step: 2 }, None).await;
}

#[tokio::test]
async fn a_tested_rolling_deploy_killed_after_any_record_is_recovered_and_no_test_is_left() {
    let mut bench = Sim::new(2);
    bench.rolling(Batch::Count(1), Sequence::StartFirst, OnFailure::Revert);
    tested(&mut bench, "sleep 0.1; echo smoke", "sleep 0.1; echo check");
    crash_matrix(&bench, RunKind::Deploy, Points::Every { first: 2, step: 2 }, None).await;
}

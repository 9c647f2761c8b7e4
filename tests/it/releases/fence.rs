//! The holder of a lock changes nothing after its lease has expired, and nobody takes the lock before that.

use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::bench::{Bench, Seen};
use super::named::{Promised, assert_named};
use super::{Sim, until};
use pilothouse::config::service::{Batch, OnFailure, Order, Strategy};
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::RunId;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::domain::units::Stamp;
use pilothouse::hosts;
use pilothouse::release::record::{Entry, Failure, FailureKind, Finding, Record, SCHEMA};
use pilothouse::release::run::Left;
use pilothouse::release::stage::{Stage, Step, Turn};
use pilothouse::runs::step::{lease, lock};
use pilothouse::runs::{self, Recovery};
use pilothouse::sim::EngineHandle;

/// Does not hear TERM: each stop takes its whole grace.
fn stubborn(bench: &mut Sim, replicas: u32, grace: u64) {
    let deploy = bench.config.services[0].deploy.as_mut().unwrap();
    deploy.spec.command = ["sh", "-c", "trap '' TERM; while true; do sleep 1; done"]
        .map(str::to_owned)
        .into();
    deploy.spec.stop_grace = Duration::from_secs(grace);
    deploy.replicas = replicas;
}

/// Requests that change a container, as far back as the engine remembers.
fn changes(requests: &[String]) -> Vec<&String> {
    let words = ["/start", "/stop", "/update", "/containers/create"];
    let is_change = |line: &&String| {
        line.starts_with("DELETE") || line.starts_with("POST") && words.iter().any(|word| line.contains(word))
    };
    requests.iter().filter(is_change).collect()
}

/// What was asked of the engine since somebody looked for a container of this name.
fn since(engine: &EngineHandle, mark: &str) -> Vec<String> {
    let requests = engine.requests();
    let at = requests.iter().rposition(|line| line.contains(mark));
    requests[at.map_or(0, |at| at + 1)..].to_vec()
}

async fn mark(bench: &Bench, mark: &str) {
    let daemon = hosts::connect(&bench.config.hosts[0], Access::Full)
        .await
        .unwrap();
    let seen = daemon.read().inspect_container(mark, None).await;
    assert!(seen.is_err());
}

#[tokio::test]
async fn a_runner_that_was_asleep_between_two_deeds_of_a_step_does_not_do_the_second() {
    let mut bench = Sim::new(1);
    stubborn(&mut bench, 2, 3);
    bench.good(RunKind::Deploy).await;
    let found = bench.look().await;
    let engine = bench.fleet.engine("host-1").unwrap().clone();
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    until("it stops the old", || {
        changes(&engine.requests())
            .iter()
            .any(|line| line.contains("/stop"))
    })
    .await;
    let pid = bench.process(&run);
    kill_process(pid, Signal::STOP).unwrap();
    bench.age_locks().await;
    let other = bench.another();
    other.good(RunKind::Deploy).await;
    let before = bench.look().await;
    mark(&bench, "woken").await;
    kill_process(pid, Signal::CONT).unwrap();
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 5, "{:?}\n{}", view.status, bench.journal(&run));
    assert_eq!(changes(&since(&engine, "woken")), [] as [&String; 0]);
    bench.assert_as_before(&before, &bench.journal(&run)).await;
    // What the other bastion did is different from what it found, too.
    let differences = differences(&view);
    for (host, now) in &before {
        assert_named(host, &Promised::Before(&found[host]), now, &differences, "");
    }
}

fn differences(view: &RunView) -> Vec<String> {
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { differences, .. },
            ..
        } => differences.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn cancelled_twice_it_says_what_is_different_and_which_host_it_could_not_look_at() {
    let mut bench = Sim::new(2);
    stubborn(&mut bench, 1, 3);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let gate = &mut bench.config.services[0].deploy.as_mut().unwrap().gate;
    gate.steady = Duration::from_mins(10);
    gate.within = Duration::from_mins(20);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    bench.gating(&run, 2).await;
    let [one, two] = ["host-1", "host-2"].map(|name| bench.fleet.engine(name).unwrap().clone());
    two.hang(true);
    // The way back begins with the stop of the new, which takes its grace.
    let stops = |engine: &EngineHandle| {
        let requests = engine.requests();
        requests.iter().filter(|line| line.contains("/stop")).count()
    };
    let stopped = stops(&one);
    runs::cancel(&bench.state, &run, "ops-b").unwrap();
    until("it stops the new", || stops(&one) > stopped).await;
    mark(&bench, "again").await;
    runs::cancel(&bench.state, &run, "ops-b").unwrap();
    let (exit, view) = bench.ended(&run).await;
    let journal = bench.journal(&run);
    assert_eq!(exit, 5, "{:?}\n{journal}", view.status);
    assert_eq!(changes(&since(&one, "again")), [] as [&String; 0]);
    two.hang(false);
    let differences = differences(&view);
    let has = |words: &str| differences.iter().any(|line| line.contains(words));
    assert!(has("it was stopped at "), "{differences:?}");
    assert!(has("host-2 was not looked at: "), "{differences:?}");
    assert!(
        has("host-1: shop.r1.1 was running, is ") && has("host-1: shop.r2.1 was not there"),
        "{differences:?}"
    );
    let now = bench.look().await;
    let host = &bench.config.hosts[0].name;
    assert_named(
        host,
        &Promised::Before(&before[host]),
        &now[host],
        &differences,
        &journal,
    );
    let (exit, view) = bench.recover(&run).await;
    assert!(
        [1, 130].contains(&exit),
        "{:?}\n{}",
        view.status,
        bench.journal(&run)
    );
    bench.assert_as_before(&before, &bench.journal(&run)).await;
}

/// For longer than its lease is good for, and shorter than anybody else waits for it.
#[tokio::test]
async fn a_runner_that_was_asleep_for_40_s_renews_its_lease_before_the_next_deed() {
    let (bench, _, run) = stopping(None).await;
    let engine = bench.fleet.engine("host-1").unwrap().clone();
    let pid = bench.process(&run);
    kill_process(pid, Signal::STOP).unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    let other = bench.another();
    let refused = runs::recover(&other.state, &other.config, run.clone(), Access::Full).await;
    let refused = refused.unwrap_err().fault.to_string();
    assert!(refused.contains("held by ops-a"), "{refused}");
    mark(&bench, "woken").await;
    kill_process(pid, Signal::CONT).unwrap();
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 0, "{:?}\n{}", view.status, bench.journal(&run));
    let asked = since(&engine, "woken");
    let first = |is_it: &dyn Fn(&str) -> bool| asked.iter().position(|line| is_it(line)).unwrap();
    let renewal = first(&|line| line.starts_with("PUT") && line.contains("/archive"));
    let stop = first(&|line| line.contains("/stop"));
    assert!(renewal < stop, "{asked:#?}");
}

/// Two replicas are there, and the stop of one of them that does not hear TERM is under way; its grace is 5 s.
async fn stopping(order: Option<Order>) -> (Sim, Seen, RunId) {
    let mut bench = Sim::new(1);
    stubborn(&mut bench, 2, 5);
    bench.good(RunKind::Deploy).await;
    if let Some(order) = order {
        bench.rolling(Batch::Count(1), order, OnFailure::Revert);
    }
    let before = bench.look().await;
    let engine = bench.fleet.engine("host-1").unwrap().clone();
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    until("it stops the old", || {
        let requests = engine.requests();
        requests.iter().any(|line| line.contains("/stop"))
    })
    .await;
    (bench, before, run)
}

/// Now, and when whatever was still under way has ended.
async fn stays_as_before(bench: &Sim, before: &Seen, run: &RunId) {
    let journal = bench.journal(run);
    bench.assert_as_before(before, &journal).await;
    let engine = bench.fleet.engine("host-1").unwrap();
    until("every stop has ended", || engine.stops_under_way() == 0).await;
    bench.assert_as_before(before, &journal).await;
}

#[tokio::test]
async fn a_stop_that_goes_on_when_its_runner_was_killed_is_waited_for_before_the_old_is_said_to_be_back() {
    for order in [None, Some(Order::StopFirst), Some(Order::StartFirst)] {
        let (bench, before, run) = stopping(order).await;
        kill_process(bench.process(&run), Signal::KILL).unwrap();
        assert_eq!(bench.ended(&run).await.0, 5);
        let (exit, view) = bench.recover(&run).await;
        assert_eq!(exit, 1, "{:?}\n{}", view.status, bench.journal(&run));
        stays_as_before(&bench, &before, &run).await;
    }
}

#[tokio::test]
async fn a_stop_that_goes_on_when_its_connection_was_cut_is_waited_for_before_the_old_is_said_to_be_back() {
    let (bench, before, run) = stopping(None).await;
    let engine = bench.fleet.engine("host-1").unwrap();
    // The answer is lost, and so is what is asked at once to see what became of it.
    engine.fail("GET", "/containers/json", 1, "it is at its limit");
    engine.cut_connections();
    let (exit, view) = bench.ended(&run).await;
    // 3 where the look at the lock before the second stop went into the connection that was cut.
    assert!(
        [1, 3].contains(&exit),
        "{exit} {:?}\n{}",
        view.status,
        bench.journal(&run)
    );
    stays_as_before(&bench, &before, &run).await;
}

#[test]
fn where_a_stop_may_be_under_way_is_read_from_the_journal() {
    let strategy = Strategy::Recreate;
    let mut records = Vec::new();
    let mut then = |entry: Entry| {
        let n = records.len() as u64 + 1;
        let at = Stamp::from_seconds(0);
        records.push(Record {
            schema: SCHEMA,
            n,
            at,
            entry,
        });
        let stopping = Left::read(&records).unwrap().stopping;
        stopping
            .hosts()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let plan = super::planned(RunKind::Deploy, 2, &strategy);
    let by = plan.by.clone();
    let at = |stage: Stage, n: usize| Step {
        stage,
        host: plan.targets[n].clone(),
    };
    let failed = |step: Step| Entry::Failed {
        step,
        took: Duration::ZERO,
        why: Failure::of(
            FailureKind::Unreachable,
            Fault::new("stop it", "the link was cut"),
        ),
    };
    let done = |step: Step| Entry::Done {
        step,
        took: Duration::ZERO,
        finding: Finding::Nothing,
    };
    // From a lock alone nothing is known.
    assert_eq!(then(Entry::Opened(Box::new(plan.clone()))), "web-1 web-2");
    assert_eq!(then(Entry::Intent(at(Stage::Connect, 0))), "");
    assert_eq!(then(Entry::Intent(at(Stage::Stop, 0))), "web-1");
    assert_eq!(then(Entry::Intent(at(Stage::Stop, 1))), "web-1 web-2");
    assert_eq!(then(failed(at(Stage::Stop, 0))), "web-1 web-2");
    assert_eq!(then(done(at(Stage::Stop, 1))), "web-1");
    assert_eq!(then(Entry::Resumed { by }), "web-1");
    assert_eq!(then(Entry::Intent(at(Stage::Connect, 0))), "web-1");
    assert_eq!(then(done(at(Stage::Wave(1, Turn::Restore), 0))), "web-1");
    assert_eq!(then(done(at(Stage::Restore, 0))), "");
}

#[tokio::test]
async fn a_stop_whose_grace_is_longer_than_two_minutes_is_waited_for() {
    let mut bench = Sim::new(1);
    stubborn(&mut bench, 1, 123);
    bench.good(RunKind::Deploy).await;
    let release = bench.good(RunKind::Deploy).await;
    bench.assert_on(release, "").await;
}

#[tokio::test]
async fn a_lease_that_cannot_be_written_ends_its_holder_after_30_s_and_is_nobody_elses_before_90_s() {
    let mut bench = Sim::new(1);
    bench.good(RunKind::Deploy).await;
    let quick = bench.config.clone();
    let gate = &mut bench.config.services[0].deploy.as_mut().unwrap().gate;
    gate.steady = Duration::from_mins(10);
    gate.within = Duration::from_mins(20);
    let engine = bench.fleet.engine("host-1").unwrap().clone();
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    bench.gating(&run, 1).await;
    let locked = Instant::now();
    mark(&bench, "torn").await;
    engine.fail("PUT", "/archive", 1_000, "no space left on device");
    let (exit, view) = bench.ended(&run).await;
    let took = locked.elapsed();
    assert_eq!(exit, 5, "{:?}\n{}", view.status, bench.journal(&run));
    let words = format!("{:?}", view.status);
    assert!(words.contains("could not be renewed for 30 s"), "{words}");
    assert!((20..45).contains(&took.as_secs()), "it stopped after {took:?}");
    assert_eq!(changes(&since(&engine, "torn")), [] as [&String; 0]);
    engine.forgive();
    let mut other = bench.another();
    other.config = quick;
    bench.locks_of_age(Duration::from_secs(80)).await;
    let early = runs::recover(&other.state, &other.config, run.clone(), Access::Full).await;
    let early = early.unwrap_err().fault.to_string();
    assert!(early.contains("held by ops-a"), "{early}");
    bench.locks_of_age(Duration::from_secs(95)).await;
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full)
        .await
        .unwrap();
    assert_eq!(found, Recovery::Started(run.clone()));
    let (exit, view) = other.ended(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, other.journal(&run));
    assert!(matches!(view.status, RunStatus::Closed { .. }));
}

/// Stale when it was found; its holder comes back while the thief is kept waiting by another host.
#[tokio::test]
async fn a_lock_that_was_renewed_since_it_was_found_stale_is_not_taken() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    bench.bastion_gone(&run).await;
    let subject = bench.subject();
    let mut daemons = Vec::new();
    for host in &bench.config.hosts {
        daemons.push(hosts::connect(host, Access::Full).await.unwrap());
    }
    // In lock order: the first one's is the lock that a recovery takes.
    daemons.sort_by_key(|daemon| daemon.id().unwrap().to_owned());
    let stale = lock::seen(&daemons[0], &subject).await.unwrap().remove(0);
    assert!(stale.is_stale());
    let [first, frozen] = [0, 1].map(|at: usize| {
        let name = daemons[at].name().as_str();
        bench.fleet.engine(name).unwrap().clone()
    });
    frozen.hang(true);
    let before = first.requests().len();
    let other = bench.another();
    let recover = Box::pin(runs::recover(
        &other.state,
        &other.config,
        run.clone(),
        Access::Full,
    ));
    let comes_back = async {
        let reads = || {
            let requests = first.requests();
            requests[before..].iter().any(|line| line.contains("/archive"))
        };
        let limit = Instant::now() + Duration::from_mins(1);
        while !reads() {
            assert!(Instant::now() < limit, "{:?}", first.requests());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The thief has read it by the time that this is written.
        tokio::time::sleep(Duration::from_secs(1)).await;
        lease::renew(&daemons[0], &stale.id, "gate").await.unwrap();
        frozen.hang(false);
    };
    let (found, ()) = tokio::join!(recover, comes_back);
    let why = found.unwrap_err().fault.to_string();
    assert!(why.contains("held by"), "{why}");
    let now = lock::seen(&daemons[0], &subject).await.unwrap();
    assert_eq!(now.len(), 1, "{now:?}");
    assert_eq!(
        (&now[0].id, now[0].name.as_str()),
        (&stale.id, subject.lock_name().as_str())
    );
    // What was seen of it before counts for nobody.
    let refused = lock::take_away(&daemons[0], &subject, &stale).await;
    assert!(refused.unwrap_err().fault.to_string().contains("held by"));
    lock::is_ours(&daemons[0], &subject, &stale.id).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_is_as_old_as_its_file() {
    let bench = Sim::new(1);
    bench.good(RunKind::Deploy).await;
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    bench.ended(&run).await;
    let engine = bench.fleet.engine("host-1").unwrap();
    // The lock itself is older than any lease.
    engine.skew_clock(3_600);
    let daemon = hosts::connect(&bench.config.hosts[0], Access::Full)
        .await
        .unwrap();
    let subject = bench.subject();
    let seen = lock::seen(&daemon, &subject).await.unwrap().remove(0);
    let texts = [
        "",
        "{\"renewed\":17",
        "\u{0}\u{0}",
        "[]",
        "{\"renewed\":\"yes\",\"stage\":{}}",
    ];
    for text in texts {
        for (age, is_stale) in [(0, false), (50, false), (100, true)] {
            let now = lock::seen(&daemon, &subject).await.unwrap()[0].now.seconds();
            bench.write_lease_at(&daemon, &seen.id, text, now - age).await;
            let lock = lock::seen(&daemon, &subject).await.unwrap().remove(0);
            assert_eq!(
                lock.is_stale(),
                is_stale,
                "{text:?}, {age} s: {}",
                lock.described()
            );
            assert_eq!(lock.run, run.as_str());
        }
    }
    bench.age_locks().await;
    let unlocked = bench.unlock("a test", Access::Full).await;
    assert!(unlocked.is_ok(), "{unlocked:?}");
}

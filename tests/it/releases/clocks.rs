//! Clocks of daemons that are set back or forward under a lock: nobody takes it from a holder that lives, and it keeps
//! nobody out for ever whose holder is gone.

use std::time::{Duration, Instant};

use pilothouse::domain::ids::RunId;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::RunKind;
use pilothouse::runs::{self, Recovery};
use rustix::process::{Signal, kill_process};

use super::Sim;
use super::bench::Bench;

const HOURS: i64 = 6 * 3_600;

impl Sim {
    fn set_clocks(&self, seconds: i64) {
        for engine in self.fleet.engines() {
            engine.skew_clock(seconds);
        }
    }
}

#[tokio::test]
async fn a_dead_runs_lock_that_is_stamped_in_its_daemons_future_is_watched_and_taken() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.set_clocks(HOURS);
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    assert_eq!(bench.ended(&run).await.0, 5);
    bench.bastion_gone(&run).await;
    bench.set_clocks(0);
    let other = bench.another();
    let (found, _) = runs::unfinished(&other.state, &other.config).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].run == run && found[0].watched == Some(Duration::from_secs(90)),
        "{found:?}"
    );
    let begun = Instant::now();
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full).await;
    assert_eq!(found.unwrap(), Recovery::Started(run.clone()));
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(90),
        "no holder renewed it for {took:?}"
    );
    let (exit, view) = other.ended(&run).await;
    let journal = other.journal(&run);
    assert_eq!(exit, 1, "{:?}\n{journal}", view.status);
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(170),
        "watched once, not host by host: {took:?}"
    );
    bench.assert_as_before(&before, &journal).await;
}

/// Somebody else tries to recover it as soon as its host's clock was set.
async fn is_held(bench: &Sim, other: &Bench, run: &RunId, clock: i64) {
    // It renews its lock every 20 s: not between the clock and the look at it.
    let holder = bench.process(run);
    kill_process(holder, Signal::STOP).unwrap();
    bench.set_clocks(clock);
    let (found, _) = runs::unfinished(&other.state, &other.config).await;
    kill_process(holder, Signal::CONT).unwrap();
    assert!(
        found.iter().any(|found| found.watched.is_some()),
        "set to {clock}: {found:?}"
    );
    let found = runs::recover(&other.state, &other.config, run.clone(), Access::Full).await;
    let why = found.unwrap_err().fault.to_string();
    assert!(why.contains("held by ops-a"), "set to {clock}: {why}");
}

#[tokio::test]
async fn a_lock_that_is_renewed_is_nobody_elses_whatever_its_daemons_clock_is_set_to() {
    let mut bench = Sim::new(1);
    let gate = &mut bench.config.services[0].deploy.as_mut().unwrap().gate;
    gate.steady = Duration::from_mins(10);
    gate.within = Duration::from_mins(20);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    bench.locked(1).await;
    let other = bench.another();
    is_held(&bench, &other, &run, HOURS).await;
    is_held(&bench, &other, &run, -HOURS).await;
    kill_process(bench.process(&run), Signal::KILL).unwrap();
}

#[tokio::test]
async fn what_is_known_to_have_died_here_is_recovered_without_being_watched() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    bench.set_clocks(HOURS);
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    assert_eq!(bench.ended(&run).await.0, 5);
    bench.set_clocks(0);
    let begun = Instant::now();
    let first = first_step(&bench).await;
    assert!(!first.contains("if nobody renews it"), "{first}");
    bench.good(RunKind::Deploy).await;
    assert!(begun.elapsed() < Duration::from_secs(80), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_plan_tells_that_any_of_a_runs_locks_will_be_watched() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let second = bench.fleet.engine("host-2").unwrap();
    second.skew_clock(HOURS);
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    assert_eq!(bench.ended(&run).await.0, 5);
    bench.bastion_gone(&run).await;
    second.skew_clock(0);
    let first = first_step(&bench.another()).await;
    assert!(
        first.contains("on host-1") && first.contains("if nobody renews it for 90 s"),
        "{first}"
    );
}

/// Of the plan of the next deploy.
async fn first_step(bench: &Bench) -> String {
    let request = bench.request(RunKind::Deploy);
    let plan = runs::plan(&bench.state, &bench.config, &request, Access::Full)
        .await
        .unwrap();
    assert!(plan.order[0].contains("first recover"), "{plan:?}");
    plan.order[0].clone()
}

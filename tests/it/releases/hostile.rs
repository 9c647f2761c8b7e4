//! Random faults between a run and its daemons, through real HTTP: refused requests, cut connections, daemons restarted
//! or gone, clocks hours apart or set forward, the runner killed, cancels. The result must be one of three and match
//! the actual state; the seed of a failure is printed.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use super::Sim;
use super::bench::Seen;
use super::named::{Promised, assert_named};
use pilothouse::config::service::{Batch, OnFailure, Order, Strategy};
use pilothouse::domain::ids::RunId;
use pilothouse::domain::order::Access;
use pilothouse::domain::run::{Outcome, RunKind, RunStatus, RunView};
use pilothouse::hosts;
use pilothouse::release::record::{Entry, Finding, Record};
use pilothouse::release::stage::Stage;
use pilothouse::runs;
use pilothouse::sim::{Downfall, EngineHandle};

/// One alone: `PILOTHOUSE_SEED=17 cargo test --test it -- hostile --nocapture`.
fn seeds(part: u64) -> Vec<u64> {
    match std::env::var("PILOTHOUSE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        Some(seed) => [seed].into_iter().filter(|seed| seed % PARTS == part).collect(),
        None => (0..EPISODES).filter(|seed| seed % PARTS == part).collect(),
    }
}

const EPISODES: u64 = 200;
/// Tests that share them.
const PARTS: u64 = 4;

/// What may be refused, in the daemon's own words.
const REQUESTS: [(&str, &str); 10] = [
    ("POST", "/start"),
    ("POST", "/stop"),
    ("POST", "/update"),
    ("POST", "/containers/create"),
    ("DELETE", "/containers/"),
    ("PUT", "/archive"),
    ("GET", "/archive"),
    ("GET", "/containers/json"),
    ("GET", "/_ping"),
    ("*", ""),
];

/// What befalls a run once its journal is so long.
#[derive(Debug)]
enum Blow {
    Nothing,
    Cut,
    Restart(Downfall),
    Gone,
    Cancel,
    /// Somebody removes what the run made there and did not start yet.
    Removed,
    /// The daemon's clock jumps by so many hours.
    Clock(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Converged,
    Reverted,
    /// And put in order by `recover` once nothing was in its way any more.
    Human,
    /// Its runner was killed; recovered.
    Dead,
}

fn hours(rng: &mut Rng) -> i64 {
    rng.i64(-6..=6) * 3_600
}

/// Lines of the journal: how far the run is.
fn length(bench: &Sim, run: &RunId) -> usize {
    bench.journal(run).lines().count()
}

/// What the run made on this host and did not start yet, if there is something.
async fn remove_made(bench: &Sim, run: &RunId, host: &str) {
    let mut hosts = bench.config.hosts.iter();
    let host = hosts.find(|known| known.name.as_str() == host).unwrap();
    let daemon = match hosts::connect(host, Access::Full).await {
        Ok(daemon) => daemon,
        Err(unreached) => return println!("nothing is removed: {unreached:?}"),
    };
    let found = runs::step::replicas::replicas(&daemon, &bench.subject()).await;
    for made in found.unwrap_or_default() {
        if made.run.as_deref() == Some(run.as_str()) && !made.state.is_up() {
            let docker = daemon.change().unwrap();
            let removed = docker.remove_container(made.id.as_str(), None).await;
            println!("{} is removed: {removed:?}", made.name);
        }
    }
}

async fn strike(bench: &Sim, run: &RunId, at: usize, blow: Blow, engine: &EngineHandle) {
    while length(bench, run) < at {
        if runs::view(&bench.state, run).is_ok_and(|view| view.status != RunStatus::Running) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    match blow {
        Blow::Nothing => {}
        Blow::Cut => engine.cut_connections(),
        Blow::Restart(how) => engine.restart(how).unwrap(),
        Blow::Gone => engine.refuse(),
        // It may have closed in this moment.
        Blow::Cancel => runs::cancel(&bench.state, run, "ops-b").unwrap_or_default(),
        Blow::Removed => remove_made(bench, run, engine.name()).await,
        Blow::Clock(hours) => engine.skew_clock(hours * 3_600),
    }
}

/// Nothing is in anybody's way any more.
fn heal(bench: &Sim) {
    for engine in bench.fleet.engines() {
        engine.forgive();
        if !engine.is_up() {
            engine.accept().unwrap();
        }
    }
}

/// A host that something befell when the journal was so long.
type Struck<'a> = (&'a str, usize);

/// Where it has compared, and nothing befell the host since, it names what differs and nothing else.
async fn assert_differences(bench: &Sim, before: &Seen, view: &RunView, struck: Struck<'_>, context: &str) {
    let RunStatus::Closed {
        outcome: Outcome::NeedsHuman { differences, .. },
        ..
    } = &view.status
    else {
        return;
    };
    let journal = bench.journal(&view.id);
    let records = journal.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut committed = false;
    let (mut asked, mut looked) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        let Record { n, entry, .. } = record;
        match entry {
            Entry::Resumed { .. } => looked.clear(),
            Entry::Intent(step) => drop(asked.insert(step, n)),
            Entry::Done { step, finding, .. } => {
                committed |= step.stage == Stage::Commit;
                committed |= matches!(finding, Finding::Committed { yes: true, .. });
                if matches!(step.stage, Stage::Check | Stage::Prove | Stage::Look) {
                    looked.insert(step.host.clone(), asked[&step]);
                }
            }
            _ => {}
        }
    }
    for (host, now) in bench.look().await {
        let since = looked.get(&host).copied();
        if since.is_none_or(|n| host.as_str() == struck.0 && n <= struck.1 as u64) {
            continue;
        }
        let promised = match view.to.filter(|_| committed) {
            Some(release) => Promised::Release(release, 1),
            None => Promised::Before(&before[&host]),
        };
        assert_named(&host, &promised, &now, differences, context);
    }
}

/// What it says against what is there.
async fn compare(bench: &Sim, before: &Seen, view: &RunView, exit: u8, context: &str) -> Option<Ending> {
    let RunStatus::Closed { outcome, .. } = &view.status else {
        return None;
    };
    match outcome {
        Outcome::Converged => {
            assert_eq!(exit, 0, "{context}");
            if view.notes.is_empty() {
                bench.assert_on(view.to.unwrap(), context).await;
            }
            for (host, replicas) in bench.look().await {
                let up: Vec<_> = replicas.iter().filter(|replica| replica.state.is_up()).collect();
                assert!(
                    up.len() == 1 && up[0].release == view.to,
                    "{host}: {replicas:#?}\n{context}"
                );
            }
            Some(Ending::Converged)
        }
        Outcome::Reverted { .. } => {
            assert!([1, 3, 4, 130].contains(&exit), "{exit}\n{context}");
            bench.assert_as_before(before, context).await;
            Some(Ending::Reverted)
        }
        Outcome::NeedsHuman { differences, .. } => {
            assert_eq!(exit, 5, "{context}");
            assert!(!differences.is_empty(), "it says what is different\n{context}");
            None
        }
    }
}

/// Two releases are there. One run in a hostile world, then what it says against what is; and once the world is calm
/// again, what it left is put in order.
async fn episode(bench: &mut Sim, seed: u64) -> Ending {
    let mut rng = Rng::with_seed(seed);
    match rng.u32(0..3) {
        0 => bench.config.services[0].deploy.as_mut().unwrap().strategy = Strategy::Recreate,
        1 => bench.rolling(Batch::Count(1), Order::StopFirst, OnFailure::Revert),
        _ => bench.rolling(Batch::Percent(50), Order::StartFirst, OnFailure::Revert),
    }
    let engines: Vec<EngineHandle> = bench.fleet.engines().cloned().collect();
    let mut clocks = Vec::new();
    for engine in &engines {
        let skew = hours(&mut rng);
        engine.skew_clock(skew);
        clocks.push(skew / 3_600);
    }
    if bench
        .look()
        .await
        .values()
        .any(|there| there.iter().filter(|one| one.release.is_some()).count() < 2)
    {
        bench.good(RunKind::Deploy).await;
        bench.good(RunKind::Deploy).await;
    }
    let before = bench.look().await;
    let kind = [RunKind::Deploy, RunKind::Deploy, RunKind::Rollback][rng.usize(0..3)];
    let mut refused = Vec::new();
    for _ in 0..rng.usize(0..3) {
        let at = rng.usize(0..engines.len());
        let (method, path) = REQUESTS[rng.usize(0..REQUESTS.len())];
        let times = rng.u32(1..4);
        engines[at].fail(method, path, times, "injected");
        refused.push(format!("{times} × {method} {path} on {}", engines[at].name()));
    }
    let at = rng.usize(1..70);
    let struck = rng.usize(0..engines.len());
    let dies = rng.u32(0..3) == 0;
    let blow = match rng.u32(0..9) {
        _ if dies => Blow::Nothing,
        0 => Blow::Nothing,
        1 => Blow::Cut,
        2 => Blow::Restart(Downfall::Killed),
        3 => Blow::Restart(Downfall::Stopped),
        4 => Blow::Gone,
        5 => Blow::Cancel,
        6 | 7 => Blow::Removed,
        _ => Blow::Clock(clocks[struck] + rng.i64(-3..4)),
    };
    let told = format!(
        "seed {seed}: {}, clocks {clocks:?} h, refused {refused:?}, after {at} records {}",
        kind.word(),
        if dies {
            "its runner dies".to_owned()
        } else {
            format!("{blow:?} on {}", engines[struck].name())
        }
    );
    println!("{told}");
    let run = if dies {
        bench.launch_dying(u32::try_from(at).unwrap(), kind).await
    } else {
        let run = bench.launch(&bench.state, kind).await;
        strike(bench, &run, at, blow, &engines[struck]).await;
        run
    };
    let struck_at = length(bench, &run);
    let (exit, view) = bench.ended(&run).await;
    heal(bench);
    let context = format!("{told}\n{:?}\n{}", view.status, bench.journal(&run));
    if let Some(ending) = compare(bench, &before, &view, exit, &context).await {
        return ending;
    }
    assert_differences(
        bench,
        &before,
        &view,
        (engines[struck].name(), struck_at),
        &context,
    )
    .await;
    let ending = if view.status == RunStatus::Dead {
        Ending::Dead
    } else {
        Ending::Human
    };
    let (exit, view) = bench.recover(&run).await;
    let context = format!("{told}\n{:?}\n{}", view.status, bench.journal(&run));
    let recovered = compare(bench, &before, &view, exit, &context).await;
    assert!(recovered.is_some(), "nothing is in its way any more: {context}");
    ending
}

async fn part(part: u64) {
    let mut bench = Sim::new(2);
    let mut endings: BTreeMap<Ending, u32> = BTreeMap::new();
    for seed in seeds(part) {
        *endings.entry(episode(&mut bench, seed).await).or_default() += 1;
    }
    println!("part {part} of {EPISODES}: {endings:?}");
}

#[tokio::test]
async fn whatever_the_daemons_answer_the_result_is_what_is_there_1() {
    part(0).await;
}

#[tokio::test]
async fn whatever_the_daemons_answer_the_result_is_what_is_there_2() {
    part(1).await;
}

#[tokio::test]
async fn whatever_the_daemons_answer_the_result_is_what_is_there_3() {
    part(2).await;
}

#[tokio::test]
async fn whatever_the_daemons_answer_the_result_is_what_is_there_4() {
    part(3).await;
}

//! Releases end to end on simulated daemons: the real runner as a process, with real requests.

#[path = "../../support/releases.rs"]
pub(crate) mod bench;
mod adopt;
mod clocks;
mod closing;
mod crash;
mod crowd;
mod environments;
mod fence;
mod forged;
mod goals;
mod history;
mod hostile;
mod named;
mod past;
mod pulled;
mod refusals;
mod rolling;
mod secrets;
mod stale;
mod stages;
mod switch;
mod unknown;
mod world;

use std::time::{Duration, Instant};

use bench::reverted::why;
use bench::{Bench, actor};
use pilothouse::config::service::Strategy;
use pilothouse::domain::exit::Exit;
use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::{RunRequest, Wait};
use pilothouse::domain::run::{Outcome, RunKind, RunStatus};
use pilothouse::release::plan::Plan;
use pilothouse::release::record::Failure;
use pilothouse::runs;
use pilothouse::sim::{BOX_IMAGE, Downfall, Fleet, Scenario};

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_mins(2);
    while !is_so() {
        assert!(Instant::now() < limit, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Bench {
    /// A person's word against its locks.
    async fn unlock(&self, reason: &str, access: Access) -> Result<runs::Unlocking, Failure> {
        let by = actor();
        let said = runs::Said {
            reason,
            by: &by,
            watching: &|_| {},
        };
        runs::unlock(&self.config, &self.subject(), said, access).await
    }
}

/// What a run of the service in memory is asked to do.
pub(crate) fn planned(kind: RunKind, hosts: usize, strategy: &Strategy) -> Plan {
    world::plan(kind, 1, hosts, strategy)
}

/// A bench on simulated daemons.
struct Sim {
    bench: Bench,
    fleet: Fleet,
    _sockets: tempfile::TempDir,
}

impl Sim {
    fn new(hosts: usize) -> Self {
        let sockets = tempfile::tempdir().unwrap();
        let fleet = Fleet::start(Scenario::empty(hosts), sockets.path()).unwrap();
        Self {
            bench: Bench::on(fleet.config().hosts, BOX_IMAGE),
            fleet,
            _sockets: sockets,
        }
    }
}

impl std::ops::Deref for Sim {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.bench
    }
}

impl std::ops::DerefMut for Sim {
    fn deref_mut(&mut self) -> &mut Bench {
        &mut self.bench
    }
}

#[tokio::test]
async fn a_deploy_puts_every_host_on_the_new_release_and_a_rollback_puts_the_kept_one_back() {
    let bench = Sim::new(2);
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(1));
    let first = bench.look().await;
    assert_eq!(bench.good(RunKind::Deploy).await, ReleaseNumber(2));
    bench.assert_on(ReleaseNumber(2), "").await;
    assert_eq!(bench.good(RunKind::Rollback).await, ReleaseNumber(1));
    bench.assert_on(ReleaseNumber(1), "").await;
    let again = bench.look().await;
    for (host, replicas) in first {
        assert!(
            again[&host]
                .iter()
                .any(|replica| replica.id == replicas[0].id && replica.state.is_up()),
            "the same container runs again"
        );
    }
    let (exit, view) = bench.run(RunKind::Rollback).await;
    assert_eq!(exit, 1, "there is nothing before r1: {:?}", view.status);
}

#[tokio::test]
async fn a_failed_gate_brings_the_same_old_containers_back() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.config.services[0].deploy.as_mut().unwrap().spec.command =
        ["sh", "-c", "sleep 0.1; echo no database; exit 3"]
            .map(str::to_owned)
            .into();
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 1, "{:?}", view.status);
    let journal = bench.journal(&view.id);
    bench.assert_as_before(&before, &journal).await;
    match &view.status {
        RunStatus::Closed {
            outcome: Outcome::Reverted {
                why,
                cancelled: false,
            },
            ..
        } => assert!(why.contains("exited with code 3"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert!(
        view.output.iter().any(|line| line.text.contains("no database")),
        "{:?}",
        view.output
    );
}

#[tokio::test]
async fn of_two_deploys_at_once_one_runs_and_the_other_says_who_and_exits_4() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let mut slow = bench.config.clone();
    slow.services[0].deploy.as_mut().unwrap().gate.steady = std::time::Duration::from_secs(3);
    let request = bench.request(RunKind::Deploy);
    let first = runs::launch(&bench.state, &slow, &request, actor())
        .await
        .unwrap();
    bench.locked(2).await;
    // From another machine; and what is said without waiting in the same state folder.
    let other = bench.another();
    let refused = RunRequest {
        wait: Wait::No,
        ..bench.request(RunKind::Deploy)
    };
    for (state, words) in [
        (&other.state, "held by ops-a"),
        (&bench.state, "ops-a on bastion-1"),
    ] {
        let run = runs::launch(state, &bench.config, &refused, actor())
            .await
            .unwrap();
        let exit = runs::follow(state, &run, |_| {}).await.unwrap();
        let view = runs::view(state, &run).unwrap();
        assert_eq!(exit, Exit::Locked, "{:?}", view.status);
        let why = why(&view);
        assert!(why.contains(words) && why.contains(first.as_str()), "{why}");
    }
    let (exit, _) = bench.ended(&first).await;
    assert_eq!(exit, 0, "{}", bench.journal(&first));
    bench.assert_on(ReleaseNumber(2), "").await;
}

#[tokio::test]
async fn hosts_of_one_id_are_refused_before_anything_is_locked_and_it_is_said_what_helps() {
    let bench = Sim::new(3);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    let engine = |name| bench.fleet.engine(name).unwrap();
    engine("host-3").share_id(&engine("host-2").daemon_id());
    let (exit, view) = bench.run(RunKind::Deploy).await;
    let journal = bench.journal(&view.id);
    assert_eq!(exit, 2, "{journal}");
    let why = why(&view);
    assert!(why.contains("is the same daemon"), "{why}");
    assert_eq!(view.notes, [] as [String; 0]);
    assert!(
        matches!(&view.hints[..], [hint] if hint.contains("/var/lib/docker/engine-id")),
        "{:?}",
        view.hints
    );
    bench.assert_as_before(&before, &journal).await;
    assert!(!journal.contains("\"stage\":\"lock\""), "{journal}");
}

#[tokio::test]
async fn a_host_that_does_not_say_which_daemon_it_is_did_not_answer() {
    let bench = Sim::new(2);
    let engine = bench.fleet.engine("host-2").unwrap();
    engine.fail("GET", "/info", 1_000, "still loading");
    let request = bench.request(RunKind::Deploy);
    let plan = Box::pin(runs::plan(&bench.state, &bench.config, &request, Access::Full));
    let plan = plan.await.unwrap();
    assert_eq!(
        plan.unreached,
        [HostName::parse("host-2").unwrap()],
        "{:?}",
        plan.refusals
    );
    assert_eq!(plan.refusals[0].hint, None, "no proxy denied it");
    let (exit, view) = bench.run(RunKind::Deploy).await;
    assert_eq!(exit, 3, "{:?}", view.status);
    assert!(why(&view).contains("still loading"), "{}", why(&view));
}

#[tokio::test]
async fn cancelled_in_the_gate_it_is_undone_in_order() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.config.services[0].deploy.as_mut().unwrap().gate.steady = std::time::Duration::from_mins(1);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let state = bench.state.clone();
    let gate = run.clone();
    let mut asked = false;
    let exit = runs::follow(&bench.state, &run, |view| {
        let gating = view
            .stages
            .iter()
            .any(|stage| stage.name == "gate" && format!("{:?}", stage.cells).contains("Running"));
        if gating && !asked {
            asked = true;
            runs::cancel(&state, &gate, "ops-b").unwrap();
        }
    })
    .await
    .unwrap();
    assert_eq!(exit, Exit::Interrupted, "{}", bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
}

#[tokio::test]
async fn until_the_commit_a_restarted_daemon_brings_the_old_release_up() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.config.services[0].deploy.as_mut().unwrap().gate.steady = std::time::Duration::from_mins(1);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let mut restarted = false;
    let fleet = &bench.fleet;
    let exit = runs::follow(&bench.state, &run, |view| {
        let gating = view.stages.iter().any(|stage| {
            stage.name == "gate" && format!("{:?}", stage.cells).matches("Running").count() == 2
        });
        if gating && !restarted {
            restarted = true;
            fleet.engine("host-1").unwrap().restart(Downfall::Killed).unwrap();
        }
    })
    .await
    .unwrap();
    assert_eq!(exit, Exit::Failed, "{}", bench.journal(&run));
    bench.assert_as_before(&before, &bench.journal(&run)).await;
}

#[tokio::test]
async fn with_the_bastion_gone_the_locks_on_the_hosts_are_enough_to_recover() {
    let bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    // In the middle of it: the old is stopped, the commit is not written.
    let run = bench.launch_dying(30, RunKind::Deploy).await;
    assert_eq!(bench.ended(&run).await.0, 5);
    let journal = bench.journal(&run);
    assert!(journal.contains("decided"), "{journal}");
    std::fs::remove_dir_all(bench.state.dir(&run)).unwrap();
    bench.age_locks().await;
    let found = runs::recover(&bench.state, &bench.config, run.clone(), Access::Full)
        .await
        .unwrap();
    assert_eq!(found, runs::Recovery::Started(run.clone()));
    let (exit, view) = bench.ended(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, bench.journal(&run));
    bench.assert_as_before(&before, &journal).await;
}

#[tokio::test]
async fn a_host_that_hangs_midway_needs_a_human_and_the_others_are_as_before() {
    let mut bench = Sim::new(2);
    bench.good(RunKind::Deploy).await;
    let before = bench.look().await;
    bench.config.services[0].deploy.as_mut().unwrap().gate.steady = std::time::Duration::from_mins(1);
    let run = bench.launch(&bench.state, RunKind::Deploy).await;
    let mut hung = false;
    let fleet = &bench.fleet;
    let exit = runs::follow(&bench.state, &run, |view| {
        let gating = view.stages.iter().any(|stage| {
            stage.name == "gate" && format!("{:?}", stage.cells).matches("Running").count() == 2
        });
        if gating && !hung {
            hung = true;
            fleet.engine("host-2").unwrap().hang(true);
        }
    })
    .await
    .unwrap();
    let journal = bench.journal(&run);
    assert_eq!(exit, Exit::NeedsHuman, "{journal}");
    bench.fleet.engine("host-2").unwrap().hang(false);
    let now = bench.look().await;
    for (host, replicas) in &before {
        if host.as_str() == "host-1" {
            assert!(pilothouse::release::snapshot::differences(host, replicas, &now[host]).is_empty());
        }
    }
    // When it is back, what is left there is undone under the lock.
    let seen = runs::view(&bench.state, &run).unwrap();
    assert_eq!(
        seen.lost,
        [bench.config.hosts[1].name.clone()],
        "a control room offers it by this"
    );
    let (exit, view) = bench.recover(&run).await;
    assert_eq!(exit, 1, "{:?}\n{}", view.status, bench.journal(&run));
    assert!(view.lost.is_empty(), "{:?}", view.lost);
    bench.assert_as_before(&before, &bench.journal(&run)).await;
}

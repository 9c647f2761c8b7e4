//! Properties of the state machine: with any facts in any order it never repeats an action, closes exactly once, and returns
//! nothing after that. The seed of a failure is printed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;

use super::world::{World, host, plan, refused};
use pilothouse::config::rollout::{OnFailure, Rolling, Strategy};
use pilothouse::config::service::{CustomStage, Slot, Work};
use pilothouse::config::test::Test;
use pilothouse::domain::exit::Exit;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::ids::HostName;
use pilothouse::domain::run::{Outcome, RunKind};
use pilothouse::domain::units::Stamp;
use pilothouse::release::plan::Plan;
use pilothouse::release::record::{Entry, Failure, FailureKind, Finding, Record, SCHEMA};
use pilothouse::release::run::{Action, Fact, Left, Run};
use pilothouse::release::stage::{Stage, Step};

const KINDS: [RunKind; 6] = [
    RunKind::Build,
    RunKind::Test,
    RunKind::Push,
    RunKind::Deploy,
    RunKind::Rollback,
    RunKind::Pipeline,
];
/// More than any run of these plans asks for, there and back.
const MOST_STEPS: usize = 400;

fn custom(name: &str, always: bool, approves: bool) -> CustomStage {
    let timeout = Duration::from_secs(1);
    CustomStage {
        name: name.to_owned(),
        always,
        work: if approves {
            Work::Approve {
                question: "go?".to_owned(),
                timeout,
            }
        } else {
            Work::Command {
                argv: vec!["true".to_owned()],
                env: [].into(),
                folder: PathBuf::from("/"),
                timeout,
            }
        },
    }
}

fn contained(name: &str, always: bool, host: HostName) -> CustomStage {
    let test = Box::new(Test::new(name, host));
    let work = Work::Run { image: None, test };
    let name = name.to_owned();
    CustomStage { name, always, work }
}

/// A plan with everything in it that this kind can have; a pipeline with its slots in any order, some at once.
fn any_plan(rng: &mut Rng) -> Plan {
    let hosts = rng.usize(1..4);
    let strategy = match rng.u32(0..3) {
        0 => Strategy::Recreate,
        1 => Strategy::Rolling(Rolling::default()),
        _ => Strategy::Rolling(Rolling {
            on_failure: OnFailure::Pause,
            ..Rolling::default()
        }),
    };
    let mut plan = plan(KINDS[rng.usize(0..KINDS.len())], 1, hosts, &strategy);
    plan.builder = Some(host(rng.usize(1..5)));
    plan.service.tests = vec![
        Test::new("unit", host(rng.usize(1..5))),
        Test::new("api", host(1)),
    ];
    plan.service.stages = vec![
        custom("go", false, true),
        custom("scan", false, false),
        custom("tidy", true, false),
        contained("migrate", false, host(rng.usize(1..5))),
        contained("clean", true, host(rng.usize(1..5))),
    ];
    if rng.bool() {
        // Where none is always done in a container, things are swept earlier.
        plan.service.stages.truncate(4);
    }
    let mut slots = vec![
        Slot::Test("unit".to_owned()),
        Slot::Test("api".to_owned()),
        Slot::Push,
        Slot::Custom("go".to_owned()),
        Slot::Custom("scan".to_owned()),
        Slot::Custom("migrate".to_owned()),
    ];
    if rng.bool() {
        slots.push(Slot::Deploy);
    }
    rng.shuffle(&mut slots);
    slots.truncate(rng.usize(0..=slots.len()));
    let mut groups = vec![vec![Slot::Build]];
    for slot in slots {
        let alone = slot == Slot::Deploy || rng.bool();
        match groups
            .last_mut()
            .filter(|group| !alone && **group != [Slot::Build])
        {
            Some(group) if !group.contains(&Slot::Deploy) => group.push(slot),
            _ => groups.push(vec![slot]),
        }
    }
    plan.service.pipeline = groups;
    plan.tags = vec!["shop:v1".to_owned(), "shop:last-build".to_owned()];
    plan
}

fn any_host(rng: &mut Rng) -> HostName {
    host(rng.usize(1..5))
}

fn any_failure(rng: &mut Rng) -> Failure {
    let kinds = [
        FailureKind::Refused,
        FailureKind::Unreachable,
        FailureKind::Locked,
        FailureKind::Fenced,
        FailureKind::Interrupted,
        FailureKind::Abandoned,
    ];
    Failure::of(kinds[rng.usize(0..kinds.len())], Fault::new("do it", "injected"))
}

/// A step that may be under way, may have been answered, or was never asked for.
fn any_step(rng: &mut Rng, pending: &BTreeSet<Step>) -> Step {
    let stages = [
        Stage::Connect,
        Stage::Commit,
        Stage::Sweep,
        Stage::Lock,
        Stage::Push,
        Stage::Test("unit".to_owned()),
        Stage::Unlock,
    ];
    match pending.iter().nth(rng.usize(0..=pending.len())) {
        Some(step) => step.clone(),
        None => Step {
            stage: stages[rng.usize(0..stages.len())].clone(),
            host: any_host(rng),
        },
    }
}

/// What was said so far, and whether it was the last word.
struct Ear {
    pending: BTreeSet<Step>,
    records: Vec<Record>,
    closings: usize,
    steps: usize,
}

impl Ear {
    fn hear(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert_eq!(
                self.closings, 0,
                "it said something after it had closed: {action:?}"
            );
            match action {
                Action::Write(entry) => {
                    let closed = self.records.iter().rev().map(|record| &record.entry);
                    let since = closed.take_while(|entry| !matches!(entry, Entry::Resumed { .. }));
                    assert!(
                        !since
                            .into_iter()
                            .any(|entry| matches!(entry, Entry::Closed { .. })),
                        "it wrote {entry:?} behind its last record"
                    );
                    self.write(entry);
                }
                Action::Do(step) => {
                    self.steps += 1;
                    assert!(self.pending.insert(step.clone()), "{step} is in progress already");
                }
                Action::Interrupt => {}
                Action::Close { .. } => {
                    let last = self.records.last().map(|record| &record.entry);
                    assert!(
                        matches!(last, Some(Entry::Closed { .. })),
                        "closed without a record"
                    );
                    self.closings += 1;
                }
                Action::Leave { .. } => self.closings += 1,
            }
        }
    }

    fn write(&mut self, entry: Entry) {
        let n = self.records.last().map_or(1, |last| last.n + 1);
        self.records.push(Record {
            schema: SCHEMA,
            n,
            at: Stamp(0),
            entry,
        });
    }
}

/// What the world of `world.rs` makes of a step where it knows its host; elsewhere it is simply done.
fn honest(world: &mut World, run: &Run, step: &Step, rng: &mut Rng) -> Result<Finding, Failure> {
    let needs_decision = !matches!(
        step.stage,
        Stage::Connect
            | Stage::Lock
            | Stage::Preflight
            | Stage::Inquire
            | Stage::Check
            | Stage::Prove
            | Stage::Look
            | Stage::Unlock
    );
    if !world.knows(&step.host) || (needs_decision && run.decision().is_none()) {
        return Ok(Finding::Nothing);
    }
    if rng.u32(0..12) == 0 {
        return Err(refused("do it"));
    }
    world.perform(run, step, true)
}

fn answered(ear: &mut Ear, step: &Step, done: &Result<Finding, Failure>) {
    ear.pending.remove(step);
    let took = Duration::ZERO;
    ear.write(match done.clone() {
        Ok(finding) => Entry::Done {
            step: step.clone(),
            took,
            finding,
        },
        Err(why) => Entry::Failed {
            step: step.clone(),
            took,
            why,
        },
    });
}

/// Where a run was paused, what is kept of it is never called all of it.
fn assert_no_part_is_whole(records: &[Record]) {
    let entries = || records.iter().map(|record| &record.entry);
    let is_part = entries().any(|entry| matches!(entry, Entry::Kept { .. }));
    let converged = entries().any(|entry| {
        matches!(
            entry,
            Entry::Closed {
                outcome: Outcome::Converged,
                ..
            }
        )
    });
    assert!(
        !(is_part && converged),
        "a part of it was kept, and it is called converged"
    );
}

fn episode(seed: u64) -> &'static str {
    let mut rng = Rng::with_seed(seed);
    let plan = any_plan(&mut rng);
    let mut world = World::new(seed, 3);
    let mut ear = Ear {
        pending: BTreeSet::new(),
        records: Vec::new(),
        closings: 0,
        steps: 0,
    };
    let mut run = Run::new(plan.clone());
    ear.write(Entry::Opened(Box::new(plan.clone())));
    let wild = [0, 3, 10, 30][rng.usize(0..4)];
    let mut crashes = rng.u32(0..3);
    let first = match rng.u32(0..40) {
        0 => run.on(Fact::Late("run 0 by ops".to_owned())),
        1 => run.on(Fact::Unfounded("run 0 failed".to_owned())),
        _ => run.start(),
    };
    ear.hear(first);
    while ear.closings == 0 {
        assert!(ear.steps < MOST_STEPS, "it goes on for ever: {:?}", ear.pending);
        if crashes > 0 && rng.u32(0..40) == 0 {
            crashes -= 1;
            ear.pending.clear();
            run = Run::resumed(Left::read(&ear.records).unwrap());
            let actions = run.start();
            ear.hear(actions);
            continue;
        }
        let fact = if rng.u32(0..100) < wild {
            match rng.u32(0..7) {
                0 => Fact::Did(any_step(&mut rng, &BTreeSet::new()), Finding::Nothing),
                1 => {
                    let step = any_step(&mut rng, &ear.pending);
                    ear.pending.remove(&step);
                    Fact::Failed(step, any_failure(&mut rng))
                }
                2 => {
                    let host = any_host(&mut rng);
                    ear.pending
                        .retain(|step| step.host != host || step.stage.needs_no_host());
                    Fact::HostLost(host, "injected".to_owned())
                }
                3 => Fact::Taken(any_host(&mut rng), "injected".to_owned()),
                4 => Fact::Cancelled("ops".to_owned()),
                5 => Fact::Full("injected".to_owned()),
                _ => {
                    let step = any_step(&mut rng, &ear.pending);
                    ear.pending.remove(&step);
                    Fact::Did(step, Finding::Nothing)
                }
            }
        } else {
            let at = rng.usize(0..ear.pending.len().max(1));
            let Some(step) = ear.pending.iter().nth(at).cloned() else {
                panic!("nothing is in progress and it is not closed");
            };
            let done = honest(&mut world, &run, &step, &mut rng);
            answered(&mut ear, &step, &done);
            match done {
                Ok(finding) => Fact::Did(step, finding),
                Err(failure) => Fact::Failed(step, failure),
            }
        };
        let actions = run.on(fact);
        ear.hear(actions);
    }
    // Whatever comes now is not its business any more.
    for _ in 0..20 {
        let step = any_step(&mut rng, &ear.pending);
        let late = match rng.u32(0..8) {
            0 => Fact::Did(step, Finding::Nothing),
            1 => Fact::Failed(step, any_failure(&mut rng)),
            2 => Fact::HostLost(step.host, "late".to_owned()),
            3 => Fact::Taken(step.host, "late".to_owned()),
            4 => Fact::Cancelled("late".to_owned()),
            5 => Fact::Full("late".to_owned()),
            6 => Fact::Unfounded("late".to_owned()),
            _ => Fact::Late("late".to_owned()),
        };
        let said = run.on(late);
        assert_eq!(said, [], "it said something after it had closed");
    }
    assert_eq!(ear.closings, 1);
    assert_no_part_is_whole(&ear.records);
    match ear.records.last().map(|record| &record.entry) {
        Some(Entry::Closed { exit: Exit::Done, .. }) => "done",
        Some(Entry::Closed {
            exit: Exit::NeedsHuman,
            ..
        }) => "needs a human",
        Some(Entry::Closed { .. }) => "reverted",
        _ => "left",
    }
}

#[test]
fn whatever_arrives_it_closes_exactly_once_and_says_nothing_after() {
    let mut ends: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
    for seed in 0..8_000 {
        match std::panic::catch_unwind(|| episode(seed)) {
            Ok(end) => *ends.entry(end).or_default() += 1,
            Err(panic) => {
                println!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{ends:?}");
    for end in ["done", "reverted", "needs a human", "left"] {
        assert!(ends.get(end).is_some_and(|count| *count > 10), "{ends:?}");
    }
}

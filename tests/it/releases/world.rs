//! The state machine against a world in memory: random faults, crashes, lost hosts and cancels at the seam between them.
//! What the run says at the end is compared with the world by a measure of its own; the seed of a failure is printed.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;

use pilothouse::config::Service;
use pilothouse::config::service::{Deploy, Gate, Spec, Strategy};
use pilothouse::domain::container::Health;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::host::{Engine, EngineKind};
use pilothouse::domain::ids::{ContainerId, HostName, ImageId, ReleaseNumber, RunId, ServiceName};
use pilothouse::domain::run::{Outcome, RunKind};
use pilothouse::domain::units::{Bytes, Stamp};
use pilothouse::release::deeds::{Deed, Scene};
use pilothouse::release::facts::{HostFacts, ImageFacts, LedgerSeen};
use pilothouse::release::ledger::{Ledger, LedgerResult};
use pilothouse::release::plan::{Actor, Plan};
use pilothouse::release::record::{Entry, Failure, FailureKind, Finding, Record};
use pilothouse::release::replica::{Policy, Replica, Up};
use pilothouse::release::run::{Action, Fact, Left, Run};
use pilothouse::release::stage::{Stage, Step};
use pilothouse::release::subject::Subject;

struct HostState {
    replicas: Vec<Replica>,
    lock: Option<String>,
    ledger: Ledger,
    /// Answers nothing any more.
    gone: bool,
}

struct World {
    rng: Rng,
    hosts: BTreeMap<HostName, HostState>,
    next_id: u32,
    /// Out of a thousand requests, how many fail.
    faults: u32,
    /// The new release never passes its gate.
    bad: bool,
    /// A fault was injected that may be left in the end.
    blemished: bool,
    /// Requests went wrong after the run had turned: what it says may be `needs a human`.
    trouble_later: bool,
}

fn host(n: usize) -> HostName {
    HostName::parse(&format!("web-{n}")).unwrap()
}

fn image() -> ImageId {
    ImageId::parse("sha256:aa").unwrap()
}

fn engine(n: usize) -> Engine {
    Engine {
        kind: EngineKind::Docker,
        version: "20.10".to_owned(),
        api: "1.41".to_owned(),
        daemon_id: format!("D{}", 9 - n),
        hostname: String::new(),
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        kernel: String::new(),
        cpus: 1,
        memory: Bytes(0),
        storage_driver: String::new(),
        logging_driver: String::new(),
        cgroup: 2,
        data_root: String::new(),
    }
}

fn plan(kind: RunKind, run: u32, hosts: usize) -> Plan {
    let targets: Vec<HostName> = (1..=hosts).map(host).collect();
    let name = ServiceName::parse("shop").unwrap();
    Plan {
        run: RunId::parse(&format!("run-{run}")).unwrap(),
        kind,
        subject: Subject {
            service: name.clone(),
            environment: None,
        },
        by: Actor {
            login: "ops".to_owned(),
            machine: "bastion".to_owned(),
            via: None,
        },
        reason: None,
        started: Stamp::from_seconds(i64::from(run)),
        targets: targets.clone(),
        builder: None,
        image: "shop:latest".to_owned(),
        tags: Vec::new(),
        pushes: Vec::new(),
        labels: BTreeMap::new(),
        notes: Vec::new(),
        to: None,
        promoted: None,
        service: Service {
            name,
            image: "shop".to_owned(),
            build: None,
            tests: Vec::new(),
            deploy: Some(Deploy {
                hosts: targets,
                strategy: Strategy::Recreate,
                replicas: 2,
                keep: 2,
                spec: Spec::default(),
                gate: Gate::default(),
            }),
            pipeline: Vec::new(),
            stages: Vec::new(),
            environments: Vec::new(),
        },
        seals: BTreeMap::new(),
    }
}

fn refused(what: &str) -> Failure {
    Failure::refused(Fault::new(what, "injected"))
}

fn unreachable(what: &str) -> Failure {
    Failure::of(FailureKind::Unreachable, Fault::new(what, "injected"))
}

impl World {
    fn new(seed: u64, hosts: usize) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            hosts: (1..=hosts)
                .map(|n| {
                    let state = HostState {
                        replicas: Vec::new(),
                        lock: None,
                        ledger: Ledger::default(),
                        gone: false,
                    };
                    (host(n), state)
                })
                .collect(),
            next_id: 0,
            faults: 0,
            bad: false,
            blemished: false,
            trouble_later: false,
        }
    }

    fn chance(&mut self, of_thousand: u32) -> bool {
        self.rng.u32(0..1000) < of_thousand
    }

    /// SIGKILL of a daemon and its start: what has a policy comes up again, the rest is found dead.
    fn restart(&mut self, name: &HostName) {
        for replica in &mut self.hosts.get_mut(name).unwrap().replicas {
            let starts = replica.policy == Policy::Always;
            if starts {
                replica.state = Up::Running;
            } else if replica.state.is_up() {
                replica.state = Up::Exited {
                    code: 255,
                    oom: false,
                };
            }
        }
    }

    fn perform(&mut self, run: &Run, step: &Step, late: bool) -> Result<Finding, Failure> {
        if self.hosts[&step.host].gone {
            return Err(unreachable("reach it"));
        }
        let fails = self.chance(self.faults);
        if fails && step.stage != Stage::Connect {
            if late {
                self.trouble_later = true;
            }
            return Err(if self.rng.bool() {
                refused("do it")
            } else {
                unreachable("do it")
            });
        }
        let lost_answer = self.chance(self.faults);
        let done = self.act(run, step);
        // What is verified by a listing is known though the answer was lost; a commit is read back.
        if lost_answer && matches!(step.stage, Stage::Pin | Stage::Image) {
            return Err(unreachable("hear the answer"));
        }
        done
    }

    fn act(&mut self, run: &Run, step: &Step) -> Result<Finding, Failure> {
        let me = run.plan().run.as_str().to_owned();
        let name = &step.host;
        match &step.stage {
            Stage::Connect => {
                let n: usize = name.as_str().trim_start_matches("web-").parse().unwrap();
                Ok(Finding::Daemon {
                    id: engine(n).daemon_id,
                })
            }
            Stage::Lock => {
                let state = self.hosts.get_mut(name).unwrap();
                match &state.lock {
                    Some(holder) if *holder != me => {
                        Err(Failure::of(FailureKind::Locked, Fault::new("lock", "held")))
                    }
                    Some(_) | None => {
                        state.lock = Some(me);
                        Ok(Finding::Lock {
                            id: ContainerId::parse("lock").unwrap(),
                        })
                    }
                }
            }
            Stage::Preflight => Ok(Finding::Facts(Box::new(self.facts(name)))),
            Stage::Pin
            | Stage::Image
            | Stage::Mark
            | Stage::Build
            | Stage::Fetch
            | Stage::Test(_)
            | Stage::Push
            | Stage::Run(_)
            | Stage::Local(_)
            | Stage::Sweep
            | Stage::Regate => Ok(Finding::Nothing),
            Stage::Gate => {
                if self.bad {
                    return Err(refused("pass the gate"));
                }
                let scene = Scene {
                    plan: run.plan(),
                    decision: run.decision().unwrap(),
                    host: name,
                };
                let replicas = &self.hosts[name].replicas;
                if scene
                    .new_ones(replicas)
                    .any(|replica| replica.state != Up::Running)
                {
                    return Err(refused("pass the gate"));
                }
                Ok(Finding::Nothing)
            }
            Stage::Commit | Stage::Copy => {
                let entry = run.decision().unwrap().ledger_entry(
                    run.plan(),
                    Stamp::from_seconds(1),
                    LedgerResult::Committed,
                );
                let state = self.hosts.get_mut(name).unwrap();
                state.ledger = state.ledger.with(entry);
                Ok(Finding::Nothing)
            }
            Stage::Record => {
                let result = run.ledger_result();
                let entry = run
                    .decision()
                    .unwrap()
                    .ledger_entry(run.plan(), Stamp::from_seconds(1), result);
                let state = self.hosts.get_mut(name).unwrap();
                state.ledger = state.ledger.with(entry);
                Ok(Finding::Nothing)
            }
            Stage::Inquire => Ok(Finding::Committed {
                yes: self.hosts[name].ledger.is_committed(&run.plan().run),
                superseded: false,
                undone: false,
            }),
            Stage::Check | Stage::Prove => Ok(Finding::Replicas(self.hosts[name].replicas.clone())),
            Stage::Unlock => {
                self.hosts.get_mut(name).unwrap().lock = None;
                Ok(Finding::Nothing)
            }
            stage => self.deeds(run, stage, name),
        }
    }

    fn deeds(&mut self, run: &Run, stage: &Stage, name: &HostName) -> Result<Finding, Failure> {
        let decision = run.decision().unwrap();
        let scene = Scene {
            plan: run.plan(),
            decision,
            host: name,
        };
        for deed in scene.deeds(stage, &self.hosts[name].replicas) {
            if self.chance(self.faults / 4) {
                continue;
            }
            self.carry(&deed, decision.release, run.plan().run.as_str(), name);
        }
        match scene.deeds(stage, &self.hosts[name].replicas).first() {
            None => Ok(Finding::Nothing),
            Some(deed) => {
                self.blemished = true;
                Err(refused(&deed.words()))
            }
        }
    }

    fn carry(&mut self, deed: &Deed, release: ReleaseNumber, run: &str, name: &HostName) {
        self.next_id += 1;
        let fresh = format!("c{}", self.next_id);
        let replicas = &mut self.hosts.get_mut(name).unwrap().replicas;
        let find = |replicas: &mut Vec<Replica>, id: &ContainerId| {
            replicas.iter().position(|replica| replica.id == *id).unwrap()
        };
        match deed {
            Deed::Create { name } => replicas.push(Replica {
                kept: BTreeMap::new(),
                id: ContainerId::parse(&fresh).unwrap(),
                name: name.clone(),
                release: Some(release),
                previous: None,
                run: Some(run.to_owned()),
                image: image().to_string(),
                state: Up::Created,
                started_at: String::new(),
                restarts: 0,
                health: Health::Unchecked,
                policy: Policy::No,
                error: None,
            }),
            Deed::Start { id, .. } => {
                let at = find(replicas, id);
                replicas[at].state = Up::Running;
            }
            Deed::Stop { id, .. } => {
                let at = find(replicas, id);
                replicas[at].state = Up::Exited { code: 0, oom: false };
            }
            Deed::Policy { id, policy, .. } => {
                let at = find(replicas, id);
                replicas[at].policy = *policy;
            }
            Deed::Remove { id, .. } => {
                let at = find(replicas, id);
                assert!(!replicas[at].state.is_up(), "removed while it was up");
                replicas.remove(at);
            }
        }
    }

    fn facts(&self, name: &HostName) -> HostFacts {
        let n: usize = name.as_str().trim_start_matches("web-").parse().unwrap();
        let state = &self.hosts[name];
        HostFacts {
            engine: engine(n),
            replicas: state.replicas.clone(),
            strangers: Vec::new(),
            taken: Vec::new(),
            networks: std::collections::BTreeSet::new(),
            volumes: std::collections::BTreeSet::new(),
            image: Some(ImageFacts {
                id: image(),
                architecture: "amd64".to_owned(),
                os: "linux".to_owned(),
                git: None,
                volumes: Vec::new(),
                digests: Vec::new(),
            }),
            images: [image()].into(),
            ledger: if state.ledger.entries.is_empty() {
                LedgerSeen::Missing
            } else {
                LedgerSeen::Read(Box::new(state.ledger.clone()))
            },
            locks: Vec::new(),
        }
    }

    /// What a reboot of everything would start.
    fn after_reboot(&self) -> Vec<(HostName, ContainerId)> {
        self.hosts
            .iter()
            .flat_map(|(name, state)| {
                state
                    .replicas
                    .iter()
                    .filter(|replica| replica.policy == Policy::Always)
                    .map(|replica| (name.clone(), replica.id.clone()))
            })
            .collect()
    }

    /// Containers, states, policies: what a person would compare.
    fn shape(&self) -> Vec<(HostName, ContainerId, &'static str, Policy)> {
        let mut shape: Vec<_> = self
            .hosts
            .iter()
            .flat_map(|(name, state)| {
                state.replicas.iter().map(|replica| {
                    (
                        name.clone(),
                        replica.id.clone(),
                        replica.state.word(),
                        replica.policy,
                    )
                })
            })
            .collect();
        shape.sort_by(|one, two| (&one.0, &one.1).cmp(&(&two.0, &two.1)));
        shape
    }
}

/// How hostile the world is to one run.
#[derive(Default)]
struct Mood {
    crash: u32,
    lose: u32,
    cancel: u32,
    restart: u32,
}

struct Told {
    outcome: Outcome,
    decision: Option<pilothouse::release::decision::Decision>,
    crashes: u32,
}

/// One run to its end; a crash drops machine and steps and goes on from the records alone.
#[expect(clippy::too_many_lines, reason = "one loop, read from top to bottom")]
fn drive(world: &mut World, plan: &Plan, mood: &Mood) -> Told {
    let mut records: Vec<Record> = Vec::new();
    let mut crashes = 0;
    let reboot_before = world.after_reboot();
    let mut run = Run::new(plan.clone());
    let write = |records: &mut Vec<Record>, entry: Entry| {
        let n = records.last().map_or(1, |last| last.n + 1);
        records.push(Record {
            schema: pilothouse::release::record::SCHEMA,
            n,
            at: Stamp(0),
            entry,
        });
    };
    write(&mut records, Entry::Opened(Box::new(plan.clone())));
    'process: loop {
        let mut actions = run.start();
        let mut pending: Vec<Step> = Vec::new();
        loop {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Write(entry) => write(&mut records, entry),
                    Action::Do(step) => pending.push(step),
                    Action::Interrupt => {}
                    Action::Close { outcome, .. } => {
                        return Told {
                            outcome,
                            decision: run.decision().cloned(),
                            crashes,
                        };
                    }
                    Action::Leave { .. } => {
                        // The host comes back later, and recovery is asked again.
                        for state in world.hosts.values_mut() {
                            state.gone = false;
                        }
                        world.faults = 0;
                        run = Run::resumed(Left::read(&records).unwrap());
                        continue 'process;
                    }
                }
            }
            let committed = world
                .hosts
                .values()
                .any(|state| state.ledger.is_committed(&plan.run));
            if !committed {
                assert_eq!(
                    world.after_reboot(),
                    reboot_before,
                    "until the commit a reboot starts the old release"
                );
            }
            if world.chance(mood.cancel) {
                actions = run.on(Fact::Cancelled("ops".to_owned()));
                world.trouble_later = true;
                continue;
            }
            if world.chance(mood.restart) {
                let names: Vec<HostName> = world.hosts.keys().cloned().collect();
                let at = world.rng.usize(0..names.len());
                world.restart(&names[at]);
                world.blemished = true;
                world.trouble_later = true;
            }
            assert!(!pending.is_empty(), "nothing is under way and it is not closed");
            let at = world.rng.usize(0..pending.len());
            let step = pending.swap_remove(at);
            if world.chance(mood.lose) {
                world.hosts.get_mut(&step.host).unwrap().gone = true;
                world.blemished = true;
                world.trouble_later = true;
                pending.retain(|other| other.host != step.host);
                actions = run.on(Fact::HostLost(step.host, "injected".to_owned()));
                continue;
            }
            let crash_at = if world.chance(mood.crash) && crashes < 3 {
                world.rng.u32(0..3)
            } else {
                9
            };
            if crash_at > 0 {
                write(&mut records, Entry::Intent(step.clone()));
            }
            if crash_at > 1 {
                let late = run.way() != pilothouse::release::stage::Way::Out;
                let done = world.perform(&run, &step, late);
                if crash_at > 2 {
                    let took = Duration::ZERO;
                    let entry = match &done {
                        Ok(finding) => Entry::Done {
                            step: step.clone(),
                            took,
                            finding: finding.clone(),
                        },
                        Err(why) => Entry::Failed {
                            step: step.clone(),
                            took,
                            why: why.clone(),
                        },
                    };
                    write(&mut records, entry);
                    actions = run.on(match done {
                        Ok(finding) => Fact::Did(step, finding),
                        Err(failure) => Fact::Failed(step, failure),
                    });
                    continue;
                }
            }
            crashes += 1;
            run = Run::resumed(Left::read(&records).unwrap());
            continue 'process;
        }
    }
}

fn calm(world: &mut World) {
    world.faults = 0;
    world.bad = false;
    world.blemished = false;
    world.trouble_later = false;
}

fn good(world: &mut World, kind: RunKind, run: u32, hosts: usize) {
    calm(world);
    let told = drive(world, &plan(kind, run, hosts), &Mood::default());
    assert_eq!(told.outcome, Outcome::Converged);
}

fn assert_converged(world: &World, told: &Told) {
    let release = told.decision.as_ref().unwrap().release;
    for (name, state) in &world.hosts {
        let up: Vec<&Replica> = state
            .replicas
            .iter()
            .filter(|replica| replica.state.is_up())
            .collect();
        assert_eq!(up.len(), 2, "{name}: {:?}", state.replicas);
        for replica in up {
            assert_eq!(replica.release, Some(release), "{name}");
            assert_eq!(replica.policy, Policy::Always, "{name}");
        }
        assert_eq!(state.lock, None, "{name}");
    }
}

/// One seed: a fleet with two releases, then one run in a hostile world, then what it says against what is.
fn episode(seed: u64) -> Outcome {
    let hosts = 1 + usize::try_from(seed % 3).unwrap();
    let mut world = World::new(seed, hosts);
    good(&mut world, RunKind::Deploy, 1, hosts);
    good(&mut world, RunKind::Deploy, 2, hosts);
    calm(&mut world);
    let kind = if world.rng.bool() {
        RunKind::Deploy
    } else {
        RunKind::Rollback
    };
    world.bad = world.chance(250);
    world.faults = [0, 0, 30, 120][world.rng.usize(0..4)];
    let mut one_of = |choices: [u32; 4]| choices[world.rng.usize(0..4)];
    let mood = Mood {
        crash: one_of([0, 40, 80, 200]),
        lose: one_of([0, 0, 0, 15]),
        cancel: one_of([0, 0, 10, 20]),
        restart: one_of([0, 0, 0, 20]),
    };
    let before: Vec<_> = world.shape();
    let told = drive(&mut world, &plan(kind, 3, hosts), &mood);
    match &told.outcome {
        Outcome::Converged => assert_converged(&world, &told),
        Outcome::Reverted { .. } => {
            assert_eq!(world.shape(), before, "it said reverted");
            assert!(
                world.hosts.values().all(|state| state.lock.is_none()),
                "a lock was left"
            );
        }
        Outcome::NeedsHuman { differences, .. } => {
            assert!(!differences.is_empty(), "it says what is different");
            assert!(
                world.blemished || world.trouble_later || world.faults > 0,
                "nothing was in its way: {differences:?}, {} crashes",
                told.crashes
            );
        }
    }
    told.outcome
}

#[test]
fn whatever_goes_wrong_the_result_is_what_the_world_is() {
    let (mut converged, mut reverted, mut human) = (0, 0, 0);
    for seed in 0..4_000 {
        let outcome = std::panic::catch_unwind(|| episode(seed));
        match outcome {
            Ok(Outcome::Converged) => converged += 1,
            Ok(Outcome::Reverted { .. }) => reverted += 1,
            Ok(Outcome::NeedsHuman { .. }) => human += 1,
            Err(panic) => {
                println!("seed {seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{converged} converged, {reverted} reverted, {human} need a human");
    assert!(
        converged > 300 && reverted > 300,
        "{converged} {reverted} {human}"
    );
}

//! The state machine against a world in memory: random faults, crashes, lost hosts and cancels.
//! Its result is compared with the world independently; the seed of a failure is printed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;

use pilothouse::config::Service;
use pilothouse::config::service::{
    Batch, Deploy, Gate, OnFailure, Order, Probe, ReleaseTest, Rolling, Spec, Strategy,
};
use pilothouse::config::switch::Ask;
use pilothouse::domain::container::Health;
use pilothouse::domain::fault::Fault;
use pilothouse::domain::host::{Engine, EngineKind, Info, Installation};
use pilothouse::domain::ids::{ContainerId, HostName, ImageId, ReleaseNumber, RunId, ServiceName};
use pilothouse::domain::run::{Outcome, RunKind};
use pilothouse::domain::units::{Bytes, Stamp};
use pilothouse::release::copies::joined;
use pilothouse::release::deeds::{Deed, Scene};
use pilothouse::release::facts::{HostFacts, ImageFacts, LedgerSeen};
use pilothouse::release::ledger::{Ledger, LedgerResult};
use pilothouse::release::plan::{Actor, Plan};
use pilothouse::release::record::{Entry, Failure, FailureKind, Finding, Record};
use pilothouse::release::replica::{Policy, Replica, Up};
use pilothouse::release::run::{Action, Fact, Left, Run};
use pilothouse::release::stage::{Is, Stage, Step, Turn, Way};
use pilothouse::release::subject::Subject;

use super::named::{Promised, assert_named};

/// What a person would compare.
type Shape = Vec<(HostName, ContainerId, &'static str, Policy)>;

struct HostState {
    replicas: Vec<Replica>,
    lock: Option<String>,
    ledger: Ledger,
    /// Answers nothing any more.
    gone: bool,
}

pub(super) struct World {
    rng: Rng,
    hosts: BTreeMap<HostName, HostState>,
    next_id: u32,
    /// Out of a thousand requests, how many fail.
    faults: u32,
    /// Where the new release never passes its gate.
    bad: BTreeSet<HostName>,
    /// Virtual: every step takes some of it, and a host that hangs is given up after 30 s of it.
    clock: Duration,
    /// Fewer replicas than these must never be up.
    least_up: Option<usize>,
    /// Answers nothing, since then.
    hung: BTreeMap<HostName, Duration>,
    /// A fault was injected that may be left in the end.
    blemished: bool,
    /// Something was removed that no run can bring back.
    pruned: bool,
    /// Requests went wrong after the run had turned: what it says may be `needs a human`.
    trouble_later: bool,
}

pub(super) fn host(n: usize) -> HostName {
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
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        kernel: String::new(),
        info: Info::Known(Installation {
            daemon_id: Some(daemon_id(n)),
            hostname: String::new(),
            cpus: 1,
            memory: Bytes(0),
            storage_driver: String::new(),
            logging_driver: String::new(),
            cgroup: 2,
            data_root: String::new(),
        }),
    }
}

fn daemon_id(n: usize) -> String {
    format!("D{}", 9 - n)
}

/// Without its lease renewed for so long a host is given up.
const LEASE: Duration = Duration::from_secs(30);

pub(super) fn plan(kind: RunKind, run: u32, hosts: usize, strategy: &Strategy) -> Plan {
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
        foreseen: None,
        promoted: None,
        adopts: Vec::new(),
        withheld: Vec::new(),
        service: Service {
            name,
            image: "shop".to_owned(),
            build: None,
            tests: Vec::new(),
            deploy: Some(Deploy {
                hosts: targets,
                strategy: strategy.clone(),
                replicas: 2,
                keep: 2,
                spec: Spec::default(),
                gate: Gate::default(),
                bake: Duration::ZERO,
                before_switch: Vec::new(),
                after_switch: Vec::new(),
                shared: false,
            }),
            pipeline: Vec::new(),
            stages: Vec::new(),
            environments: Vec::new(),
        },
        seals: BTreeMap::new(),
    }
}

/// A test of a release, whatever it asks.
fn probed(name: &str) -> ReleaseTest {
    ReleaseTest {
        name: name.to_owned(),
        ask: Ask::Probe(Probe::Tcp(80)),
        retries: 0,
        timeout: Duration::from_secs(1),
    }
}

pub(super) fn refused(what: &str) -> Failure {
    Failure::refused(Fault::new(what, "injected"))
}

fn unreachable(what: &str) -> Failure {
    Failure::of(FailureKind::Unreachable, Fault::new(what, "injected"))
}

impl World {
    pub(super) fn new(seed: u64, hosts: usize) -> Self {
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
            bad: BTreeSet::new(),
            clock: Duration::ZERO,
            least_up: None,
            hung: BTreeMap::new(),
            blemished: false,
            pruned: false,
            trouble_later: false,
        }
    }

    /// By a run like any other.
    pub(super) fn deployed(&mut self, run: u32) {
        good(self, RunKind::Deploy, run, &Strategy::Recreate);
    }

    /// Of a bastion that may be hours ahead or behind.
    fn some_clock(&mut self) -> Stamp {
        Stamp::from_seconds(self.rng.i64(-10_000..10_000))
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

    /// Somebody removes what is not up and has no policy, on one host: candidates, and what is kept.
    fn prune(&mut self) {
        let names: Vec<HostName> = self.hosts.keys().cloned().collect();
        let at = self.rng.usize(0..names.len());
        let state = self.hosts.get_mut(&names[at]).unwrap();
        let count = state.replicas.len();
        let stays = |one: &Replica| one.state.is_up() || one.policy != Policy::No;
        state.replicas.retain(stays);
        if state.replicas.len() < count {
            self.pruned = true;
            self.blemished = true;
        }
    }

    /// The first host whose lease ran out; where nothing else goes on, time passes until then.
    fn given_up(&mut self, pending: &[Step]) -> Option<HostName> {
        let (host, since) = self.hung.iter().min_by_key(|(_, since)| **since)?;
        let (host, since) = (host.clone(), *since);
        let is_alone = !pending.iter().any(|step| self.answers(step));
        if is_alone {
            self.clock = self.clock.max(since + LEASE);
        }
        (self.clock >= since + LEASE).then(|| {
            self.hung.remove(&host);
            host
        })
    }

    /// A connection that is not made is an answer, too.
    fn answers(&self, step: &Step) -> bool {
        step.stage == Stage::Connect || !self.hung.contains_key(&step.host)
    }

    pub(super) fn knows(&self, name: &HostName) -> bool {
        self.hosts.contains_key(name)
    }

    pub(super) fn perform(&mut self, run: &Run, step: &Step, late: bool) -> Result<Finding, Failure> {
        if self.hosts[&step.host].gone || self.hung.contains_key(&step.host) {
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
        // What is verified by a listing is known though the answer was lost; a commit is read back, if that is answered.
        if lost_answer && step.stage == Stage::Commit && self.rng.bool() {
            let given_up = Fault::new("commit", "it was asked to end and had not");
            return Err(Failure::of(FailureKind::Interrupted, given_up));
        }
        if lost_answer && matches!(step.stage, Stage::Pin | Stage::Image | Stage::Commit) {
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
                Ok(Finding::Daemon { id: daemon_id(n) })
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
            | Stage::Sweep => Ok(Finding::Nothing),
            Stage::Regate | Stage::Wave(_, Turn::Regate) => self.regate(run, step),
            Stage::Gate
            | Stage::Before
            | Stage::After
            | Stage::Bake
            | Stage::Wave(_, Turn::Gate | Turn::Before) => {
                if self.bad.contains(name) {
                    return Err(refused("pass the gate"));
                }
                let scene = Scene::new(run.plan(), run.decision().unwrap(), name).at(&step.stage);
                let replicas = &self.hosts[name].replicas;
                let mut new = scene.new_ones(replicas);
                if new.any(|replica| replica.state != Up::Running) || !scene.missing(replicas).is_empty() {
                    return Err(refused("pass the gate"));
                }
                Ok(Finding::Nothing)
            }
            Stage::Commit | Stage::Copy => {
                let at = self.some_clock();
                let decision = run.decision().unwrap();
                let mut entry = decision.ledger_entry(run.plan(), at, LedgerResult::Committed);
                if let Some(part) = run.part() {
                    entry.only_for(&part.hosts);
                }
                let others = self
                    .hosts
                    .iter()
                    .filter(|(host, state)| *host != name && !state.gone);
                let others = joined(others.map(|(_, state)| &state.ledger));
                let ledger = &mut self.hosts.get_mut(name).unwrap().ledger;
                *ledger = ledger.clone().filled_from(others.as_ref()).with(entry);
                Ok(Finding::Nothing)
            }
            Stage::Record => {
                let at = self.some_clock();
                let decision = run.decision().unwrap();
                let entry = decision.ledger_entry(run.plan(), at, run.ledger_result());
                let state = self.hosts.get_mut(name).unwrap();
                state.ledger = state.ledger.with(entry);
                Ok(Finding::Nothing)
            }
            Stage::Inquire => {
                let decision = run.decision().unwrap();
                let run = &run.plan().run;
                let ledger = &self.hosts[name].ledger;
                let committed = ledger.committed().find(|entry| entry.run == *run);
                let part = committed.filter(|entry| !entry.is_whole(&decision.order));
                Ok(Finding::Committed {
                    yes: committed.is_some(),
                    superseded: decision.is_superseded(run, ledger),
                    undone: ledger.is_undone(run),
                    part: part.map(|entry| entry.hosts.iter().cloned().collect()),
                })
            }
            Stage::Check | Stage::Prove | Stage::Look => {
                Ok(Finding::Replicas(self.hosts[name].replicas.clone()))
            }
            Stage::Unlock => {
                self.hosts.get_mut(name).unwrap().lock = None;
                Ok(Finding::Nothing)
            }
            stage => self.deeds(run, stage, name),
        }
    }

    /// What was good before may fall over now that it is started again.
    fn regate(&mut self, run: &Run, step: &Step) -> Result<Finding, Failure> {
        let falls_over = self.chance(self.faults / 4);
        let scene = Scene::new(run.plan(), run.decision().unwrap(), &step.host).at(&step.stage);
        let replicas = &mut self.hosts.get_mut(&step.host).unwrap().replicas;
        let old: Vec<ContainerId> = scene.old_ones(replicas).map(|old| old.id.clone()).collect();
        let mut old = replicas.iter_mut().filter(|replica| old.contains(&replica.id));
        if falls_over && let Some(one) = old.next() {
            one.state = Up::Exited { code: 1, oom: false };
            self.blemished = true;
            return Err(refused("pass the gate of the old"));
        }
        if old.any(|replica| replica.state != Up::Running) {
            return Err(refused("pass the gate of the old"));
        }
        Ok(Finding::Nothing)
    }

    fn deeds(&mut self, run: &Run, stage: &Stage, name: &HostName) -> Result<Finding, Failure> {
        let decision = run.decision().unwrap();
        let scene = Scene::new(run.plan(), decision, name);
        for deed in scene.deeds(stage, &self.hosts[name].replicas) {
            if self.chance(self.faults / 4) {
                continue;
            }
            self.carry(&deed, decision.release, run.plan().run.as_str(), name);
            let up = self.hosts.values().flat_map(|state| &state.replicas);
            let up = up.filter(|replica| replica.state.is_up()).count();
            assert!(self.least_up.is_none_or(|least| up >= least), "{up} are up");
        }
        match scene.deeds(stage, &self.hosts[name].replicas).first() {
            None if stage.is(Is::StartingNew)
                && let Some(name) = scene.at(stage).missing(&self.hosts[name].replicas).first() =>
            {
                Err(refused(&format!("start {name}")))
            }
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
                grace: None,
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

    pub(super) fn facts(&self, name: &HostName) -> HostFacts {
        let n: usize = name.as_str().trim_start_matches("web-").parse().unwrap();
        let state = &self.hosts[name];
        HostFacts {
            engine: engine(n),
            replicas: state.replicas.clone(),
            strangers: Vec::new(),
            sought: Vec::new(),
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
            not_pulled: None,
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
    fn shape(&self) -> Shape {
        let mut shape: Shape = self
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
    remove: u32,
}

struct Told {
    outcome: Outcome,
    decision: Option<pilothouse::release::decision::Decision>,
    crashes: u32,
    records: Vec<Record>,
    /// What its last process saw of each host when it last compared it.
    seen: BTreeMap<HostName, Vec<Replica>>,
    /// Whether that one knew of a commit.
    knew: bool,
}

/// One run from its beginning to its end.
fn drive(world: &mut World, plan: &Plan, mood: &Mood) -> Told {
    let opened = Record {
        schema: pilothouse::release::record::SCHEMA,
        n: 1,
        at: Stamp(0),
        entry: Entry::Opened(Box::new(plan.clone())),
    };
    drive_on(world, Run::new(plan.clone()), vec![opened], mood)
}

/// One run to its end; a crash drops machine and steps and goes on from the records alone.
#[expect(clippy::too_many_lines, reason = "one loop, read from top to bottom")]
fn drive_on(world: &mut World, mut run: Run, mut records: Vec<Record>, mood: &Mood) -> Told {
    let plan = run.plan().clone();
    let mut crashes = 0;
    let reboot_before = world.after_reboot();
    let write = |records: &mut Vec<Record>, entry: Entry| {
        let n = records.last().map_or(1, |last| last.n + 1);
        if is_replay() {
            println!("{n} {}", told(&entry));
        }
        records.push(Record {
            schema: pilothouse::release::record::SCHEMA,
            n,
            at: Stamp(0),
            entry,
        });
    };
    'process: loop {
        let mut actions = run.start();
        let mut pending: Vec<Step> = Vec::new();
        let mut seen: BTreeMap<HostName, Vec<Replica>> = BTreeMap::new();
        let mut knew = Left::read(&records).unwrap().committed;
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
                            records,
                            seen,
                            knew,
                        };
                    }
                    Action::Leave { .. } => {
                        // The host comes back later, and recovery is asked again.
                        for state in world.hosts.values_mut() {
                            state.gone = false;
                        }
                        world.hung.clear();
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
            // What comes up behind the proof because its retirement failed and was said is the next run's to retire.
            let is_proven = |step: &Step| matches!(step.stage, Stage::Prove | Stage::CleanUp | Stage::Unlock);
            let proven = run.way() == Way::On && pending.iter().any(is_proven);
            if !proven && world.chance(mood.restart) {
                let names: Vec<HostName> = world.hosts.keys().cloned().collect();
                let at = world.rng.usize(0..names.len());
                world.restart(&names[at]);
                world.blemished = true;
                world.trouble_later = true;
            }
            // What went before its snapshot was never there, and what goes behind its proof is another story.
            if run.way() == Way::Out && run.decision().is_some() && world.chance(mood.remove) {
                world.prune();
            }
            assert!(!pending.is_empty(), "nothing is under way and it is not closed");
            if let Some(host) = world.given_up(&pending) {
                world.hosts.get_mut(&host).unwrap().gone = true;
                pending.retain(|other| other.host != host);
                actions = run.on(Fact::HostLost(
                    host,
                    "its lease could not be renewed for 30 s".to_owned(),
                ));
                continue;
            }
            let answering: Vec<usize> = (0..pending.len())
                .filter(|at| world.answers(&pending[*at]))
                .collect();
            let at = answering[world.rng.usize(0..answering.len())];
            let step = pending.swap_remove(at);
            world.clock += Duration::from_millis(world.rng.u64(5..4_000));
            if world.chance(mood.lose) {
                // Whether the request was carried out before it fell silent nobody knows.
                if world.rng.bool() {
                    let late = run.way() != Way::Out;
                    drop(world.perform(&run, &step, late));
                }
                world.hung.insert(step.host.clone(), world.clock);
                world.blemished = true;
                world.trouble_later = true;
                pending.push(step);
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
                let late = run.way() != Way::Out;
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
                    match &done {
                        Ok(Finding::Replicas(now)) => drop(seen.insert(step.host.clone(), now.clone())),
                        Ok(Finding::Committed { yes, .. }) => knew |= yes,
                        Ok(_) => knew |= step.stage == Stage::Commit,
                        Err(_) => {}
                    }
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
    world.bad.clear();
    world.hung.clear();
    for state in world.hosts.values_mut() {
        state.gone = false;
    }
    world.blemished = false;
    world.trouble_later = false;
}

fn good(world: &mut World, kind: RunKind, run: u32, strategy: &Strategy) {
    calm(world);
    let plan = plan(kind, run, world.hosts.len(), strategy);
    let told = drive(world, &plan, &Mood::default());
    assert_eq!(told.outcome, Outcome::Converged);
    assert_converged(world, &told);
}

fn assert_on(name: &HostName, state: &HostState, release: ReleaseNumber) {
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

fn assert_converged(world: &World, told: &Told) {
    let release = told.decision.as_ref().unwrap().release;
    for (name, state) in &world.hosts {
        assert_on(name, state, release);
    }
}

/// What is kept is wholly new, the rest exactly as before; and from there both ways on are open.
fn assert_split(world: &mut World, told: &Told, before: &Shape, strategy: &Strategy) {
    let release = told.decision.as_ref().unwrap().release;
    // A copy may have failed.
    let history = joined(world.hosts.values().map(|state| &state.ledger)).unwrap();
    let entry = history.committed().next_back().unwrap().clone();
    assert_eq!(entry.release, release);
    assert!(!entry.hosts.is_empty() && entry.hosts.len() < world.hosts.len());
    for (name, state) in &world.hosts {
        assert_eq!(state.lock, None, "{name}");
        if entry.hosts.contains(name) {
            assert_on(name, state, release);
        }
    }
    let rest = |shape: &Shape| -> Shape {
        let rest = shape.iter().filter(|(host, ..)| !entry.hosts.contains(host));
        rest.cloned().collect()
    };
    assert_eq!(rest(&world.shape()), rest(before));
    let kind = [RunKind::Deploy, RunKind::Rollback][world.rng.usize(0..2)];
    good(world, kind, 4, strategy);
}

/// Its first host answers again: what the ledger there says is done.
fn assert_known_again(world: &mut World, told: Told, before: &Shape) {
    calm(world);
    let left = Left::read(&told.records).unwrap();
    let (run, is_part) = (left.plan.run.clone(), left.part.is_some());
    let first = &left.decision.as_ref().unwrap().order[0];
    let committed = world.hosts[first].ledger.is_committed(&run);
    let again = drive_on(world, Run::resumed(left), told.records, &Mood::default());
    match again.outcome {
        Outcome::Converged => {
            assert!(committed);
            assert_converged(world, &again);
        }
        Outcome::Reverted { .. } => {
            assert!(!committed);
            assert_eq!(world.shape(), *before);
        }
        Outcome::NeedsHuman { .. } if committed && is_part || world.pruned => {}
        Outcome::NeedsHuman { differences, .. } => panic!("{differences:?}"),
    }
}

/// Somebody takes the locks away and deploys: what the run left is not undone and not finished any more.
fn assert_void(world: &mut World, told: Told, strategy: &Strategy) {
    for state in world.hosts.values_mut() {
        state.lock = None;
    }
    good(world, RunKind::Deploy, 4, strategy);
    let before = world.shape();
    let left = Left::read(&told.records).unwrap();
    if left.decision.is_none() {
        return;
    }
    let again = drive_on(world, Run::resumed(left), told.records, &Mood::default());
    assert_eq!(world.shape(), before, "{:?}", again.outcome);
    assert!(
        world.hosts.values().all(|state| state.lock.is_none()),
        "a lock was left"
    );
}

fn a_strategy(rng: &mut Rng, hosts: usize) -> Strategy {
    if rng.u32(0..4) == 0 {
        return Strategy::Recreate;
    }
    let batches = [
        Batch::Count(1),
        Batch::Count(3),
        Batch::Percent(50),
        Batch::Percent(25),
    ];
    Strategy::Rolling(Rolling {
        batch: batches[rng.usize(0..batches.len())],
        order: [Order::StopFirst, Order::StartFirst][rng.usize(0..2)],
        on_failure: [OnFailure::Revert, OnFailure::Pause][rng.usize(0..2)],
        canary: rng.bool().then(|| host(1 + rng.usize(0..hosts))),
    })
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Converged,
    Reverted,
    Split,
    Human,
}

/// Whatever of a host was seen and differs is named, and only that; and so is each host that was not seen.
fn assert_differences(world: &World, before: &BTreeMap<HostName, Vec<Replica>>, told: &Told) {
    let Outcome::NeedsHuman { differences, .. } = &told.outcome else {
        return;
    };
    let Some(decision) = &told.decision else { return };
    let plan = Left::read(&told.records).unwrap().plan;
    let history = joined(world.hosts.values().map(|state| &state.ledger));
    let entry = history.as_ref().filter(|_| told.knew).map(|ledger| {
        let mut committed = ledger.committed();
        committed.find(|entry| entry.run == plan.run).unwrap()
    });
    for (name, before) in before {
        let Some(now) = told.seen.get(name) else {
            let is_named = |line: &String| line.starts_with(name.as_str());
            assert!(
                differences.iter().any(is_named),
                "{name} was not looked at: {differences:?}"
            );
            continue;
        };
        let promised = match entry {
            Some(entry) if entry.hosts.contains(name) => Promised::Release(decision.release, 2),
            Some(_) | None => Promised::Before(before),
        };
        assert_named(name, &promised, now, differences, &format!("{:?}", told.outcome));
    }
}

/// One seed: a fleet with two releases, then one run in a hostile world, then what it says against what is.
fn episode(seed: u64) -> Ending {
    let hosts = 1 + usize::try_from(seed % 4).unwrap();
    let mut world = World::new(seed, hosts);
    let strategy = a_strategy(&mut world.rng, hosts);
    good(&mut world, RunKind::Deploy, 1, &strategy);
    good(&mut world, RunKind::Deploy, 2, &strategy);
    calm(&mut world);
    let kind = if world.rng.bool() {
        RunKind::Deploy
    } else {
        RunKind::Rollback
    };
    if world.chance(400) {
        world.bad = (0..2).map(|_| host(1 + world.rng.usize(0..hosts))).collect();
    }
    world.faults = [0, 0, 0, 100][world.rng.usize(0..4)];
    let mut one_of = |choices: [u32; 4]| choices[world.rng.usize(0..4)];
    let mood = Mood {
        crash: one_of([0, 5, 20, 100]),
        lose: one_of([0, 0, 0, 15]),
        cancel: one_of([0, 0, 0, 20]),
        restart: one_of([0, 0, 0, 10]),
        remove: one_of([0, 0, 0, 20]),
    };
    let before = world.shape();
    let replicas = |(name, state): (&HostName, &HostState)| (name.clone(), state.replicas.clone());
    let replicas: BTreeMap<HostName, Vec<Replica>> = world.hosts.iter().map(replicas).collect();
    let mut plan = plan(kind, 3, hosts, &strategy);
    if world.rng.bool() {
        let deploy = plan.service.deploy.as_mut().unwrap();
        deploy.before_switch = vec![probed("smoke")];
        deploy.after_switch = vec![probed("check")];
    }
    let told = drive(&mut world, &plan, &mood);
    match &told.outcome {
        Outcome::Converged => {
            assert_converged(&world, &told);
            Ending::Converged
        }
        Outcome::Reverted { .. } => {
            assert_eq!(world.shape(), before, "it said reverted");
            assert!(
                world.hosts.values().all(|state| state.lock.is_none()),
                "a lock was left"
            );
            Ending::Reverted
        }
        Outcome::NeedsHuman { differences, .. } if matches!(&differences[..], [only] if only.starts_with("SPLIT: ")) =>
        {
            assert_split(&mut world, &told, &before, &strategy);
            Ending::Split
        }
        Outcome::NeedsHuman { differences, .. } => {
            assert!(!differences.is_empty(), "it says what is different");
            assert_differences(&world, &replicas, &told);
            assert!(
                world.blemished || world.trouble_later || world.faults > 0,
                "nothing was in its way: {differences:?}, {} crashes",
                told.crashes
            );
            if format!("{:?}", told.outcome).contains("it is unknown whether it was committed") {
                assert_known_again(&mut world, told, &before);
            } else {
                assert_void(&mut world, told, &strategy);
            }
            Ending::Human
        }
    }
}

/// One episode alone, each record printed: `PILOTHOUSE_SEED=17 cargo test --test it -- whatever_goes --nocapture`.
fn replayed() -> Option<u64> {
    std::env::var("PILOTHOUSE_SEED").ok()?.parse().ok()
}

fn is_replay() -> bool {
    replayed().is_some()
}

fn told(entry: &Entry) -> String {
    match entry {
        Entry::Intent(step) => format!("intent {step}"),
        Entry::Done { step, .. } => format!("done {step}"),
        Entry::Failed { step, why, .. } => format!("failed {step}: {}", why.fault),
        Entry::Opened(_) | Entry::Decided(_) => "plan or decision".to_owned(),
        other => format!("{other:?}"),
    }
}

const EPISODES: u64 = 10_000;

#[test]
fn whatever_goes_wrong_the_result_is_what_the_world_is() {
    if let Some(seed) = replayed() {
        println!("seed {seed}: {:?}", episode(seed));
        return;
    }
    let mut endings: BTreeMap<Ending, u32> = BTreeMap::new();
    for seed in 0..EPISODES {
        match std::panic::catch_unwind(|| episode(seed)) {
            Ok(ending) => *endings.entry(ending).or_default() += 1,
            Err(panic) => {
                println!("replay it with PILOTHOUSE_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{EPISODES} episodes: {endings:?}");
    for (ending, least) in [
        (Ending::Converged, 500),
        (Ending::Reverted, 500),
        (Ending::Split, 50),
        (Ending::Human, 100),
    ] {
        assert!(endings.get(&ending).copied() > Some(least), "{endings:?}");
    }
}

/// A calm world, looked at after every step.
#[test]
fn a_rolling_run_never_has_fewer_up_than_its_batch_allows() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let hosts = 1 + rng.usize(0..5);
        let strategy = a_strategy(&mut rng, hosts);
        let Strategy::Rolling(rolling) = &strategy else {
            continue;
        };
        let mut world = World::new(seed, hosts);
        good(&mut world, RunKind::Deploy, 1, &strategy);
        let all = hosts * 2;
        let least = match rolling.order {
            Order::StopFirst => all - rolling.batch.size(all).min(all),
            Order::StartFirst => all,
        };
        world.least_up = Some(least);
        good(&mut world, RunKind::Deploy, 2, &strategy);
        good(&mut world, RunKind::Rollback, 3, &strategy);
    }
}

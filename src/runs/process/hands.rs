//! The hands of a run: one step done on one host, by the daemon it is connected to.
//! Looks at the lock before every change, writes the intent down before it is done, and what came of it afterwards.

mod custom;
mod images;
mod pushes;
mod left;
mod ledgers;
mod locking;
mod placing;
mod switch;
mod testing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::pen::Pen;
use crate::config::Host;
use crate::domain::fault::Fault;
use crate::domain::host::EngineKind;
use crate::domain::ids::{ContainerId, HostName, ImageId};
use crate::domain::order::Access;
use crate::domain::plan::Wait;
use crate::domain::reference::Reference;
use crate::hosts::{Daemon, connect};
use crate::release::decision::Decision;
use crate::release::deeds::Scene;
use crate::release::ledger::{Ledger, LedgerResult};
use crate::release::plan::Plan;
use crate::release::record::{Entry, Failure, FailureKind, Finding, Tags};
use crate::release::stage::{Stage, Step, Turn, Way};
use crate::runs::begin::logins::Logins;
use crate::runs::begin::secrets::Secrets;
use crate::runs::disk::state::State;
use crate::runs::step::fence::{Fence, Renewed};
use crate::runs::step::{Progress as _, adopt, carry, gate, lock, replicas, spent, survey};

/// On the way back and on, a daemon that restarts is waited for: shorter than the lease, whose end ends the waiting.
const PATIENCE: Duration = Duration::from_secs(25);
const PAUSE: Duration = Duration::from_millis(500);
/// Behind the gate of an undo.
const OLD_STEADY: Duration = Duration::from_secs(5);

pub struct Hands {
    pub plan: Plan,
    pub hosts: BTreeMap<HostName, Host>,
    /// Every host that can be reached from here, and where runs are kept here: for a run that is found unfinished.
    pub known: Vec<Host>,
    pub state: State,
    /// The machine that this process runs on.
    pub machine: String,
    /// For whoever holds a lock on another machine.
    pub wait: Wait,
    pub secrets: Secrets,
    pub logins: Logins,
    /// For builders alone.
    pub bases: Logins,
    pub pen: Pen,
    /// The run turned back: what can end early does.
    pub interrupt: CancellationToken,
    /// It was told to stop where it is: what is always done ends early, too.
    pub stop: CancellationToken,
    /// The run's folder: where a person's word is found.
    dir: PathBuf,
    held: Mutex<Held>,
}

/// What the steps learn from each other.
#[derive(Default)]
struct Held {
    daemons: BTreeMap<HostName, Daemon>,
    locks: BTreeMap<HostName, ContainerId>,
    /// When their leases were renewed.
    renewed: BTreeMap<HostName, Arc<Renewed>>,
    decision: Option<Arc<Decision>>,
    /// An earlier process decided it: locks are taken up again.
    resumed: bool,
    /// What goes into the ledgers of a run that was not committed.
    result: Option<LedgerResult>,
    way: Option<Way>,
    /// What the stages of the service's own that are under way are told of it.
    result_so_far: &'static str,
    /// Of a run that was paused: what is committed of it.
    kept: Option<BTreeSet<HostName>>,
    stage: String,
    /// What all copies of the ledger say together, once it was committed: the others are filled up from it.
    history: Option<Arc<Ledger>>,
    /// The image of the run, once it is known: its id, its reference, a host that has it.
    image: Option<Named>,
    /// What the tags named before the run.
    tags: BTreeMap<HostName, Tags>,
    /// For others, so far: its own work does not count.
    waited: Duration,
    /// What the run built, whatever its tags name by now.
    built: Option<ImageId>,
    /// And for stages of its Dockerfile, by their tags.
    staged: BTreeMap<String, ImageId>,
    /// How many tests under way stand on an image that was brought there for them.
    lent: BTreeMap<(HostName, ImageId), usize>,
}

/// The one image of a run that builds or tests, and a host that has it.
#[derive(Clone, Debug)]
struct Named {
    id: ImageId,
    reference: String,
    on: HostName,
    /// What its registry calls it, where it was pushed.
    pinned: Option<Reference>,
}

/// Everything that the hands need to begin.
pub struct Tools {
    pub plan: Plan,
    pub hosts: Vec<Host>,
    pub known: Vec<Host>,
    pub state: State,
    pub machine: String,
    pub wait: Wait,
    pub secrets: Secrets,
    pub logins: Logins,
    pub bases: Logins,
    pub pen: Pen,
    pub dir: PathBuf,
    pub resumed: Option<Decision>,
    /// What an earlier process of this run found its tags to name.
    pub tags: BTreeMap<HostName, Tags>,
    /// And what it built.
    pub built: Option<ImageId>,
}

impl Hands {
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self {
            plan: tools.plan,
            hosts: tools
                .hosts
                .into_iter()
                .map(|host| (host.name.clone(), host))
                .collect(),
            known: tools.known,
            state: tools.state,
            machine: tools.machine,
            wait: tools.wait,
            secrets: tools.secrets,
            logins: tools.logins,
            bases: tools.bases,
            pen: tools.pen,
            interrupt: CancellationToken::new(),
            stop: CancellationToken::new(),
            dir: tools.dir,
            held: Mutex::new(Held {
                resumed: tools.resumed.is_some(),
                decision: tools.resumed.map(Arc::new),
                tags: tools.tags,
                built: tools.built,
                ..Held::default()
            }),
        }
    }

    /// Nothing is held across an await, and nobody panics while holding it.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For its turn, or for a lock.
    pub fn has_waited(&self, long: Duration) {
        self.held().waited += long;
    }

    pub fn decided(&self, decision: Decision) {
        self.held().decision = Some(Arc::new(decision));
    }

    pub fn turned(&self, way: Way) {
        let mut held = self.held();
        held.way = Some(way);
        if way == Way::Back {
            held.kept = None;
        }
    }

    pub fn kept(&self, hosts: BTreeSet<HostName>) {
        self.held().kept = Some(hosts);
    }

    pub fn will_record(&self, result: LedgerResult) {
        self.held().result = Some(result);
    }

    /// What the leases say of the run.
    #[must_use]
    pub fn stage(&self) -> String {
        self.held().stage.clone()
    }

    #[must_use]
    pub fn lock_of(&self, host: &HostName) -> Option<(Daemon, ContainerId)> {
        let held = self.held();
        Some((held.daemons.get(host)?.clone(), held.locks.get(host)?.clone()))
    }

    /// With the lease that its keeper renews.
    pub fn fence_of(&self, host: &HostName) -> Result<Fence, Failure> {
        let held = self.held();
        let lock = held.locks.get(host).zip(held.renewed.get(host));
        let (Some((lock, renewed)), Some(daemon)) = (lock, held.daemons.get(host)) else {
            return Err(not_locked(host));
        };
        Ok(Fence {
            daemon: daemon.clone(),
            subject: self.plan.subject.clone(),
            lock: lock.clone(),
            renewed: Arc::clone(renewed),
        })
    }

    fn daemon(&self, host: &HostName) -> Result<Daemon, Failure> {
        self.held().daemons.get(host).cloned().ok_or_else(|| {
            Failure::of(
                FailureKind::Unreachable,
                Fault::new(format!("reach {host}"), "it is not connected"),
            )
        })
    }

    fn decision(&self) -> Result<Arc<Decision>, Failure> {
        self.held()
            .decision
            .clone()
            .ok_or_else(|| Failure::refused(Fault::new("go on", "nothing was decided yet")))
    }

    /// Fence, intent, deed, proof, done: in this order. The error is the journal's: without it nothing more is done.
    pub async fn take(&self, step: &Step) -> Result<Result<Finding, Failure>, Fault> {
        let begun = Instant::now();
        self.held().stage = step.stage.to_string();
        let allowed = match self.fence(step).await {
            Ok(()) => self.places(step).await,
            Err(failure) => Err(failure),
        };
        let begun = if allowed.is_ok() { Instant::now() } else { begun };
        let done = match &allowed {
            Ok(_places) => {
                self.pen.write(Entry::Intent(step.clone()))?;
                Box::pin(self.with_patience(step)).await
            }
            Err(failure) => Err(failure.clone()),
        };
        drop(allowed);
        let took = begun.elapsed();
        let step = step.clone();
        match done {
            Ok(finding) => {
                self.pen.write(Entry::Done {
                    step,
                    took,
                    finding: journaled(&finding),
                })?;
                Ok(Ok(finding))
            }
            Err(failure) => {
                let failure = self.pen.clean(failure);
                if let Some(hint) = &failure.fault.hint {
                    self.pen.teller(&step).line(&format!("hint: {hint}"));
                }
                self.pen.write(Entry::Failed {
                    step,
                    took,
                    why: failure.clone(),
                })?;
                Ok(Err(failure))
            }
        }
    }

    async fn fence(&self, step: &Step) -> Result<(), Failure> {
        if !self.plan.is_release() || !step.stage.changes() {
            return Ok(());
        }
        let opened = Instant::now();
        loop {
            let Ok(fence) = self.fence_of(&step.host) else {
                // Only locks are left to look for: a run that had not decided anything.
                return if step.stage == Stage::Unlock {
                    Ok(())
                } else {
                    Err(not_locked(&step.host))
                };
            };
            match fence.stands().await {
                Err(failure) if self.may_wait(&failure, opened) => self.reconnect(&step.host).await,
                other => return other,
            }
        }
    }

    /// Towards the commit a silent host turns the run back; on the ways after that it is waited for.
    fn may_wait(&self, failure: &Failure, opened: Instant) -> bool {
        let way = self.held().way;
        failure.kind == FailureKind::Unreachable
            && matches!(way, Some(Way::Back | Way::On))
            && opened.elapsed() < PATIENCE
    }

    async fn with_patience(&self, step: &Step) -> Result<Finding, Failure> {
        let opened = Instant::now();
        loop {
            match Box::pin(self.act(step)).await {
                Err(failure) if self.may_wait(&failure, opened) => self.reconnect(&step.host).await,
                other => return other,
            }
        }
    }

    /// A link that was cut does not come back by itself.
    async fn reconnect(&self, host: &HostName) {
        tokio::time::sleep(PAUSE).await;
        if let Some(known) = self.hosts.get(host)
            && let Ok(daemon) = connect(known, Access::Full).await
        {
            self.held().daemons.insert(host.clone(), daemon);
        }
    }

    async fn act(&self, step: &Step) -> Result<Finding, Failure> {
        let host = &step.host;
        if step.stage == Stage::Connect {
            return self.connect(host).await;
        }
        if let Stage::Local(name) = &step.stage {
            return self.local(step, name).await;
        }
        let daemon = self.daemon(host)?;
        match &step.stage {
            Stage::Connect | Stage::Local(_) => Ok(Finding::Nothing),
            Stage::Mark => self.mark(&daemon).await,
            Stage::Build => self.build(step, &daemon).await,
            Stage::Test(name) => self.test(step, &daemon, name).await,
            Stage::Fetch | Stage::Image => self.image(step, &daemon).await,
            Stage::Push => self.push(step, &daemon).await,
            Stage::Run(name) => self.run(step, &daemon, name).await,
            Stage::Sweep => self.sweep(step, &daemon).await,
            Stage::Lock => Box::pin(self.lock(step, &daemon)).await,
            Stage::Preflight => {
                self.fetch_from_registry(step, &daemon).await?;
                Ok(Finding::Facts(Box::new(
                    survey::survey(&daemon, &self.plan, &self.wanted()).await?,
                )))
            }
            Stage::Pin => self.pin(host, &daemon).await,
            Stage::Adopt => self.adopt(&daemon).await,
            Stage::Disown => {
                let release = self.decision()?.release;
                adopt::forget(&daemon, &self.plan.subject, release).await?;
                Ok(Finding::Nothing)
            }
            Stage::Gate | Stage::Bake | Stage::Wave(_, Turn::Gate) => {
                self.gate(step, &daemon, gate::Whose::New).await
            }
            Stage::Before | Stage::Wave(_, Turn::Before) => self.before_switch(step, &daemon).await,
            Stage::After => self.after_switch(step, &daemon).await,
            Stage::Regate | Stage::Wave(_, Turn::Regate) => self.gate(step, &daemon, gate::Whose::Old).await,
            Stage::Commit => self.commit(host).await,
            Stage::Copy => self.copy(host).await,
            Stage::Record => self.record(host).await,
            Stage::Inquire => self.inquire(&daemon).await,
            Stage::Check | Stage::Prove => {
                let now = replicas::replicas(&daemon, &self.plan.subject).await?;
                Ok(Finding::Replicas(now))
            }
            Stage::Create
            | Stage::Stop
            | Stage::Start
            | Stage::Wave(_, Turn::Stop | Turn::Start | Turn::Halt | Turn::Restore)
            | Stage::Halt
            | Stage::Restore
            | Stage::Remove
            | Stage::Settle
            | Stage::Promote
            | Stage::Retire
            | Stage::CleanUp => {
                let decision = self.decision()?;
                let scene = self.scene(&decision, host);
                let fence = self.fence_of(host)?;
                Box::pin(carry::carry_out(&scene, &step.stage, &self.secrets, &fence)).await?;
                if step.stage == Stage::CleanUp {
                    adopt::forget_beside(&daemon, &self.plan.subject, &decision.keep).await?;
                    spent::clean_up(&daemon, &scene, &mut self.pen.teller(step)).await?;
                }
                Ok(Finding::Nothing)
            }
            Stage::Unlock => {
                // First here: who keeps the lease would take it for stolen.
                self.held().locks.remove(host);
                lock::release(&daemon, &self.plan.subject, self.plan.run.as_str()).await?;
                Ok(Finding::Nothing)
            }
        }
    }

    fn scene<'a>(&'a self, decision: &'a Decision, host: &'a HostName) -> Scene<'a> {
        Scene::new(&self.plan, decision, host)
    }

    async fn connect(&self, host: &HostName) -> Result<Finding, Failure> {
        let known = self.hosts.get(host).ok_or_else(|| {
            Failure::refused(Fault::new(
                format!("reach {host}"),
                "the configuration does not name it",
            ))
        })?;
        let daemon = connect(known, Access::Full)
            .await
            .map_err(|unreached| Failure::of(FailureKind::Unreachable, unreached.fault()))?;
        if self.plan.is_release()
            && daemon.engine().kind == EngineKind::Podman
            && self.plan.targets.contains(host)
        {
            return Err(Failure::refused(Fault::new(
                format!("{} {} on {host}", self.plan.kind.word(), self.plan.subject),
                "Podman cannot change a container's restart policy, so a reboot would start the wrong release",
            )));
        }
        let id = daemon.engine().daemon_id.clone();
        let decided = self.held().decision.clone();
        if let Some(wanted) = decided.and_then(|decision| decision.daemons.get(host).cloned())
            && wanted != id
        {
            return Err(Failure::refused(Fault::new(
                format!("recover {} on {host}", self.plan.subject),
                format!("another daemon answers there than the run was decided for ({id}, not {wanted})"),
            )));
        }
        self.held().daemons.insert(host.clone(), daemon);
        Ok(Finding::Daemon { id })
    }

    async fn gate(&self, step: &Step, daemon: &Daemon, whose: gate::Whose) -> Result<Finding, Failure> {
        let decision = self.decision()?;
        let scene = self.scene(&decision, &step.host).at(&step.stage);
        let deploy = self.plan.deploy();
        let of_release = decision.gate.as_ref().or_else(|| Some(&deploy.as_ref()?.gate));
        let mut limits = of_release.cloned().unwrap_or_default();
        if step.stage == Stage::Bake {
            limits.steady = deploy.map_or(Duration::ZERO, |deploy| deploy.bake);
            limits.within = limits.within.saturating_add(limits.steady);
        }
        if whose == gate::Whose::Old {
            // It proved itself before: long enough to see that it did not fall over again.
            limits.steady = limits.steady.min(OLD_STEADY);
            limits.probe = None;
        }
        let mut teller = self.pen.teller(step);
        let never = CancellationToken::new();
        let cancel = if step.stage.can_be_interrupted() {
            &self.interrupt
        } else {
            &never
        };
        gate::gate(daemon, &scene, whose, &limits, &mut teller, cancel).await?;
        Ok(Finding::Nothing)
    }
}

fn not_locked(host: &HostName) -> Failure {
    let fault = Fault::new(format!("go on on {host}"), "it is not locked by this run");
    Failure::of(FailureKind::Fenced, fault)
}

/// Facts and listings are not journaled whole: the decision keeps what counts of them.
fn journaled(finding: &Finding) -> Finding {
    match finding {
        Finding::Facts(_) | Finding::Replicas(_) => Finding::Nothing,
        Finding::Nothing
        | Finding::Daemon { .. }
        | Finding::Lock { .. }
        | Finding::Image { .. }
        | Finding::Pushed { .. }
        | Finding::Tags(_)
        | Finding::Approved { .. }
        | Finding::Committed { .. }
        | Finding::Unknown { .. } => finding.clone(),
    }
}

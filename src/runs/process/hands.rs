//! Carries out the steps of a run: one step on one host, through the daemon's connection.
//! Checks the lock before every change, journals the intent before it and the outcome after it.

mod custom;
mod images;
mod pushes;
mod left;
mod ledgers;
mod locking;
mod looking;
mod placing;
mod stopping;
mod switch;
mod testing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::locking::not_locked;
use super::pen::Pen;
use crate::config::Host;
use crate::domain::fault::Fault;
use crate::domain::host::EngineKind;
use crate::domain::ids::{ContainerId, HostName, ImageId};
use crate::domain::order::Access;
use crate::domain::plan::Wait;
use crate::hosts::{Daemon, connect};
use crate::release::decision::{Decision, RunImage};
use crate::release::deeds::Scene;
use crate::release::facts::HostFacts;
use crate::release::ledger::{Ledger, LedgerResult};
use crate::release::plan::Plan;
use crate::release::record::{Entry, Failure, FailureKind, Finding, Tags};
use crate::release::stage::{Is, Stage, Step, Turn, Way};
use crate::release::stopping::Stopping;
use crate::runs::begin::logins::Logins;
use crate::runs::begin::secrets::{Handed, Secrets};
use crate::runs::disk::state::{RunFile, State};
use crate::runs::step::fence::{Fence, Renewed};
use crate::runs::step::{Progress as _, adopt, answer, carry, gate, lock, replicas, spent, survey};

/// How long to wait for a restarting daemon on the way back and on; shorter than the lease.
const PATIENCE: Duration = Duration::from_secs(25);
const PAUSE: Duration = Duration::from_millis(500);
/// The `for` of the gate after an undo.
const OLD_STEADY: Duration = Duration::from_secs(5);

/// Everything the steps of one run need: plan, hosts, secrets, journal. Carries out one step at a time per call; several
/// steps run concurrently and share what they learn through `held`.
pub struct Hands {
    pub plan: Plan,
    pub hosts: BTreeMap<HostName, Host>,
    /// All configured hosts, and the state folder: for recovering an unfinished run.
    pub known: Vec<Host>,
    pub state: State,
    /// The machine that this process runs on.
    pub machine: String,
    /// How long to wait for a lock held on another machine.
    pub wait: Wait,
    pub secrets: Secrets,
    pub logins: Logins,
    /// Logins passed to builders only.
    pub bases: Logins,
    pub pen: Pen,
    /// Cancelled when the run is being undone: steps that can be interrupted end.
    pub interrupt: CancellationToken,
    /// Cancelled when the run is stopped without undoing the rest: `always` stages end, too.
    pub stop: CancellationToken,
    /// The run's folder, which contains cancels and approvals.
    dir: PathBuf,
    held: Mutex<Held>,
}

/// What the steps share with each other.
#[derive(Default)]
struct Held {
    daemons: BTreeMap<HostName, Daemon>,
    locks: BTreeMap<HostName, ContainerId>,
    /// When their leases were renewed.
    renewed: BTreeMap<HostName, Arc<Renewed>>,
    decision: Option<Arc<Decision>>,
    /// The decision is an earlier process's: its locks are taken over.
    resumed: bool,
    /// The result for the ledgers, if the run is not committed.
    result: Option<LedgerResult>,
    way: Option<Way>,
    /// The value of `PILOTHOUSE_RESULT` for custom stages.
    result_so_far: &'static str,
    /// In a paused run: the hosts that are committed.
    kept: Option<BTreeSet<HostName>>,
    stage: String,
    /// The merged history after the commit, copied to the other hosts.
    history: Option<Arc<Ledger>>,
    /// The image of the run, once it is known: its id, its reference, a host that has it.
    image: Option<RunImage>,
    /// What the tags named before the run.
    tags: BTreeMap<HostName, Tags>,
    /// Total time spent waiting for other runs.
    waited: Duration,
    /// The image the run built, wherever its tags point now.
    built: Option<ImageId>,
    /// Images built from other stages of its Dockerfile, by tag.
    staged: BTreeMap<String, ImageId>,
    stopping: Stopping,
    /// How many tests under way stand on an image that was brought there for them.
    lent: BTreeMap<(HostName, ImageId), usize>,
}

/// Where this process runs and what it writes.
pub struct Local {
    pub state: State,
    pub machine: String,
    /// The run's own folder.
    pub dir: PathBuf,
    pub pen: Pen,
}

/// What an earlier process of the run left; nothing of the first.
#[derive(Default)]
pub struct Earlier {
    pub decision: Option<Decision>,
    /// What it found the run's tags to name.
    pub tags: BTreeMap<HostName, Tags>,
    pub built: Option<ImageId>,
    pub stopping: Stopping,
}

impl Hands {
    #[must_use]
    pub fn new(file: RunFile, handed: Handed, here: Local, earlier: Earlier) -> Self {
        let hosts = file.hosts.into_iter();
        Self {
            plan: file.plan,
            hosts: hosts.map(|host| (host.name.clone(), host)).collect(),
            known: file.known,
            state: here.state,
            machine: here.machine,
            wait: file.wait,
            secrets: handed.secrets,
            logins: handed.logins,
            bases: handed.bases,
            pen: here.pen,
            interrupt: CancellationToken::new(),
            stop: CancellationToken::new(),
            dir: here.dir,
            held: Mutex::new(Held {
                resumed: earlier.decision.is_some(),
                decision: earlier.decision.map(Arc::new),
                tags: earlier.tags,
                built: earlier.built,
                stopping: earlier.stopping,
                ..Held::default()
            }),
        }
    }

    /// Never held across an await.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds time spent waiting for its turn or for a lock.
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

    /// The stage written into the leases.
    #[must_use]
    pub fn stage(&self) -> String {
        self.held().stage.clone()
    }

    #[must_use]
    pub fn lock_of(&self, host: &HostName) -> Option<(Daemon, ContainerId)> {
        let held = self.held();
        Some((held.daemons.get(host)?.clone(), held.locks.get(host)?.clone()))
    }

    /// The fence of a host, with the lease that is being renewed.
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
                Fault::new(format!("reach {host}"), "not connected"),
            )
        })
    }

    fn decision(&self) -> Result<Arc<Decision>, Failure> {
        self.held()
            .decision
            .clone()
            .ok_or_else(|| Failure::refused(Fault::new("go on", "there is no decision yet")))
    }

    /// Checks the fence, journals the intent, acts, verifies, journals the outcome. The outer error is the journal's: nothing more may be done.
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
                self.stops(step);
                match self.wait_for_stops(step).await {
                    Ok(()) if step.stage == Stage::Look => Box::pin(self.look(step)).await,
                    Ok(()) => Box::pin(self.with_patience(step)).await,
                    Err(failure) => Err(failure),
                }
            }
            Err(failure) => Err(failure.clone()),
        };
        drop(allowed);
        self.stopped(step, &done);
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
        if !self.plan.is_release() || !step.stage.is(Is::Changing) {
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

    /// Whether to wait for a silent host: before the commit it makes the run go back, on the way back or on it is waited for.
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

    /// Reconnects a host whose connection was cut.
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
                let not_pulled = self.fetch_from_registry(step, &daemon).await?;
                let facts = survey::survey(&daemon, &self.plan, &self.wanted()).await?;
                Ok(Finding::Facts(Box::new(HostFacts { not_pulled, ..facts })))
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
            Stage::Check | Stage::Prove | Stage::Look => {
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
            | Stage::RetireAgain
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
                "it is not in the configuration",
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
        let id = daemon.id().map_err(answer::unidentified)?.to_owned();
        let decided = self.held().decision.clone();
        if let Some(wanted) = decided.and_then(|decision| decision.daemons.get(host).cloned())
            && wanted != id
        {
            return Err(Failure::refused(Fault::new(
                format!("recover {} on {host}", self.plan.subject),
                format!(
                    "this host is now a different daemon than when the run was planned ({id}, not {wanted})"
                ),
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
        let cancel = if step.stage.is(Is::Interruptible) {
            &self.interrupt
        } else {
            &never
        };
        gate::gate(daemon, &scene, whose, &limits, &mut teller, cancel).await?;
        Ok(Finding::Nothing)
    }
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

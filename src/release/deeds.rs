//! The actions a stage needs on one host, given its current state: the shortest list that reaches what the stage promises.
//! After the actions an empty list is the proof of success; after a crash the list is what recovery has to do.

use std::time::Duration;

use super::decision::Decision;
use super::plan::Plan;
use super::replica::{Policy, Replica, Up};
use super::rolling::Share;
use super::snapshot;
use super::stage::Stage;
use crate::domain::ids::{ContainerId, HostName};

/// One request that changes one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Create {
        name: String,
    },
    Start {
        id: ContainerId,
        name: String,
    },
    Stop {
        id: ContainerId,
        name: String,
        /// Its own: the answer comes at its end.
        grace: Option<Duration>,
    },
    Policy {
        id: ContainerId,
        name: String,
        policy: Policy,
    },
    /// Never forced, never with volumes.
    Remove {
        id: ContainerId,
        name: String,
    },
}

impl Deed {
    /// As in "could not {…}".
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Create { name } => format!("create {name}"),
            Self::Start { name, .. } => format!("start {name}"),
            Self::Stop { name, .. } => format!("stop {name}"),
            Self::Policy { name, policy, .. } => format!("set the restart policy of {name} to {policy}"),
            Self::Remove { name, .. } => format!("remove {name}"),
        }
    }
}

/// One host of one release.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub plan: &'a Plan,
    pub decision: &'a Decision,
    pub host: &'a HostName,
    /// Which of its replicas are looked at; absent: all.
    share: Option<Share>,
}

impl<'a> Scene<'a> {
    #[must_use]
    pub fn new(plan: &'a Plan, decision: &'a Decision, host: &'a HostName) -> Self {
        Self {
            plan,
            decision,
            host,
            share: None,
        }
    }

    /// As this stage sees it: a wave has its own replicas only.
    #[must_use]
    pub fn at(self, stage: &Stage) -> Self {
        match stage {
            Stage::Wave(n, _) => Self {
                share: Some(self.plan.wave(*n).share(self.host)),
                ..self
            },
            _ => self,
        }
    }

    /// Its place among those that come up here, or among those that go; what is neither goes with the last.
    fn place(&self, replica: &Replica) -> usize {
        let place = if self.is_new(replica) {
            let woken = self.woken();
            let made = || self.names().iter().position(|name| *name == replica.name);
            let place = woken.iter().position(|id| *id == replica.id);
            place.or_else(|| made().map(|at| woken.len() + at))
        } else {
            let going = self.before().iter();
            going
                .filter(|was| was.state.is_up() && !self.is_new(was))
                .position(|was| was.id == replica.id)
        };
        place.unwrap_or(usize::MAX)
    }

    fn has(&self, replica: &Replica) -> bool {
        self.share.is_none_or(|share| share.has(self.place(replica)))
    }

    fn before(&self) -> &'a [Replica] {
        self.decision.snapshot.of(self.host)
    }

    fn was(&self, replica: &Replica) -> Option<&'a Replica> {
        self.before().iter().find(|was| was.id == replica.id)
    }

    /// Is it part of what this run brings up?
    #[must_use]
    pub fn is_new(&self, replica: &Replica) -> bool {
        self.woken().contains(&replica.id) || self.is_made(replica)
    }

    /// Kept containers that the run starts again here.
    fn woken(&self) -> &'a [ContainerId] {
        self.decision.wake.get(self.host).map_or(&[], Vec::as_slice)
    }

    fn is_made(&self, replica: &Replica) -> bool {
        replica.run.as_deref() == Some(self.plan.run.as_str()) && self.was(replica).is_none()
    }

    /// What the run brings up, of what is there.
    pub fn new_ones<'r>(&self, now: &'r [Replica]) -> impl Iterator<Item = &'r Replica> {
        let scene = *self;
        now.iter()
            .filter(move |replica| scene.is_new(replica) && scene.has(replica))
    }

    /// What the run has created, of what is there.
    pub fn made<'r>(&self, now: &'r [Replica]) -> impl Iterator<Item = &'r Replica> {
        let scene = *self;
        now.iter().filter(move |replica| scene.is_made(replica))
    }

    /// What was up before and has to be as good as it was after a revert.
    pub fn old_ones<'r>(&self, now: &'r [Replica]) -> impl Iterator<Item = &'r Replica> {
        let scene = *self;
        now.iter().filter(move |replica| {
            scene.was(replica).is_some_and(|was| was.state.is_up()) && scene.has(replica)
        })
    }

    /// What was up before and has not gone down since, as far as can be seen.
    pub fn unmoved<'r>(&self, now: &'r [Replica]) -> impl Iterator<Item = &'r Replica> {
        let scene = *self;
        self.old_ones(now).filter(move |replica| {
            let was = scene.was(replica);
            replica.state.is_up() && was.is_some_and(|was| was.started_at == replica.started_at)
        })
    }

    /// The names that this run makes here: beside those that are kept as many as are missing.
    fn names(&self) -> Vec<String> {
        if !self.decision.make.contains(self.host) {
            return Vec::new();
        }
        let woken = self.woken();
        let is_kept = |name: &String| {
            let mut kept = self.before().iter().filter(|was| woken.contains(&was.id));
            kept.any(|was| was.name == *name)
        };
        let wanted = usize::try_from(self.decision.replicas).unwrap_or(usize::MAX);
        (1..=self.decision.replicas)
            .map(|n| self.plan.subject.replica_name(self.decision.release, n))
            .filter(|name| !is_kept(name))
            .take(wanted.saturating_sub(woken.len()))
            .collect()
    }

    /// The names of what the run brings up here and what is not there: never made, or taken away meanwhile.
    #[must_use]
    pub fn missing(&self, now: &[Replica]) -> Vec<String> {
        let has = |place: usize| self.share.is_none_or(|share| share.has(place));
        let woken = self.woken();
        let kept = woken
            .iter()
            .enumerate()
            .filter(|(place, id)| has(*place) && !now.iter().any(|replica| replica.id == **id));
        let name_of = |id: &ContainerId| {
            let was = self.before().iter().find(|was| was.id == *id);
            was.map_or_else(|| id.short().to_owned(), |was| was.name.clone())
        };
        let names = self.names().into_iter().enumerate();
        let made = names.filter(|(at, name)| has(woken.len() + at) && !self.is_there(name, now));
        kept.map(|(_, id)| name_of(id))
            .chain(made.map(|(_, name)| name))
            .collect()
    }

    /// What `stage` has to do here; empty when it is as the stage promises.
    #[must_use]
    pub fn deeds(&self, stage: &Stage, now: &[Replica]) -> Vec<Deed> {
        match stage {
            Stage::Create => self.create(now),
            Stage::Stop => self.stop_old(now),
            Stage::Start => self.start_new(now),
            Stage::Settle => {
                let mut deeds = self.stop_old(now);
                deeds.extend(self.start_new(now));
                deeds
            }
            Stage::Promote => self.promote(now),
            Stage::Retire | Stage::RetireAgain => self.retire(now),
            Stage::CleanUp => self.clean_up(now),
            Stage::Wave(_, turn) => self.at(stage).deeds(&turn.stage(), now),
            Stage::Halt => self.halt(now),
            Stage::Restore => self.restore(now),
            Stage::Remove => self.remove(now),
            Stage::Connect
            | Stage::Mark
            | Stage::Build
            | Stage::Fetch
            | Stage::Test(_)
            | Stage::Push
            | Stage::Run(_)
            | Stage::Local(_)
            | Stage::Sweep
            | Stage::Lock
            | Stage::Preflight
            | Stage::Pin
            | Stage::Adopt
            | Stage::Disown
            | Stage::Image
            | Stage::Gate
            | Stage::Before
            | Stage::After
            | Stage::Bake
            | Stage::Commit
            | Stage::Inquire
            | Stage::Regate
            | Stage::Check
            | Stage::Copy
            | Stage::Prove
            | Stage::Record
            | Stage::Unlock
            | Stage::Look => Vec::new(),
        }
    }

    fn create(&self, now: &[Replica]) -> Vec<Deed> {
        self.names()
            .into_iter()
            .filter(|name| !self.is_there(name, now))
            .map(|name| Deed::Create { name })
            .collect()
    }

    /// Has the run made what it calls so?
    fn is_there(&self, name: &str, now: &[Replica]) -> bool {
        self.made(now).any(|replica| replica.name == name)
    }

    /// With its restart policy untouched: until the commit a reboot starts it.
    fn stop_old(&self, now: &[Replica]) -> Vec<Deed> {
        now.iter()
            .filter(|replica| !self.is_new(replica) && replica.state.is_up() && self.has(replica))
            .map(stop)
            .collect()
    }

    fn start_new(&self, now: &[Replica]) -> Vec<Deed> {
        self.new_ones(now)
            .filter(|replica| replica.state != Up::Running)
            .map(start)
            .collect()
    }

    /// From here on a reboot starts the new release; in between both, never neither.
    fn promote(&self, now: &[Replica]) -> Vec<Deed> {
        let last = Policy::from(&self.decision.spec.restart);
        self.new_ones(now)
            .filter(|replica| replica.policy != last)
            .map(|replica| policy(replica, last))
            .chain(self.release_old(now))
            .collect()
    }

    /// Once more without their policies, where that was refused before.
    fn retire(&self, now: &[Replica]) -> Vec<Deed> {
        let mut deeds = self.release_old(now);
        let old = now.iter().filter(|replica| !self.is_new(replica));
        deeds.extend(old.filter(|replica| replica.state.is_up()).map(stop));
        deeds
    }

    /// No reboot starts them any more.
    fn release_old(&self, now: &[Replica]) -> Vec<Deed> {
        let old = now.iter().filter(|replica| !self.is_new(replica));
        old.filter(|replica| replica.policy != Policy::No)
            .map(|replica| policy(replica, Policy::No))
            .collect()
    }

    fn clean_up(&self, now: &[Replica]) -> Vec<Deed> {
        now.iter()
            .filter(|replica| {
                !self.is_new(replica)
                    && !replica.state.is_up()
                    && replica
                        .release
                        .is_some_and(|release| !self.decision.keep.contains(&release))
            })
            .map(remove)
            .collect()
    }

    fn halt(&self, now: &[Replica]) -> Vec<Deed> {
        self.new_ones(now)
            .filter(|replica| {
                replica.state.is_up() && !self.was(replica).is_some_and(|was| was.state.is_up())
            })
            .map(stop)
            .collect()
    }

    fn restore(&self, now: &[Replica]) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for replica in now.iter().filter(|replica| self.has(replica)) {
            let Some(was) = self.was(replica) else { continue };
            if replica.policy != was.policy {
                deeds.push(policy(replica, was.policy));
            }
            if was.state.is_up() && !replica.state.is_up() {
                deeds.push(start(replica));
            }
            if !was.state.is_up() && replica.state.is_up() {
                deeds.push(stop(replica));
            }
        }
        deeds
    }

    /// Never forced: what is still up because an earlier stage failed is stopped first.
    fn remove(&self, now: &[Replica]) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for replica in now {
            if !self.is_made(replica) || replica.state == Up::Removing {
                continue;
            }
            if replica.state.is_up() {
                deeds.push(stop(replica));
            }
            deeds.push(remove(replica));
        }
        deeds
    }

    /// What is not as it was before the run; empty is what `reverted` means.
    #[must_use]
    pub fn differences(&self, now: &[Replica]) -> Vec<String> {
        snapshot::differences(self.host, self.before(), now)
    }

    /// What keeps this host from being on the new release; empty is what `converged` means.
    /// A kept container with a restart policy is said, and does not count: the next run retires it.
    #[must_use]
    pub fn unproven(&self, now: &[Replica]) -> Vec<String> {
        let host = self.host;
        let missing = self.missing(now).into_iter();
        let mut found: Vec<String> = missing
            .map(|name| format!("{host}: {name} is not there"))
            .collect();
        let last = Policy::from(&self.decision.spec.restart);
        for replica in now {
            if self.is_new(replica) {
                if replica.state != Up::Running {
                    found.push(format!("{host}: {} is {}", replica.name, replica.state));
                }
                if replica.policy != last {
                    found.push(format!(
                        "{host}: {} has restart policy {}, not {last}",
                        replica.name, replica.policy
                    ));
                }
            } else if replica.state.is_up() {
                found.push(format!(
                    "{host}: {} of the old release is {}",
                    replica.name, replica.state
                ));
            }
        }
        found
    }
}

fn start(replica: &Replica) -> Deed {
    Deed::Start {
        id: replica.id.clone(),
        name: replica.name.clone(),
    }
}

fn stop(replica: &Replica) -> Deed {
    Deed::Stop {
        id: replica.id.clone(),
        name: replica.name.clone(),
        grace: replica.grace,
    }
}

fn policy(replica: &Replica, policy: Policy) -> Deed {
    Deed::Policy {
        id: replica.id.clone(),
        name: replica.name.clone(),
        policy,
    }
}

fn remove(replica: &Replica) -> Deed {
    Deed::Remove {
        id: replica.id.clone(),
        name: replica.name.clone(),
    }
}

//! The order of the stages of a run, forwards and back, and the hosts of each stage.
//! A road is a list of groups; the stages of a group run concurrently, and the next group begins when all have ended.

use super::plan::Plan;
use super::rolling;
use super::stage::{HostsOf, Stage, Way};
use crate::config::Service;
use crate::config::service::{CustomStage, Deploy, ReleaseTest, Slot, Strategy, Work};
use crate::domain::ids::HostName;
use crate::domain::run::RunKind;

pub type Group = Vec<Stage>;

/// The groups of a run on this way, in order.
#[must_use]
pub fn road(plan: &Plan, way: Way) -> Vec<Group> {
    match way {
        Way::Out => out(plan),
        Way::Ask if plan.is_release() => each(&[Stage::Connect, Stage::Lock, Stage::Inquire]),
        Way::Ask => each(&[Stage::Connect]),
        Way::Back => back(plan),
        Way::On => on(plan),
    }
}

/// The way back before a decision: only locks and resources named after the run were created.
#[must_use]
pub fn early_back(plan: &Plan) -> Vec<Group> {
    ending(plan, each(&[Stage::Unlock]))
}

/// Sweep and `always` stages around the end of a way back; an `always` stage may use the image that is removed.
fn ending(plan: &Plan, end: Vec<Group>) -> Vec<Group> {
    let always = always(plan);
    let is_container = |stage: &Stage| matches!(stage, Stage::Run(_));
    let mut road = Vec::new();
    if always.iter().flatten().any(is_container) {
        road.extend(end);
        road.extend(always);
        road.extend(swept(plan));
    } else {
        road.extend(swept(plan));
        road.extend(end);
        road.extend(always);
    }
    road
}

fn each(stages: &[Stage]) -> Vec<Group> {
    stages.iter().cloned().map(|stage| vec![stage]).collect()
}

fn out(plan: &Plan) -> Vec<Group> {
    if plan.kind == RunKind::Adopt {
        return each(&[
            Stage::Connect,
            Stage::Lock,
            Stage::Preflight,
            Stage::Pin,
            Stage::Adopt,
            Stage::Commit,
        ]);
    }
    let mut road = vec![vec![Stage::Connect]];
    let fetch = (!plan.test_hosts().is_empty()).then(|| vec![Stage::Fetch]);
    if !plan.builds() {
        road.extend(fetch.clone());
        if !plan.marks().is_empty() {
            road.push(vec![Stage::Mark]);
        }
    }
    for group in slots(&plan.service, plan.kind) {
        if group.contains(&Slot::Build) {
            road.push(vec![Stage::Mark]);
        }
        if group.contains(&Slot::Deploy) {
            road.extend(each(&[
                Stage::Lock,
                Stage::Preflight,
                Stage::Pin,
                Stage::Image,
                Stage::Create,
            ]));
            road.extend(rollout(plan));
            road.push(vec![Stage::Commit]);
            // What stands behind it is done on the way on.
            return road;
        }
        road.push(group.iter().filter_map(|slot| stage_of(plan, slot)).collect());
        if group.contains(&Slot::Build) {
            road.extend(fetch.clone());
        }
    }
    road.extend(always(plan));
    road
}

/// From created to ready, according to the strategy.
fn rollout(plan: &Plan) -> Vec<Group> {
    let Some(deploy) = plan.deploy() else {
        return Vec::new();
    };
    let bake = vec![Stage::Bake];
    let after = (!plan.tests_after().is_empty()).then(|| vec![Stage::After]);
    match &deploy.strategy {
        Strategy::Recreate => {
            let mut road = each(&[Stage::Stop, Stage::Start, Stage::Gate]);
            let before = (!plan.tests_before().is_empty()).then(|| vec![Stage::Before]);
            // While others are tested, what was good may have fallen over.
            let is_tested = before.is_some() || after.is_some();
            road.extend(before);
            road.extend(after);
            road.extend((is_tested || !deploy.bake.is_zero()).then_some(bake));
            road
        }
        Strategy::Rolling(rolling) => {
            let mut road = rolling::out(plan, rolling.order);
            road.extend(after);
            // What the first wave brought up may have fallen over while the last one was under way.
            road.push(bake);
            road
        }
    }
}

/// The way on of a paused run: hosts that are not kept are undone, as far as they were begun.
#[must_use]
pub fn on_in_part(plan: &Plan, begun: u32) -> Vec<Group> {
    let mut road = each(&[Stage::Promote]);
    road.extend(rolling::back(plan, begun));
    road.extend(each(&[Stage::Halt, Stage::Restore, Stage::Remove, Stage::Check]));
    road.extend(committed());
    // What stands behind the deploy stands on all of it.
    road.extend(always(plan));
    road
}

/// The way back after `begun` waves.
#[must_use]
pub fn all_back(plan: &Plan, begun: u32) -> Vec<Group> {
    let mut road = rolling::back(plan, begun);
    road.extend(back(plan));
    road
}

fn back(plan: &Plan) -> Vec<Group> {
    if plan.kind == RunKind::Adopt {
        return each(&[Stage::Disown, Stage::Check, Stage::Record, Stage::Unlock]);
    }
    let mut road = Vec::new();
    if plan.is_release() {
        road.extend(each(&[Stage::Halt, Stage::Restore]));
        // Waves have it behind each of them.
        road.extend(plan.rolling().is_none().then(|| vec![Stage::Regate]));
        road.push(vec![Stage::Remove]);
    }
    let end = if plan.is_release() {
        each(&[Stage::Check, Stage::Record, Stage::Unlock])
    } else {
        Vec::new()
    };
    // Behind what still used the image that goes.
    road.extend(ending(plan, end));
    road
}

fn on(plan: &Plan) -> Vec<Group> {
    if plan.kind == RunKind::Adopt {
        return each(&[Stage::Adopt, Stage::Copy, Stage::Prove, Stage::Unlock]);
    }
    if !plan.is_release() {
        return Vec::new();
    }
    let mut road = committed();
    let slots = slots(&plan.service, plan.kind);
    let behind = slots
        .iter()
        .skip_while(|group| !group.contains(&Slot::Deploy))
        .skip(1);
    road.extend(behind.map(|group| group.iter().filter_map(|slot| stage_of(plan, slot)).collect()));
    road.extend(always(plan));
    road
}

fn committed() -> Vec<Group> {
    each(&[
        // First of all: until then a reboot still starts the old release.
        Stage::Promote,
        Stage::Settle,
        Stage::Copy,
        Stage::Retire,
        Stage::Prove,
        Stage::CleanUp,
        Stage::RetireAgain,
        Stage::Unlock,
    ])
}

/// The `always` stages at the end of a pipeline.
fn always(plan: &Plan) -> Vec<Group> {
    if plan.kind != RunKind::Pipeline {
        return Vec::new();
    }
    let stages = plan.service.stages.iter().filter(|stage| stage.always);
    stages
        .filter_map(|stage| stage_of(plan, &Slot::Custom(stage.name.clone())))
        .map(|stage| vec![stage])
        .collect()
}

/// Needed only if a stage may have created something other than replicas.
fn swept(plan: &Plan) -> Vec<Group> {
    if plan.workplaces().is_empty() && !plan.has_release_containers() {
        Vec::new()
    } else {
        vec![vec![Stage::Sweep]]
    }
}

/// The part of the service's pipeline that a run of this kind executes.
#[must_use]
pub fn slots(service: &Service, kind: RunKind) -> Vec<Vec<Slot>> {
    match kind {
        RunKind::Build => vec![vec![Slot::Build]],
        RunKind::Test => {
            let tests = service.tests.iter();
            tests.map(|test| vec![Slot::Test(test.name.clone())]).collect()
        }
        RunKind::Push => vec![vec![Slot::Push]],
        RunKind::Deploy | RunKind::Rollback | RunKind::Adopt => vec![vec![Slot::Deploy]],
        RunKind::Pipeline => service.pipeline.clone(),
    }
}

pub(super) fn stage_of(plan: &Plan, slot: &Slot) -> Option<Stage> {
    match slot {
        Slot::Build => Some(Stage::Build),
        Slot::Test(name) => Some(Stage::Test(name.clone())),
        Slot::Push => Some(Stage::Push),
        Slot::Custom(name) => Some(match plan.custom(name)?.work {
            Work::Run { .. } => Stage::Run(name.clone()),
            Work::Command { .. } | Work::Approve { .. } => Stage::Local(name.clone()),
        }),
        Slot::Deploy => None,
    }
}

impl Plan {
    #[must_use]
    pub fn custom(&self, name: &str) -> Option<&CustomStage> {
        self.service.stages.iter().find(|stage| stage.name == name)
    }

    /// Empty for a rollback, which is gated but not tested: the release passed its tests then, and may not pass the current ones.
    #[must_use]
    pub fn tests_before(&self) -> &[ReleaseTest] {
        self.release_tests()
            .map_or(&[], |deploy| deploy.before_switch.as_slice())
    }

    #[must_use]
    pub fn tests_after(&self) -> &[ReleaseTest] {
        self.release_tests()
            .map_or(&[], |deploy| deploy.after_switch.as_slice())
    }

    fn release_tests(&self) -> Option<&Deploy> {
        self.deploy()
            .filter(|_| self.is_release() && self.kind != RunKind::Rollback)
    }

    /// Whether a test of the release may leave a container on a target.
    #[must_use]
    pub fn has_release_containers(&self) -> bool {
        let mut all = self.tests_before().iter().chain(self.tests_after());
        all.any(|test| test.container().is_some())
    }

    /// The hosts of a stage, as far as they are known before any host was read.
    #[must_use]
    pub fn hosts_of(&self, stage: &Stage) -> Vec<HostName> {
        let (first, others) = self.targets.split_at(self.targets.len().min(1));
        match stage.hosts() {
            HostsOf::Known => self.hosts(),
            HostsOf::Marked if self.builds() => self.hosts(),
            HostsOf::Marked | HostsOf::Builder => self.builder.clone().into_iter().collect(),
            HostsOf::Tests => self.test_hosts(),
            HostsOf::Container => self.host_of_container(stage).into_iter().collect(),
            HostsOf::Local => {
                let any = self.hosts().into_iter().next();
                any.or_else(|| HostName::parse("local").ok())
                    .into_iter()
                    .collect()
            }
            HostsOf::First => first.to_vec(),
            HostsOf::Others => others.to_vec(),
            HostsOf::InTurn | HostsOf::Targets | HostsOf::Kept | HostsOf::Rest | HostsOf::Touched => {
                self.targets.clone()
            }
            HostsOf::Wave(n) => self.wave(n).hosts().cloned().collect(),
            // Only where something goes wrong.
            HostsOf::Worked | HostsOf::Unretired => Vec::new(),
        }
    }

    /// The number of steps of a run without failures.
    #[must_use]
    pub fn steps(&self) -> usize {
        let ways = [road(self, Way::Out), road(self, Way::On)];
        let stages = ways.iter().flatten().flatten();
        stages.map(|stage| self.hosts_of(stage).len()).sum()
    }

    /// Whether it is an `always` stage; its result is reported and does not change the run's.
    #[must_use]
    pub fn is_always(&self, stage: &Stage) -> bool {
        match stage {
            Stage::Run(name) | Stage::Local(name) => self.custom(name).is_some_and(|stage| stage.always),
            _ => false,
        }
    }

    /// Whether it is an approval; an unanswered one leaves nothing half done.
    #[must_use]
    pub fn asks_a_person(&self, stage: &Stage) -> bool {
        match stage {
            Stage::Local(name) => self
                .custom(name)
                .is_some_and(|stage| matches!(stage.work, Work::Approve { .. })),
            _ => false,
        }
    }
}

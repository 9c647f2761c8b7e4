//! The roads of a run: which stages it walks on which way, in which order, and on which hosts each is done.
//! A road is a list of groups; the stages of a group run at once, and the next group begins when all have answered.

use std::collections::BTreeSet;

use super::plan::{LATEST, Plan};
use super::rolling;
use super::stage::{Stage, Way};
use crate::config::service::{CustomStage, Deploy, ReleaseTest, Slot, Strategy, Test, Work};
use crate::config::test::TestImage;
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

/// Back where nothing was decided, so nothing was changed but locks and what carries the run's own name.
#[must_use]
pub fn early_back(plan: &Plan) -> Vec<Group> {
    let mut road = swept(plan);
    road.push(vec![Stage::Unlock]);
    road.extend(always(plan));
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
    for group in slots(plan) {
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

/// From created to good, as the strategy has it.
fn rollout(plan: &Plan) -> Vec<Group> {
    let Some(deploy) = plan.deploy() else {
        return Vec::new();
    };
    let bake = vec![Stage::Bake];
    let after = (!plan.tests_after().is_empty()).then(|| vec![Stage::After]);
    match &deploy.strategy {
        Strategy::Recreate => {
            let mut road = each(&[Stage::Stop, Stage::Start, Stage::Gate]);
            road.extend((!plan.tests_before().is_empty()).then(|| vec![Stage::Before]));
            road.extend(after);
            road.extend((!deploy.bake.is_zero()).then_some(bake));
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

/// The way on of a run that was paused: what was not kept is taken back, as far as it was begun.
#[must_use]
pub fn on_in_part(plan: &Plan, begun: u32) -> Vec<Group> {
    let mut road = each(&[Stage::Promote]);
    road.extend(rolling::back(plan, begun));
    road.extend(each(&[Stage::Halt, Stage::Restore, Stage::Remove, Stage::Check]));
    road.extend(on(plan));
    road
}

/// The way back, after so many waves were begun.
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
    // Behind what still used the image that goes.
    road.extend(swept(plan));
    if plan.is_release() {
        road.extend(each(&[Stage::Check, Stage::Record, Stage::Unlock]));
    }
    road.extend(always(plan));
    road
}

fn on(plan: &Plan) -> Vec<Group> {
    if plan.kind == RunKind::Adopt {
        return each(&[Stage::Adopt, Stage::Copy, Stage::Prove, Stage::Unlock]);
    }
    if !plan.is_release() {
        return Vec::new();
    }
    let mut road = each(&[
        // First of all: until then a reboot still starts the old release.
        Stage::Promote,
        Stage::Settle,
        Stage::Copy,
        Stage::Retire,
        Stage::Prove,
        Stage::CleanUp,
        // Once more where it was refused: what keeps its restart policy comes back with the next restart of its daemon.
        Stage::Retire,
        Stage::Unlock,
    ]);
    let slots = slots(plan);
    let behind = slots
        .iter()
        .skip_while(|group| !group.contains(&Slot::Deploy))
        .skip(1);
    road.extend(behind.map(|group| group.iter().filter_map(|slot| stage_of(plan, slot)).collect()));
    road.extend(always(plan));
    road
}

/// What is done at the end of a pipeline, whatever came before it.
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

/// Only what can have made something that is no replica leaves something to sweep.
fn swept(plan: &Plan) -> Vec<Group> {
    if plan.workplaces().is_empty() && !plan.has_release_containers() {
        Vec::new()
    } else {
        vec![vec![Stage::Sweep]]
    }
}

/// What a run of this kind does of the service's pipeline.
#[must_use]
pub fn slots(plan: &Plan) -> Vec<Vec<Slot>> {
    match plan.kind {
        RunKind::Build => vec![vec![Slot::Build]],
        RunKind::Test => {
            let tests = plan.service.tests.iter();
            tests.map(|test| vec![Slot::Test(test.name.clone())]).collect()
        }
        RunKind::Push => vec![vec![Slot::Push]],
        RunKind::Deploy | RunKind::Rollback | RunKind::Adopt => vec![vec![Slot::Deploy]],
        RunKind::Pipeline => plan.service.pipeline.clone(),
    }
}

fn stage_of(plan: &Plan, slot: &Slot) -> Option<Stage> {
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

    /// A way back is gated and not tested: what is gone back to has passed its tests, and may not know today's.
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

    /// May a test of the release leave a container on a target?
    #[must_use]
    pub fn has_release_containers(&self) -> bool {
        let mut all = self.tests_before().iter().chain(self.tests_after());
        all.any(|test| test.container().is_some())
    }

    /// A stage that is done at the end whatever came before: what it comes to is told and changes nothing.
    #[must_use]
    pub fn is_always(&self, stage: &Stage) -> bool {
        match stage {
            Stage::Run(name) | Stage::Local(name) => self.custom(name).is_some_and(|stage| stage.always),
            _ => false,
        }
    }

    /// Nothing is half done where nobody has answered.
    #[must_use]
    pub fn asks_a_person(&self, stage: &Stage) -> bool {
        match stage {
            Stage::Local(name) => self
                .custom(name)
                .is_some_and(|stage| matches!(stage.work, Work::Approve { .. })),
            _ => false,
        }
    }

    /// The slots of this run, and what is done at its end.
    fn all_slots(&self) -> Vec<Slot> {
        let ends = always(self)
            .into_iter()
            .flatten()
            .filter_map(|stage| match stage {
                Stage::Run(name) | Stage::Local(name) => Some(Slot::Custom(name)),
                _ => None,
            });
        slots(self).into_iter().flatten().chain(ends).collect()
    }

    /// The container that a slot runs, and whether it is of the run's own image.
    fn container(&self, slot: &Slot) -> Option<(&Test, bool)> {
        match slot {
            Slot::Test(name) => Some((self.test(name)?, true)),
            Slot::Custom(name) => match &self.custom(name)?.work {
                Work::Run { image, test } => Some((test, image.is_none())),
                Work::Command { .. } | Work::Approve { .. } => None,
            },
            Slot::Build | Slot::Push | Slot::Deploy => None,
        }
    }

    /// Where something is built, tested, pushed or run; each once, in the order of the pipeline.
    #[must_use]
    pub fn workplaces(&self) -> Vec<HostName> {
        let mut found: Vec<HostName> = Vec::new();
        for slot in self.all_slots() {
            let host = match slot {
                Slot::Build | Slot::Push => self.builder.as_ref(),
                Slot::Test(_) | Slot::Custom(_) | Slot::Deploy => {
                    self.container(&slot).map(|(test, _)| &test.host)
                }
            };
            let of_stage = self
                .container(&slot)
                .and_then(|(test, _)| test.target())
                .and(self.builder.as_ref());
            for host in host.into_iter().chain(of_stage) {
                if !found.contains(host) {
                    found.push(host.clone());
                }
            }
        }
        found
    }

    /// What is called `shop:v3` for people is `shop:v3-test` in its stage `test`.
    #[must_use]
    pub fn stage_tag(&self, target: &str) -> String {
        let repository = &self.service.image;
        let tag = self
            .image
            .strip_prefix(repository.as_str())
            .and_then(|rest| rest.strip_prefix(':'))
            .filter(|tag| !tag.contains('@'));
        match tag {
            Some(tag) => format!("{repository}:{tag}-{target}"),
            None => format!("{repository}:{target}"),
        }
    }

    /// What tests of this run push once they passed.
    #[must_use]
    pub fn test_pushes(&self) -> Vec<&str> {
        let slots = self.all_slots();
        let tests = slots.iter().filter_map(|slot| self.container(slot));
        tests.filter_map(|(test, _)| test.push.as_deref()).collect()
    }

    /// The containers that this run starts and that name images of their own, with those names.
    #[must_use]
    pub fn named_images(&self) -> Vec<(&HostName, &Test, Vec<&str>)> {
        let mut found: Vec<(&HostName, &Test, Vec<&str>)> = Vec::new();
        for host in &self.targets {
            let of_release = self.tests_before().iter().chain(self.tests_after());
            found.extend(of_release.filter_map(|test| Some((host, test.container()?, vec![test.image()?]))));
        }
        for slot in self.all_slots() {
            let Some((test, _)) = self.container(&slot) else {
                continue;
            };
            let mut names = test.named_images();
            if let Slot::Custom(name) = &slot
                && let Some(Work::Run {
                    image: Some(image), ..
                }) = self.custom(name).map(|stage| &stage.work)
                && !names.contains(&image.as_str())
            {
                names.push(image);
            }
            if !names.is_empty() {
                found.push((&test.host, test, names));
            }
        }
        found
    }

    /// Does it start a container that is no replica?
    #[must_use]
    pub fn starts_containers(&self) -> bool {
        self.all_slots().iter().any(|slot| self.container(slot).is_some())
    }

    /// Does it build a stage of the Dockerfile to test in, or to run a stage of its own in?
    #[must_use]
    pub fn tests_a_stage(&self) -> bool {
        let slots = self.all_slots();
        let mut tests = slots.iter().filter_map(|slot| self.container(slot));
        tests.any(|(test, _)| matches!(test.image, TestImage::Target(_)))
    }

    /// Every tag that the run may give or move on its hosts.
    #[must_use]
    pub fn marks(&self) -> Vec<String> {
        let mut tags = self.tags.clone();
        for slot in self.all_slots() {
            if let Some(target) = self.container(&slot).and_then(|(test, _)| test.target()) {
                tags.push(self.stage_tag(target));
            }
        }
        if self.does_push() {
            tags.extend(self.pushes.iter().map(ToString::to_string));
            if self.builds() || self.pushes.is_empty() {
                tags.push(format!("{}:{LATEST}", self.service.image));
            }
        }
        let mut seen = BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        tags
    }

    /// Where containers of the run's own image run that are no replicas.
    #[must_use]
    pub fn test_hosts(&self) -> Vec<HostName> {
        let mut found: Vec<HostName> = Vec::new();
        for slot in self.all_slots() {
            if let Some((test, true)) = self.container(&slot)
                && !found.contains(&test.host)
            {
                found.push(test.host.clone());
            }
        }
        found
    }

    /// The hosts of a stage that is no part of a release.
    #[must_use]
    pub fn hosts_of_work(&self, stage: &Stage) -> Vec<HostName> {
        let host = match stage {
            // What is built is called the same wherever it is brought to.
            Stage::Mark if self.builds() => return self.hosts(),
            Stage::Mark | Stage::Build | Stage::Push => self.builder.clone(),
            Stage::Fetch => return self.test_hosts(),
            Stage::Test(name) => self.test(name).map(|test| test.host.clone()),
            Stage::Run(name) => self
                .container(&Slot::Custom(name.clone()))
                .map(|(test, _)| test.host.clone()),
            // Its step is called by some host's name; it needs none, and the run may have none.
            Stage::Local(_) => self
                .hosts()
                .into_iter()
                .next()
                .or_else(|| HostName::parse("local").ok()),
            _ => None,
        };
        host.into_iter().collect()
    }
}

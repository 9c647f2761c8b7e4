//! The roads of a run: which stages it walks on which way, in which order, and on which hosts each is done.
//! A road is a list of groups; the stages of a group run at once, and the next group begins when all have answered.

use super::plan::Plan;
use super::stage::{Stage, Way};
use crate::config::service::Slot;
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
    road
}

fn each(stages: &[Stage]) -> Vec<Group> {
    stages.iter().cloned().map(|stage| vec![stage]).collect()
}

fn out(plan: &Plan) -> Vec<Group> {
    let mut road = vec![vec![Stage::Connect]];
    let mut is_fetched = false;
    for group in slots(plan) {
        if group.iter().any(|slot| matches!(slot, Slot::Test(_))) && !is_fetched {
            road.push(vec![Stage::Fetch]);
            is_fetched = true;
        }
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
                Stage::Stop,
                Stage::Start,
                Stage::Gate,
                Stage::Commit,
            ]));
            // What stands behind it is done on the way on.
            return road;
        }
        road.push(group.iter().filter_map(stage_of).collect());
    }
    road
}

fn back(plan: &Plan) -> Vec<Group> {
    let mut road = swept(plan);
    if plan.is_release() {
        road.extend(each(&[
            Stage::Halt,
            Stage::Restore,
            Stage::Regate,
            Stage::Remove,
            Stage::Check,
            Stage::Record,
            Stage::Unlock,
        ]));
    }
    road
}

fn on(plan: &Plan) -> Vec<Group> {
    if !plan.is_release() {
        return Vec::new();
    }
    each(&[
        Stage::Settle,
        Stage::Copy,
        Stage::Promote,
        Stage::Retire,
        Stage::Prove,
        Stage::CleanUp,
        Stage::Unlock,
    ])
}

/// Only what can have made something that is no replica leaves something to sweep.
fn swept(plan: &Plan) -> Vec<Group> {
    if plan.workplaces().is_empty() {
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
        RunKind::Deploy | RunKind::Rollback => vec![vec![Slot::Deploy]],
        RunKind::Pipeline => plan.service.pipeline.clone(),
    }
}

fn stage_of(slot: &Slot) -> Option<Stage> {
    match slot {
        Slot::Build => Some(Stage::Build),
        Slot::Test(name) => Some(Stage::Test(name.clone())),
        Slot::Push => Some(Stage::Push),
        Slot::Deploy => None,
    }
}

impl Plan {
    /// Where something is built, tested or pushed; each once, in the order of the pipeline.
    #[must_use]
    pub fn workplaces(&self) -> Vec<HostName> {
        let mut found: Vec<HostName> = Vec::new();
        for slot in slots(self).iter().flatten() {
            let host = match slot {
                Slot::Build | Slot::Push => self.builder.as_ref(),
                Slot::Test(name) => self.test(name).map(|test| &test.host),
                Slot::Deploy => None,
            };
            if let Some(host) = host
                && !found.contains(host)
            {
                found.push(host.clone());
            }
        }
        found
    }

    /// Where the tests of this run run.
    #[must_use]
    pub fn test_hosts(&self) -> Vec<HostName> {
        let mut found: Vec<HostName> = Vec::new();
        for slot in slots(self).iter().flatten() {
            if let Slot::Test(name) = slot
                && let Some(test) = self.test(name)
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
        match stage {
            Stage::Mark | Stage::Build | Stage::Push => self.builder.iter().cloned().collect(),
            Stage::Fetch => self.test_hosts(),
            Stage::Test(name) => self
                .test(name)
                .map(|test| test.host.clone())
                .into_iter()
                .collect(),
            _ => Vec::new(),
        }
    }
}

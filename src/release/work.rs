//! What a run does besides its release: in which containers, on which hosts, and their names.
//! Its order is in `road`.

use std::collections::BTreeSet;

use super::plan::{LATEST, Plan};
use super::road::slots;
use super::stage::{Is, Stage, Step};
use crate::config::Service;
use crate::config::service::{Slot, Test, Work};
use crate::config::test::TestImage;
use crate::domain::ids::HostName;
use crate::domain::run::RunKind;

/// The hosts that such a run changes something on, by the configuration alone, each once: where it replaces containers,
/// then where it builds, tests, pushes or runs stages.
#[must_use]
pub fn changed(service: &Service, kind: RunKind) -> Vec<HostName> {
    let replaces = match kind {
        RunKind::Deploy | RunKind::Rollback | RunKind::Adopt => true,
        RunKind::Pipeline => service
            .pipeline
            .iter()
            .flatten()
            .any(|slot| *slot == Slot::Deploy),
        RunKind::Build | RunKind::Test | RunKind::Push => false,
    };
    let targets = service.deploy.iter().filter(|_| replaces);
    let mut hosts: Vec<HostName> = targets.flat_map(|deploy| deploy.hosts.clone()).collect();
    for host in workplaces(service, kind, builder(service, kind).as_ref()) {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// Where its image is looked for first, and pushed from.
#[must_use]
pub fn builder(service: &Service, kind: RunKind) -> Option<HostName> {
    let builds = service.build.as_ref().map(|build| build.host.clone());
    let deploys = || service.deploy.as_ref()?.hosts.first().cloned();
    match kind {
        RunKind::Push => builds.or_else(deploys),
        RunKind::Build | RunKind::Test | RunKind::Deploy | RunKind::Rollback | RunKind::Pipeline => builds,
        // What runs is where it runs.
        RunKind::Adopt => None,
    }
}

fn all_slots(service: &Service, kind: RunKind) -> Vec<Slot> {
    let ends = service.stages.iter().filter(|stage| stage.always);
    let ends = ends.filter(|_| kind == RunKind::Pipeline);
    let ends = ends.map(|stage| Slot::Custom(stage.name.clone()));
    slots(service, kind).into_iter().flatten().chain(ends).collect()
}

fn container<'a>(service: &'a Service, slot: &Slot) -> Option<(&'a Test, bool)> {
    match slot {
        Slot::Test(name) => Some((service.tests.iter().find(|test| test.name == *name)?, true)),
        Slot::Custom(name) => match &service.stages.iter().find(|stage| stage.name == *name)?.work {
            Work::Run { image, test } => Some((test, image.is_none())),
            Work::Command { .. } | Work::Approve { .. } => None,
        },
        Slot::Build | Slot::Push | Slot::Deploy => None,
    }
}

fn workplaces(service: &Service, kind: RunKind, builder: Option<&HostName>) -> Vec<HostName> {
    let mut found: Vec<HostName> = Vec::new();
    for slot in all_slots(service, kind) {
        let container = container(service, &slot).map(|(test, _)| test);
        let host = match slot {
            Slot::Build | Slot::Push => builder,
            Slot::Test(_) | Slot::Custom(_) | Slot::Deploy => container.map(|test| &test.host),
        };
        let of_stage = container.and_then(Test::target).and(builder);
        for host in host.into_iter().chain(of_stage) {
            if !found.contains(host) {
                found.push(host.clone());
            }
        }
    }
    found
}

impl Plan {
    /// The slots of this run, and what is done at its end.
    pub(super) fn all_slots(&self) -> Vec<Slot> {
        all_slots(&self.service, self.kind)
    }

    /// The container that a slot runs, and whether it is of the run's own image.
    fn container(&self, slot: &Slot) -> Option<(&Test, bool)> {
        container(&self.service, slot)
    }

    /// Where something is built, tested, pushed or run; each once, in the order of the pipeline.
    #[must_use]
    pub fn workplaces(&self) -> Vec<HostName> {
        workplaces(&self.service, self.kind, self.builder.as_ref())
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

    /// What the stages of its Dockerfile are called that it builds for tests and stages of its own.
    #[must_use]
    pub fn stage_tags(&self) -> Vec<String> {
        let slots = self.all_slots();
        let targets = slots.iter().filter_map(|slot| self.container(slot)?.0.target());
        targets.map(|target| self.stage_tag(target)).collect()
    }

    /// What tests of this run push once they passed.
    #[must_use]
    pub fn test_pushes(&self) -> Vec<&str> {
        let slots = self.all_slots();
        let tests = slots.iter().filter_map(|slot| self.container(slot));
        tests.filter_map(|(test, _)| test.push.as_deref()).collect()
    }

    /// What a registry may have of a stage that was begun and did not tell how it ended.
    #[must_use]
    pub fn may_push(&self, stage: &Stage) -> Vec<String> {
        match stage {
            Stage::Push => {
                let mut tags: Vec<String> = self.pushes.iter().map(ToString::to_string).collect();
                if tags.is_empty() {
                    tags.push(self.image.clone());
                }
                let latest = format!("{}:{LATEST}", self.service.image);
                if self.builds() || self.pushes.is_empty() {
                    tags.push(latest);
                }
                tags
            }
            Stage::Test(_) | Stage::Run(_) => {
                let push = self.test_of(stage).and_then(|test| test.push.clone());
                push.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The hosts that a step works on, each once and in order: its own, and the builder where it has a stage of the
    /// Dockerfile built first. None where it is no work that is counted.
    #[must_use]
    pub fn places_of<'a>(&'a self, step: &'a Step) -> BTreeSet<&'a HostName> {
        if !step.stage.is(Is::Counted) {
            return BTreeSet::new();
        }
        let target = self.test_of(&step.stage).and_then(Test::target);
        let build = self.service.build.as_ref().filter(|_| target.is_some());
        std::iter::once(&step.host)
            .chain(build.map(|build| &build.host))
            .collect()
    }

    /// The container of a stage.
    #[must_use]
    pub fn test_of(&self, stage: &Stage) -> Option<&Test> {
        let slot = match stage {
            Stage::Test(name) => Slot::Test(name.clone()),
            Stage::Run(name) => Slot::Custom(name.clone()),
            _ => return None,
        };
        Some(self.container(&slot)?.0)
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
        tags.extend(self.stage_tags());
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

    /// Where the container of a stage runs.
    pub(super) fn host_of_container(&self, stage: &Stage) -> Option<HostName> {
        self.test_of(stage).map(|test| test.host.clone())
    }
}

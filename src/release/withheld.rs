//! What a run that is known from a lock on a host alone does of its pipeline: only what this configuration says, too.
//! A lock is written by whoever reaches one daemon: it has no command run, no file read and no folder sent from here.

use super::plan::Plan;
use super::road::stage_of;
use crate::config::Service;
use crate::config::service::{Build, CustomStage, Slot, Test, Work};

impl Plan {
    /// `here`: the service as this configuration has it, its compose files read. What of the plan's work is not the same
    /// there is not done; what the lock itself says of that is forgotten.
    pub fn withhold(&mut self, here: &Service) {
        let slots = self.all_slots();
        let strange = slots.iter().filter(|slot| !self.is_said(slot, here));
        self.withheld = strange.filter_map(|slot| stage_of(self, slot)).collect();
    }

    fn is_said(&self, slot: &Slot, here: &Service) -> bool {
        let is_in_pipeline = here.pipeline.iter().flatten().any(|known| known == slot);
        match slot {
            Slot::Deploy => true,
            Slot::Build => is_in_pipeline && self.builds_as(here),
            Slot::Push => {
                let mut pushes = self.pushes.iter();
                is_in_pipeline
                    && self.service.image == here.image
                    && pushes.all(|push| push.repository() == here.image)
            }
            Slot::Test(name) => {
                let known = here.tests.iter().find(|test| test.name == *name);
                let both = self.test(name).zip(known);
                is_in_pipeline && both.is_some_and(|(theirs, ours)| self.tests_as(here, theirs, ours))
            }
            Slot::Custom(name) => {
                let known = here.stages.iter().find(|stage| stage.name == *name);
                let both = self.custom(name).zip(known);
                both.is_some_and(|(theirs, ours)| {
                    (ours.always || is_in_pipeline) && self.works_as(here, theirs, ours)
                })
            }
        }
    }

    fn works_as(&self, here: &Service, theirs: &CustomStage, ours: &CustomStage) -> bool {
        match (&theirs.work, &ours.work) {
            (
                Work::Run { image, test },
                Work::Run {
                    image: our_image,
                    test: our_test,
                },
            ) => theirs.always == ours.always && image == our_image && self.tests_as(here, test, our_test),
            (Work::Run { .. } | Work::Command { .. } | Work::Approve { .. }, _) => theirs == ours,
        }
    }

    /// A plan has the tags filled in that a configuration has templates for.
    fn tests_as(&self, here: &Service, theirs: &Test, ours: &Test) -> bool {
        let bare = |test: &Test| Test {
            push: None,
            ..test.clone()
        };
        let push = |test: &Test| test.push.as_deref().map(repository);
        bare(theirs) == bare(ours)
            && push(theirs) == push(ours)
            && (theirs.target().is_none() || self.builds_as(here))
    }

    /// The same, of whatever commit.
    fn builds_as(&self, here: &Service) -> bool {
        let bare = |build: &Build| Build {
            git: None,
            ..build.clone()
        };
        match (&self.service.build, &here.build) {
            (Some(theirs), Some(ours)) => {
                let is_commit = theirs.git.as_deref().is_some_and(is_commit);
                bare(theirs) == bare(ours) && (is_commit || theirs.git == ours.git)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// `registry:5000/shop-tests` of `registry:5000/shop-tests:{git.short}`.
fn repository(text: &str) -> String {
    match text.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository.to_owned(),
        Some(_) | None => text.to_owned(),
    }
}

/// By its whole hash: nothing that git would read as anything else.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit())
}

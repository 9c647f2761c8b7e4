//! Limits a run that is known only from a lock on a host: its stages run only if this machine's configuration has the same.
//! Anybody who reaches the daemon can write a lock, so a lock must not make this machine run commands, read or send files.

use super::plan::Plan;
use super::road::stage_of;
use crate::config::Service;
use crate::config::service::{Build, CustomStage, Slot, Test, Work};

impl Plan {
    /// `here`: the service in this machine's configuration, with its compose files read. Stages that differ from it are not run;
    /// the list in the lock itself is ignored.
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

    /// Compares two tests; a plan contains tags where a configuration contains templates.
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

    /// Whether the builds are equal, except for the commit.
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

/// Whether it is a full commit hash, which git cannot interpret as anything else.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.chars().all(|c| c.is_ascii_hexdigit())
}

//! The steps that make, move and prove images: build, image on a host, test.
//! The work is `step`'s; here is which image, from where, under which names.

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, ImageId};
use crate::hosts::Daemon;
use crate::release::record::{Failure, FailureKind, Finding};
use crate::release::stage::Step;
use crate::runs::step::{self, image, survey};

impl Hands {
    pub(super) async fn image(&self, step: &Step, to: &Daemon) -> Result<Finding, Failure> {
        let (id, reference, from) = if self.plan.is_release() {
            let picked = self.decision()?.image.clone();
            (picked.id, picked.reference, picked.on)
        } else {
            self.resolve().await?
        };
        let from = self.daemon(&from)?;
        let mut teller = self.pen.teller(step);
        image::transfer(&from, to, &id, &mut teller, &self.interrupt)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        Ok(Finding::Image { id, reference })
    }

    /// What is tested: the builder's answer counts before the test hosts'.
    async fn resolve(&self) -> Result<(ImageId, String, HostName), Failure> {
        for host in self.plan.builder.iter().chain(&self.plan.targets) {
            let Ok(daemon) = self.daemon(host) else { continue };
            if let Some(found) = survey::image(&daemon, &self.plan.image).await? {
                return Ok((found.id, self.plan.image.clone(), host.clone()));
            }
        }
        Err(Failure::refused(
            Fault::new(
                format!("find the image {}", self.plan.image),
                "it is not on its hosts",
            )
            .hint("build it first, or name one that is there with --image"),
        ))
    }

    pub(super) async fn build(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let build =
            self.plan.service.build.as_ref().ok_or_else(|| {
                Failure::refused(Fault::new("build", "the service has no [services.build]"))
            })?;
        let mut teller = self.pen.teller(step);
        let id = step::build::build(
            daemon,
            build,
            &self.plan.tags,
            &self.plan.labels,
            &mut teller,
            &self.interrupt,
        )
        .await
        .map_err(|fault| self.interrupted(fault))?;
        Ok(Finding::Image {
            id,
            reference: self.plan.image.clone(),
        })
    }

    pub(super) async fn test(&self, step: &Step, daemon: &Daemon, name: &str) -> Result<Finding, Failure> {
        let what = || format!("pass the test {name} on {}", daemon.name());
        let test = self
            .plan
            .service
            .tests
            .iter()
            .find(|test| test.name == name)
            .ok_or_else(|| Failure::refused(Fault::new(what(), "there is no such test")))?;
        let (id, ..) = self.resolve().await?;
        let mut teller = self.pen.teller(step);
        let result = step::test::test(daemon, &id, test, &self.plan.run, &mut teller, &self.interrupt)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        if result.passed() {
            Ok(Finding::Nothing)
        } else {
            Err(Failure::refused(Fault::new(what(), result.words())))
        }
    }

    fn interrupted(&self, fault: Fault) -> Failure {
        let kind = if self.interrupt.is_cancelled() {
            FailureKind::Interrupted
        } else {
            FailureKind::Refused
        };
        Failure::of(kind, fault)
    }
}

//! The steps that make and move images: build, image on a host.
//! The work is `step`'s; here is which image, from where, under which names.

use std::collections::BTreeMap;

use super::{Hands, Named};
use crate::domain::fault::Fault;
use crate::hosts::Daemon;
use crate::release::record::{Failure, FailureKind, Finding};
use crate::release::stage::{Stage, Step};
use crate::runs::secrets;
use crate::runs::step::{self, image, survey};

impl Hands {
    pub(super) async fn image(&self, step: &Step, to: &Daemon) -> Result<Finding, Failure> {
        let Named { id, reference, on } = if step.stage == Stage::Image {
            let picked = self.decision()?.image.clone();
            Named {
                id: picked.id,
                reference: picked.reference,
                on: picked.on,
            }
        } else {
            self.resolve().await?
        };
        let from = self.daemon(&on)?;
        let mut teller = self.pen.teller(step);
        image::transfer(&from, to, &id, &mut teller, &self.interrupt)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        Ok(Finding::Image { id, reference })
    }

    /// What the hosts are asked for: the image that this very run built, whatever its tag names by now.
    pub(super) fn wanted(&self) -> String {
        let held = self.held();
        held.image
            .as_ref()
            .map_or_else(|| self.plan.image.clone(), |named| named.id.to_string())
    }

    /// The image of the run, resolved once: what was built here, else what the builder's name for it says, else a
    /// test host's.
    pub(super) async fn resolve(&self) -> Result<Named, Failure> {
        if let Some(known) = self.held().image.clone() {
            return Ok(known);
        }
        for host in self.plan.builder.iter().chain(&self.plan.test_hosts()) {
            let Ok(daemon) = self.daemon(host) else { continue };
            if let Some(found) = survey::image(&daemon, &self.plan.image).await? {
                let named = Named {
                    id: found.id,
                    reference: self.plan.image.clone(),
                    on: host.clone(),
                };
                return Ok(self.held().image.get_or_insert(named).clone());
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

    pub(super) async fn mark(&self, daemon: &Daemon) -> Result<Finding, Failure> {
        let mut tags = BTreeMap::new();
        for tag in &self.plan.marks() {
            let named = survey::image(daemon, tag).await?;
            tags.insert(tag.clone(), named.map(|image| image.id));
        }
        self.held().tags.clone_from(&tags);
        Ok(Finding::Tags(tags))
    }

    /// What the run made and is no replica goes; its tags name again what they named before.
    pub(super) async fn sweep(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let what = || format!("sweep what run {} made on {}", self.plan.run, daemon.name());
        step::test::sweep(daemon, &self.plan.run)
            .await
            .map_err(Failure::refused)?;
        let left = step::test::left(daemon, &self.plan.run)
            .await
            .map_err(Failure::refused)?;
        if !left.is_empty() {
            return Err(Failure::refused(Fault::new(
                what(),
                format!("still there: {}", left.join(", ")),
            )));
        }
        if self.plan.builder.as_ref() == Some(&step.host) {
            let tags = self.held().tags.clone();
            for (tag, before) in &tags {
                image::put_back(daemon, tag, before.as_ref())
                    .await
                    .map_err(Failure::refused)?;
            }
        }
        Ok(Finding::Nothing)
    }

    pub(super) async fn build(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let build =
            self.plan.service.build.as_ref().ok_or_else(|| {
                Failure::refused(Fault::new("build", "the service has no [services.build]"))
            })?;
        let mut teller = self.pen.teller(step);
        let secrets = secrets::of_build(&self.secrets);
        let order = step::build::Order {
            build,
            tags: &self.plan.tags,
            labels: &self.plan.labels,
            secrets: &secrets,
            logins: &step::build::Logins::new(),
        };
        let id = step::build::build(daemon, order, &mut teller, &self.interrupt)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        let reference = self.plan.image.clone();
        self.held().image = Some(Named {
            id: id.clone(),
            reference: reference.clone(),
            on: step.host.clone(),
        });
        Ok(Finding::Image { id, reference })
    }

    pub(super) fn interrupted(&self, fault: Fault) -> Failure {
        let kind = if self.interrupt.is_cancelled() {
            FailureKind::Interrupted
        } else {
            FailureKind::Refused
        };
        Failure::of(kind, fault)
    }
}

//! The steps that make and move images: building, and bringing an image to a host.
//! The work is in `step`; this chooses the image, its source and its names.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::reference::Reference;
use crate::domain::run::RunKind;
use crate::hosts::Daemon;
use crate::release::decision::RunImage;
use crate::release::record::{Failure, FailureKind, Finding};
use crate::release::stage::{Stage, Step};
use crate::runs::begin::secrets;
use crate::runs::step::image::{LastName, Layers};
use crate::runs::step::pull::{self, Bringing};
use crate::runs::step::space::{self, Space};
use crate::runs::step::{self, Progress, image, survey};

/// A daemon that takes longer to remove a few containers hangs.
const SWEEP_LIMIT: Duration = Duration::from_mins(2);

impl Hands {
    pub(super) async fn image(&self, step: &Step, to: &Daemon) -> Result<Finding, Failure> {
        let mut teller = self.pen.teller(step);
        let named = if step.stage == Stage::Image {
            self.decision()?.image.clone()
        } else {
            self.resolve(&mut teller, &self.interrupt).await?
        };
        if step.stage == Stage::Image {
            self.has_space(&named, to, &mut teller).await?;
        }
        self.bring(&named, to, &mut teller, &self.interrupt).await?;
        let RunImage { id, reference, .. } = named;
        Ok(Finding::Image { id, reference })
    }

    /// Checks the space before anything is sent, if it can be determined.
    async fn has_space(
        &self,
        named: &RunImage,
        to: &Daemon,
        progress: &mut dyn Progress,
    ) -> Result<(), Failure> {
        if survey::image(to, named.id.as_str()).await?.is_some() {
            return Ok(());
        }
        let space = space::space(&self.daemon(&named.on)?, to, &named.id).await;
        match &space {
            Space::Enough { size, free } => progress.line(&format!("{size} to transfer, {free} free")),
            Space::Unknown { why } => {
                progress.line(&format!("it is unknown whether there is room for it: {why}"));
            }
            Space::TooLittle { .. } => {}
        }
        match space.fault(&named.reference, to.name()) {
            Some(fault) => Err(Failure::refused(fault)),
            None => Ok(()),
        }
    }

    /// Pulls by digest if the run may use the registry, otherwise transfers the image; reports which.
    pub(super) async fn bring(
        &self,
        named: &RunImage,
        to: &Daemon,
        progress: &mut dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<(), Failure> {
        let from = self.daemon(&named.on)?;
        let known = named.pinned.as_ref().and_then(|pinned| {
            let login = self.logins.get(pinned.registry())?;
            Some((pinned, login.as_ref()))
        });
        let bringing = Bringing {
            image: &named.id,
            pinned: known,
            from: &from,
        };
        pull::bring(bringing, to, progress, cancel)
            .await
            .map_err(|fault| self.interrupted(fault))
    }

    /// A digest that no host has yet is pulled where the image is looked for first, so that its id is known.
    /// Why it did not come is part of what is known of the host: the decision says it.
    pub(super) async fn fetch_from_registry(
        &self,
        step: &Step,
        daemon: &Daemon,
    ) -> Result<Option<Fault>, Failure> {
        let first = self
            .plan
            .builder
            .iter()
            .chain(&self.plan.targets)
            .find(|host| self.daemon(host).is_ok());
        if first == Some(&step.host) && self.held().image.is_none() && self.plan.kind != RunKind::Rollback {
            let mut teller = self.pen.teller(step);
            if survey::image(daemon, &self.plan.image).await?.is_none()
                && let Err(failure) = self.pull(daemon, &mut teller, &self.interrupt).await
            {
                teller.line(&failure.fault.to_string());
                return Ok(Some(failure.fault));
            }
        }
        Ok(None)
    }

    /// Pulls the image of the plan, if it is given by digest in a registry that the run may use.
    async fn pull(
        &self,
        daemon: &Daemon,
        progress: &mut dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<bool, Failure> {
        let Ok(wanted) = Reference::parse(&self.plan.image) else {
            return Ok(false);
        };
        let Some(login) = self
            .logins
            .get(wanted.registry())
            .filter(|_| wanted.digest().is_some())
        else {
            return Ok(false);
        };
        pull::pull(daemon, &wanted, login.as_ref(), progress, cancel)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        progress.line(&format!("{} pulled {wanted}", daemon.name()));
        Ok(true)
    }

    /// The image to look for: the one this run built, even if its tag has moved, otherwise the plan's.
    pub(super) fn wanted(&self) -> String {
        let held = self.held();
        held.image
            .as_ref()
            .map_or_else(|| self.plan.image.clone(), |named| named.id.to_string())
    }

    /// The image of the run, resolved once: the one built by it, otherwise by its reference on the build host, otherwise on a
    /// test host.
    pub(super) async fn resolve(
        &self,
        progress: &mut dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<RunImage, Failure> {
        if let Some(known) = self.held().image.clone() {
            return Ok(known);
        }
        let places = self.plan.builder.iter().cloned().chain(self.plan.test_hosts());
        let places: Vec<Daemon> = places.filter_map(|host| self.daemon(&host).ok()).collect();
        for daemon in &places {
            if let Some(named) = self.named_by(daemon).await? {
                return Ok(self.held().image.get_or_insert(named).clone());
            }
        }
        if let Some(first) = places.first()
            && self.pull(first, progress, cancel).await?
            && let Some(named) = self.named_by(first).await?
        {
            return Ok(self.held().image.get_or_insert(named).clone());
        }
        Err(Failure::refused(
            Fault::new(
                format!("find the image {}", self.plan.image),
                "it is not on its hosts",
            )
            .hint("build it first, or choose an existing image with --image"),
        ))
    }

    async fn named_by(&self, daemon: &Daemon) -> Result<Option<RunImage>, Failure> {
        let found = survey::image(daemon, &self.plan.image).await?;
        let asked = Reference::parse(&self.plan.image)
            .ok()
            .filter(|asked| asked.digest().is_some());
        Ok(found.map(|found| RunImage {
            pinned: asked.or_else(|| found.pinned(&self.plan.service.image).cloned()),
            id: found.id,
            reference: self.plan.image.clone(),
            on: daemon.name().clone(),
        }))
    }

    pub(super) async fn mark(&self, daemon: &Daemon) -> Result<Finding, Failure> {
        let mut tags = BTreeMap::new();
        for tag in &self.plan.marks() {
            let named = survey::image(daemon, tag).await?;
            tags.insert(tag.clone(), named.map(|image| image.id));
        }
        self.held().tags.insert(daemon.name().clone(), tags.clone());
        Ok(Finding::Tags(tags))
    }

    /// Removes what the run created besides replicas, and restores its tags.
    pub(super) async fn sweep(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let late = |_elapsed| {
            let what = format!("sweep what run {} made on {}", self.plan.run, daemon.name());
            let why = format!("it did not finish within {} s", SWEEP_LIMIT.as_secs());
            Failure::refused(Fault::new(what, why))
        };
        tokio::time::timeout(SWEEP_LIMIT, self.swept(step, daemon))
            .await
            .map_err(late)?
    }

    async fn swept(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
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
        if self.plan.tests_a_stage() && self.plan.builder.as_ref() != Some(&step.host) {
            step::lent::sweep(daemon, &self.plan.subject.service)
                .await
                .map_err(Failure::refused)?;
        }
        // What the run built goes with its names; an image that was there before is not lost by losing a name.
        let last = if self.plan.does_push() && !self.plan.builds() {
            LastName::Stays
        } else {
            LastName::Goes
        };
        let (tags, built, staged) = {
            let held = self.held();
            let tags = held.tags.get(&step.host).cloned().unwrap_or_default();
            (tags, held.built.clone(), held.staged.clone())
        };
        let of_stages = self.plan.stage_tags();
        for (tag, before) in &tags {
            // What an earlier process of this run built for a stage is not known.
            let made = if of_stages.contains(tag) {
                staged.get(tag)
            } else {
                built.as_ref()
            };
            image::put_back(daemon, tag, (before.as_ref(), made), last)
                .await
                .map_err(Failure::refused)?;
        }
        // Its last name may have been moved back instead of taken away.
        if let Some(built) = &built
            && !tags.values().flatten().any(|before| before == built)
        {
            image::take_unnamed_away(daemon, built, Layers::Kept)
                .await
                .map_err(Failure::refused)?;
        }
        Ok(Finding::Nothing)
    }

    pub(super) async fn build(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let build =
            self.plan.service.build.as_ref().ok_or_else(|| {
                Failure::refused(Fault::new("build", "the service has no [services.build]"))
            })?;
        let mut teller = self.pen.teller(step);
        for note in &self.plan.notes {
            teller.line(note);
        }
        let secrets = secrets::of_build(&self.secrets);
        let order = step::build::Order {
            build,
            tags: &self.plan.tags,
            labels: &self.plan.labels,
            secrets: &secrets,
            logins: &self.bases,
        };
        let id = step::build::build(daemon, order, &mut teller, &self.interrupt)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        let reference = self.plan.image.clone();
        let mut held = self.held();
        held.built = Some(id.clone());
        held.image = Some(RunImage {
            id: id.clone(),
            reference: reference.clone(),
            on: step.host.clone(),
            pinned: None,
        });
        drop(held);
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

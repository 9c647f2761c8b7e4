//! The step that pushes the run's image to a registry and binds the image to its digest.
//! Chooses the tags; `latest` is one of them only if the tests passed.

use super::Hands;
use crate::domain::fault::Fault;
use crate::domain::ids::ImageId;
use crate::domain::reference::Reference;
use crate::hosts::Daemon;
use crate::release::plan::LATEST;
use crate::release::record::{Failure, Finding};
use crate::release::stage::Step;
use crate::runs::begin::draft::LAST_BUILD;
use crate::runs::seen::tested;
use crate::runs::step::Progress;
use crate::runs::step::push::{self, Pushing};

impl Hands {
    pub(super) async fn push(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let mut teller = self.pen.teller(step);
        let named = self.resolve(&mut teller, &self.interrupt).await?;
        self.bring(&named, daemon, &mut teller, &self.interrupt).await?;
        let tags = self.tags_to_push(daemon, &named.id, &mut teller).await?;
        let login = tags.first().and_then(|tag| self.logins.get(tag.registry()));
        let pushing = Pushing {
            image: &named.id,
            references: &tags,
            login: login.and_then(Option::as_ref),
        };
        let pinned = push::push(daemon, pushing, &mut teller, &self.interrupt)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        if let Some(known) = &mut self.held().image {
            known.pinned = Some(pinned.clone());
        }
        Ok(Finding::Pushed {
            id: named.id,
            pinned,
            tags,
        })
    }

    /// The requested tags, otherwise those the image has on its host; `latest` comes last.
    async fn tags_to_push(
        &self,
        daemon: &Daemon,
        image: &ImageId,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Reference>, Failure> {
        let what = || format!("push {}", self.plan.image);
        let passed = tested::passed(&self.state, &self.plan, image);
        let is_latest = |tag: &Reference| tag.tag() == Some(LATEST);
        if !self.plan.builds() && !self.plan.pushes.is_empty() {
            if self.plan.pushes.iter().any(is_latest) && !passed {
                return Err(Failure::refused(tested::not_passed(&self.plan, image)));
            }
            return Ok(self.plan.pushes.clone());
        }
        let repository = &self.plan.service.image;
        let mut tags = if self.plan.pushes.is_empty() {
            push::tags(daemon, image, repository)
                .await
                .map_err(Failure::refused)?
        } else {
            self.plan.pushes.clone()
        };
        tags.retain(|tag| !is_latest(tag) && tag.tag() != Some(LAST_BUILD));
        let Some(first) = tags.first().cloned() else {
            return Err(Failure::refused(
                Fault::new(
                    what(),
                    format!("it has no tag of {repository} on {}", daemon.name()),
                )
                .hint("choose one with --tag"),
            ));
        };
        if passed {
            tags.push(first.tagged(LATEST).map_err(Failure::refused)?);
        } else {
            progress.line(&format!(
                "{repository}:{LATEST} is not moved: {}",
                tested::not_passed(&self.plan, image).why
            ));
        }
        Ok(tags)
    }
}

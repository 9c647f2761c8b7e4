//! The steps that test images: which image each test and each of its dependencies uses, and what is reported.
//! The work is in `step::test`.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::Hands;
use crate::config::test::{SELF, Test, TestImage};
use crate::domain::container::{Role, label};
use crate::domain::fault::Fault;
use crate::domain::ids::ImageId;
use crate::domain::reference::Reference;
use crate::domain::tested::{Tested, TestedImage};
use crate::hosts::Daemon;
use crate::release::record::{Entry, Failure, Finding};
use crate::release::stage::Step;
use crate::runs::begin::needed::missing;
use crate::runs::begin::secrets;
use crate::runs::process::pen::Teller;
use crate::runs::step::image::Layers;
use crate::runs::step::push::{self, Pushing};
use crate::runs::step::{self, Progress as _, image, pull, survey};

impl Hands {
    pub(super) async fn test(&self, step: &Step, daemon: &Daemon, name: &str) -> Result<Finding, Failure> {
        let what = format!("pass the test {name} on {}", daemon.name());
        let Some(test) = self.plan.test(name) else {
            return Err(Failure::refused(Fault::new(what, "there is no such test")));
        };
        self.prove(step, daemon, test, &self.interrupt, what).await
    }

    /// Runs one test or stage in containers, and journals its result.
    pub(super) async fn prove(
        &self,
        step: &Step,
        daemon: &Daemon,
        test: &Test,
        cancel: &CancellationToken,
        what: String,
    ) -> Result<Finding, Failure> {
        let mut teller = self.pen.teller(step);
        let mut images = BTreeMap::new();
        let mut shipped = None;
        if test.is_of_the_image() {
            let named = self.resolve(&mut teller, cancel).await?;
            self.bring(&named, daemon, &mut teller, cancel).await?;
            let id = named.id;
            images.insert(SELF.to_owned(), id.clone());
            shipped = Some(id);
        }
        for wanted in test.named_images() {
            let id = self.needed(test, wanted, (daemon, cancel), &mut teller).await?;
            images.insert(wanted.to_owned(), id);
        }
        let mut beside = None;
        let image = match &test.image {
            TestImage::Own => images.get(SELF).cloned(),
            TestImage::Named(wanted) => images.get(wanted).cloned(),
            TestImage::Target(target) => {
                let (id, of) = self
                    .stage_image(target, shipped.as_ref(), (daemon, cancel), &mut teller)
                    .await?;
                beside = Some(of);
                Some(id)
            }
        };
        let image = image.ok_or_else(|| Failure::refused(Fault::new(&what, "it has no image to run in")))?;
        let trial = step::test::Trial {
            test,
            run: &self.plan.run,
            image: &image,
            images: &images,
            network: None,
            folder: &self.dir,
        };
        let report = step::test::test(daemon, trial, &mut teller, cancel).await;
        if beside.is_some() {
            self.take_back(daemon, &image, &mut teller).await;
        }
        let report = report.map_err(|fault| self.interrupted(fault))?;
        let tested = Tested {
            image: beside,
            ..report.tested
        };
        let why = failure_words(&report.result, &tested);
        self.pen
            .write(Entry::Tested {
                step: step.clone(),
                tested: self.pen.clean_tested(tested),
            })
            .map_err(Failure::refused)?;
        if !report.result.passed() {
            return Err(Failure::refused(Fault::new(what, why)));
        }
        if let (Some(push), TestImage::Target(_)) = (&test.push, &test.image) {
            return self.push_stage(image, push, &mut teller, cancel).await;
        }
        Ok(Finding::Nothing)
    }

    /// Pushes the image of a passed test from the build host.
    async fn push_stage(
        &self,
        image: ImageId,
        name: &str,
        teller: &mut Teller,
        cancel: &CancellationToken,
    ) -> Result<Finding, Failure> {
        let reference = Reference::parse(name).map_err(Failure::refused)?;
        let build = self.plan.service.build.as_ref().ok_or_else(|| {
            Failure::refused(Fault::new(
                format!("push {name}"),
                "the service has no [services.build]",
            ))
        })?;
        let login = self.logins.get(reference.registry()).and_then(Option::as_ref);
        let pushing = Pushing {
            image: &image,
            references: std::slice::from_ref(&reference),
            login,
        };
        let pinned = push::push(&self.daemon(&build.host)?, pushing, teller, cancel)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        teller.line(&format!("its image is {pinned}"));
        Ok(Finding::Pushed {
            id: image,
            pinned,
            tags: vec![reference],
        })
    }

    /// Removes a transferred image from the test's host once no test of this run needs it.
    async fn take_back(&self, daemon: &Daemon, image: &ImageId, teller: &mut Teller) {
        let key = (daemon.name().clone(), image.clone());
        {
            let mut held = self.held();
            let users = held.lent.entry(key.clone()).or_default();
            *users = users.saturating_sub(1);
            if *users > 0 {
                return;
            }
            held.lent.remove(&key);
        }
        if self.plan.builder.as_ref() != Some(daemon.name())
            && let Err(fault) = image::take_unnamed_away(daemon, image, Layers::Gone).await
        {
            teller.line(&fault.to_string());
        }
    }

    /// A configured image: on the host, or transferred from the build host.
    pub(super) async fn needed(
        &self,
        test: &Test,
        wanted: &str,
        (to, cancel): (&Daemon, &CancellationToken),
        teller: &mut Teller,
    ) -> Result<ImageId, Failure> {
        if let Some(found) = survey::image(to, wanted).await? {
            return Ok(found.id);
        }
        let builder = self.plan.builder.as_ref().filter(|builder| *builder != to.name());
        let mut looked = vec![to.name()];
        if let Some(builder) = builder
            && let Ok(from) = self.daemon(builder)
        {
            if let Some(found) = survey::image(&from, wanted).await? {
                image::transfer(&from, to, &found.id, teller, cancel)
                    .await
                    .map_err(|fault| self.interrupted(fault))?;
                return Ok(found.id);
            }
            looked.push(builder);
        }
        if let Ok(reference) = Reference::parse(wanted)
            && let Some(login) = self.logins.get(reference.registry())
        {
            let pulled = pull::pull(to, &reference, login.as_ref(), teller, cancel).await;
            let id = pulled.map_err(|fault| self.interrupted(fault))?;
            teller.line(&format!("{} pulled {wanted}", to.name()));
            return Ok(id);
        }
        Err(Failure::refused(missing(test, wanted, &looked)))
    }

    /// The image of another stage of the Dockerfile, built on the build host and transferred.
    async fn stage_image(
        &self,
        target: &str,
        shipped: Option<&ImageId>,
        (to, cancel): (&Daemon, &CancellationToken),
        teller: &mut Teller,
    ) -> Result<(ImageId, TestedImage), Failure> {
        let build = self.plan.service.build.as_ref().ok_or_else(|| {
            Failure::refused(Fault::new(
                format!("build the stage {target}"),
                "the service has no [services.build]",
            ))
        })?;
        let builder = self.daemon(&build.host)?;
        let reference = self.plan.stage_tag(target);
        let build = crate::config::service::Build {
            target: Some(target.to_owned()),
            ..build.clone()
        };
        // Nothing of the run: the same stage is the same image every time.
        let labels = BTreeMap::from([
            (label::SERVICE.to_owned(), self.plan.subject.service.to_string()),
            Role::Test.label(),
        ]);
        let order = step::build::Order {
            build: &build,
            tags: std::slice::from_ref(&reference),
            labels: &labels,
            secrets: &secrets::of_build(&self.secrets),
            logins: &self.bases,
        };
        let id = step::build::build(&builder, order, teller, cancel)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        self.held().staged.insert(reference.clone(), id.clone());
        let key = (to.name().clone(), id.clone());
        *self.held().lent.entry(key).or_default() += 1;
        let here = image::lend(&builder, to, &id, teller, cancel).await;
        if let Err(fault) = here {
            self.take_back(to, &id, teller).await;
            return Err(self.interrupted(fault));
        }
        let beside = TestedImage {
            reference,
            size: image::size(to, &id).await.map_err(Failure::refused)?,
            shipped: match shipped {
                Some(shipped) => Some(image::size(to, shipped).await.map_err(Failure::refused)?),
                None => None,
            },
        };
        Ok((id, beside))
    }
}

/// `exit code 1 after 3 attempts; 12 tests, 2 failed: …`
fn failure_words(result: &step::test::TestResult, tested: &Tested) -> String {
    let mut why = result.words();
    if tested.attempts > 1 {
        why = format!("{why} after {} attempts", tested.attempt);
    }
    match &tested.report {
        Some(report) => format!("{why}; {report}"),
        None => why,
    }
}

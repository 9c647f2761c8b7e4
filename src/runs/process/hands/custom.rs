//! The custom stages of a service: a container, a command on this machine, an approval by a person.
//! An `always` stage is not interrupted when the run is undone, only by a second cancel.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Hands;
use crate::config::service::Work;
use crate::config::test::TestImage;
use crate::domain::fault::Fault;
use crate::hosts::Daemon;
use crate::release::decision::RunImage;
use crate::release::record::{Failure, Finding};
use crate::release::stage::Step;
use crate::runs::process::approve;
use crate::runs::step::{Progress as _, command, orphans};

impl Hands {
    fn work(&self, name: &str) -> Result<&Work, Failure> {
        let stage = self.plan.custom(name).ok_or_else(|| {
            Failure::refused(Fault::new(
                format!("do the stage {name}"),
                "the service has no such stage",
            ))
        })?;
        Ok(&stage.work)
    }

    /// Sets `PILOTHOUSE_RESULT` for the stages that begin now.
    pub fn will_tell(&self, result_so_far: &'static str) {
        self.held().result_so_far = result_so_far;
    }

    pub(super) fn ends(&self, step: &Step) -> &CancellationToken {
        if self.plan.is_always(&step.stage) {
            &self.stop
        } else {
            &self.interrupt
        }
    }

    /// The environment variables of a custom stage.
    fn told(&self) -> BTreeMap<String, String> {
        let mut told = BTreeMap::from([
            (orphans::RUN.to_owned(), self.plan.run.to_string()),
            (
                "PILOTHOUSE_SERVICE".to_owned(),
                self.plan.subject.service.to_string(),
            ),
            ("PILOTHOUSE_ACTOR".to_owned(), self.plan.by.login.clone()),
        ]);
        if let Some(environment) = &self.plan.subject.environment {
            told.insert("PILOTHOUSE_ENVIRONMENT".to_owned(), environment.clone());
        }
        let result = self.held().result_so_far;
        told.insert("PILOTHOUSE_RESULT".to_owned(), result.to_owned());
        // Before the build there is none.
        if let Some(RunImage { id, reference, .. }) = self.held().image.clone() {
            told.insert("PILOTHOUSE_IMAGE".to_owned(), reference);
            told.insert("PILOTHOUSE_IMAGE_ID".to_owned(), id.to_string());
        }
        told
    }

    /// A custom stage in a container of the run's image, or of an image on its host.
    pub(super) async fn run(&self, step: &Step, daemon: &Daemon, name: &str) -> Result<Finding, Failure> {
        let Work::Run { image, test } = self.work(name)? else {
            return Err(Failure::refused(Fault::new(
                format!("do the stage {name}"),
                "it runs in no container",
            )));
        };
        let mut test = test.as_ref().clone();
        for (key, value) in self.told() {
            test.env.entry(key).or_insert(value);
        }
        if let Some(image) = image {
            test.image = TestImage::Named(image.clone());
        }
        let what = format!("pass the stage {name} on {}", daemon.name());
        self.prove(step, daemon, &test, self.ends(step), what).await
    }

    /// A custom stage on this machine: a command or an approval.
    pub(super) async fn local(&self, step: &Step, name: &str) -> Result<Finding, Failure> {
        let mut teller = self.pen.teller(step);
        match self.work(name)? {
            Work::Run { .. } => Ok(Finding::Nothing),
            Work::Command {
                argv,
                env,
                folder,
                timeout,
            } => {
                let mut all = self.told();
                all.extend(env.clone());
                let asked = command::Asked {
                    name,
                    argv,
                    env: &all,
                    folder,
                    timeout: *timeout,
                    dir: Some(&self.dir),
                    input: &[],
                };
                command::run(&asked, &mut teller, self.ends(step))
                    .await
                    .map_err(|fault| self.interrupted(fault))?;
                Ok(Finding::Nothing)
            }
            Work::Approve { question, timeout } => {
                teller.text(&format!("waits for a person: {question}"));
                let what = format!("pass the stage {name}");
                let limit = tokio::time::sleep(*timeout);
                tokio::pin!(limit);
                loop {
                    if let Some(word) = approve::word(&self.dir, name) {
                        let said = word.map_err(Failure::refused)?;
                        let reason = said.reason.as_deref().unwrap_or("no reason given");
                        if said.yes {
                            teller.line(&format!("approved by {}: {reason}", said.by));
                            return Ok(Finding::Approved {
                                by: said.by,
                                reason: said.reason,
                            });
                        }
                        let why = format!("denied by {}: {reason}", said.by);
                        return Err(Failure::refused(Fault::new(what, why)));
                    }
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => {}
                        () = &mut limit => {
                            let why = format!("no answer within {} s", timeout.as_secs());
                            return Err(Failure::refused(Fault::new(what, why)));
                        }
                        () = self.ends(step).cancelled() => {
                            return Err(self.interrupted(Fault::new(what, "it was cancelled")));
                        }
                    }
                }
            }
        }
    }
}

/// How often to check for an answer.
const LOOK: Duration = Duration::from_millis(200);

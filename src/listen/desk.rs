//! Handles a delivery: authenticates it, parses it, compares it with the triggers, and starts a run for each match.
//! Starts one run at a time; starting is completed even if the forge no longer waits for the answer.

use std::net::IpAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use tokio::sync::{Mutex as Turn, Semaphore};
use tokio_util::task::TaskTracker;

use super::Tell;
use super::counts::Counts;
use super::delivery::{self, Delivery, Event, Push};
use super::proof::{Key, Proof, Proven};
use super::seen::Seen;
use super::verdict::{Refusal, Verdict};
use crate::config::service::Slot;
use crate::config::{Config, Pattern, Trigger};
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::plan::RunRequest;
use crate::domain::run::RunKind;
use crate::release::plan::Actor;
use crate::release::work::changed;
use crate::runs::process::family::Family;
use crate::runs::{self, State};

/// Proven deliveries that wait for their turn; a forge sends more again later.
const WAITING: usize = 64;
/// Fetching a large repository over a slow line.
const PREPARE_LIMIT: Duration = Duration::from_mins(2);

pub(super) struct Desk {
    config: Config,
    state: State,
    watches: Vec<Watch>,
    seen: Mutex<Seen>,
    pub(super) counts: Counts,
    /// One run is started at a time: each costs a process, and `prepare` works in one folder.
    turn: Turn<()>,
    waiting: Arc<Semaphore>,
    /// What was begun.
    begun: TaskTracker,
    tell: Tell,
}

/// One service that waits for pushes.
struct Watch {
    trigger: Trigger,
    key: Key,
    branches: Vec<Pattern>,
}

impl Watch {
    fn wants(&self, push: &Push) -> bool {
        self.branches.iter().any(|pattern| pattern.matches(&push.branch))
    }
}

impl Desk {
    pub(super) async fn new(
        config: Config,
        state: State,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
        tell: Tell,
    ) -> Result<Self, Fault> {
        if config.triggers.is_empty() {
            return Err(
                Fault::new("listen for webhooks", "no service has [services.trigger]")
                    .hint("config.example.toml shows one"),
            );
        }
        let mut watches = Vec::new();
        for trigger in &config.triggers {
            consented(&config, trigger)?;
            let what = format!("the webhook's secret of {}", trigger.service);
            let secret = runs::begin::secrets::one(&what, &trigger.secret, env).await?;
            watches.push(Watch {
                key: Key::parse(&secret).map_err(|fault| Fault {
                    what: format!("use {what}"),
                    ..fault
                })?,
                branches: trigger
                    .branches
                    .iter()
                    .filter_map(|text| Pattern::parse(text))
                    .collect(),
                trigger: trigger.clone(),
            });
        }
        let seen = Seen::open(&state.root().join("listen"))?;
        Ok(Self {
            config,
            state,
            watches,
            seen: Mutex::new(seen),
            counts: Counts::default(),
            turn: Turn::new(()),
            waiting: Arc::new(Semaphore::new(WAITING)),
            begun: TaskTracker::new(),
            tell,
        })
    }

    pub(super) fn described(&self) -> Vec<String> {
        self.watches
            .iter()
            .map(|watch| {
                let trigger = &watch.trigger;
                format!(
                    "{} of {} → {} {}",
                    trigger.branches.join(", "),
                    trigger.repository,
                    trigger.run.word(),
                    subject(trigger)
                )
            })
            .collect()
    }

    pub(super) fn tell(&self, words: &str) {
        (self.tell)(words);
    }

    /// What was begun is finished.
    pub(super) async fn close(&self) {
        self.begun.close();
        self.begun.wait().await;
    }

    /// A whole request, body and all, from `from`.
    pub(super) async fn judge(self: &Arc<Self>, headers: &HeaderMap, body: &[u8], from: IpAddr) -> Verdict {
        self.consider(headers, body, from)
            .await
            .unwrap_or_else(Verdict::Refused)
    }

    async fn consider(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: &[u8],
        from: IpAddr,
    ) -> Result<Verdict, Refusal> {
        let (proven, allowed) = self.proven(headers, body)?;
        let delivery = delivery::read(headers, body, &proven)?;
        let push = match &delivery.event {
            Event::Ping => return Ok(Verdict::Pong),
            Event::NoBranch => return Ok(Verdict::Ignored("a tag, or a deleted branch")),
            Event::Push(push) => push,
        };
        let of_repository: Vec<usize> = allowed
            .into_iter()
            .filter(|at| {
                self.watches
                    .get(*at)
                    .is_some_and(|watch| same(&watch.trigger.repository, &push.repository))
            })
            .collect();
        if of_repository.is_empty() {
            return Err(Refusal::UnknownRepository);
        }
        let wanted: Vec<usize> = of_repository
            .into_iter()
            .filter(|at| self.watches.get(*at).is_some_and(|watch| watch.wants(push)))
            .collect();
        if wanted.is_empty() {
            return Ok(Verdict::Ignored("no service has a trigger for this branch"));
        }
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return Err(Refusal::Busy);
        };
        let desk = Arc::clone(self);
        let push = push.clone();
        let doing = self.begun.spawn(async move {
            let verdict = desk.start(&delivery, &push, &wanted, from).await;
            drop(place);
            verdict
        });
        // It goes on also if the forge has lost its patience, and this is dropped.
        doing.await.unwrap_or(Err(Refusal::Failed))
    }

    /// Under which keys it holds: only what they are for may be started.
    fn proven(&self, headers: &HeaderMap, body: &[u8]) -> Result<(Proven, Vec<usize>), Refusal> {
        let proof = Proof::of(headers).ok_or(Refusal::Unsigned)?;
        let now = SystemTime::now().into();
        let mut tried: Vec<(&Key, Option<Proven>)> = Vec::new();
        let mut found = None;
        let mut allowed = Vec::new();
        for (at, watch) in self.watches.iter().enumerate() {
            let known = tried.iter().find(|(key, _)| **key == watch.key);
            let answer =
                known.map_or_else(|| proof.with(&watch.key, body, now), |(_, answer)| answer.clone());
            tried.push((&watch.key, answer.clone()));
            if let Some(proven) = answer {
                allowed.push(at);
                found = Some(proven);
            }
        }
        Ok((found.ok_or(Refusal::Forged)?, allowed))
    }

    /// A run for each service that wants the push and has not had it before.
    async fn start(
        &self,
        delivery: &Delivery,
        push: &Push,
        wanted: &[usize],
        from: IpAddr,
    ) -> Result<Verdict, Refusal> {
        let mut started = Vec::new();
        let mut has_failed = false;
        for watch in wanted.iter().filter_map(|at| self.watches.get(*at)) {
            let service = &watch.trigger.service;
            let marks: Vec<String> = delivery
                .marks
                .iter()
                .map(|mark| format!("{service} {mark}"))
                .collect();
            match self.once(&watch.trigger, &marks, delivery, push, from).await {
                Ok(Some(run)) => {
                    self.tell(&format!("{service}: run {run}: {}", reason(delivery, push)));
                    tracing::info!(%service, %run, reason = reason(delivery, push), %from, "started by a webhook");
                    started.push((service.clone(), run));
                }
                Ok(None) => {}
                Err(fault) => {
                    self.tell(&format!("{service}: {fault}: {}", reason(delivery, push)));
                    tracing::error!(%service, %fault, reason = reason(delivery, push), %from, "a webhook could not start its run");
                    has_failed = true;
                }
            }
        }
        match (started.is_empty(), has_failed) {
            (_, true) => Err(Refusal::Failed),
            (false, false) => Ok(Verdict::Started(started)),
            (true, false) => Err(Refusal::Replayed),
        }
    }

    /// `None`: it was taken in before.
    async fn once(
        &self,
        trigger: &Trigger,
        marks: &[String],
        delivery: &Delivery,
        push: &Push,
        from: IpAddr,
    ) -> Result<Option<RunId>, Fault> {
        let fault = |error: std::io::Error| Fault::new("remember the delivery", error);
        let has_run = || self.has_run(trigger, &reason(delivery, push));
        if !self.memory(|seen| seen.take_in(marks, &has_run)).map_err(fault)? {
            return Ok(None);
        }
        let run = async {
            let _turn = self.turn.lock().await;
            self.prepare(trigger, push).await?;
            let request = RunRequest {
                environment: trigger.environment.clone(),
                revision: self.revision(trigger, push),
                branch: Some(push.branch.clone()),
                reason: Some(reason(delivery, push)),
                ..RunRequest::new(trigger.run, trigger.service.clone())
            };
            let actor = Actor {
                login: format!("{} ({})", push.pusher, delivery.forge.word()),
                machine: runs::who().machine,
                via: Some(format!("webhook from {from}")),
            };
            runs::launch(&self.state, &self.config, &request, actor).await
        };
        let run = run.await;
        let remembered = self.memory(|seen| match &run {
            Ok(_) => seen.confirm(marks),
            Err(_) => seen.forget(marks),
        });
        if let Err(error) = remembered {
            tracing::warn!(%error, "the outcome of a delivery could not be recorded");
        }
        run.map(Some)
    }

    /// Was a run started for this very delivery?
    fn has_run(&self, trigger: &Trigger, reason: &str) -> bool {
        runs::list(&self.state).iter().any(|run| {
            run.service == trigger.service
                && run.environment == trigger.environment
                && run.reason.as_deref() == Some(reason)
        })
    }

    /// What is built from git is built of the very commit that was pushed, whatever was pushed since.
    fn revision(&self, trigger: &Trigger, push: &Push) -> Option<String> {
        let environment = trigger.environment.as_deref();
        let service = self.config.service_in(&trigger.service, environment).ok()?;
        let builds = match trigger.run {
            RunKind::Build => true,
            RunKind::Pipeline => service.pipeline.iter().flatten().any(|slot| *slot == Slot::Build),
            RunKind::Test | RunKind::Push | RunKind::Deploy | RunKind::Rollback | RunKind::Adopt => false,
        };
        let from_git = service.build.as_ref().is_some_and(|build| build.git.is_some());
        (builds && from_git).then(|| push.commit.clone())
    }

    /// Its lines are whole whatever panicked.
    fn memory<T>(&self, act: impl FnOnce(&mut Seen) -> T) -> T {
        act(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn prepare(&self, trigger: &Trigger, push: &Push) -> Result<(), Fault> {
        let Some((program, arguments)) = trigger.prepare.split_first() else {
            return Ok(());
        };
        let fault = |why: &dyn std::fmt::Display| Fault::new(format!("prepare by {program}"), why);
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env("PILOTHOUSE_REPOSITORY", &push.repository)
            .env("PILOTHOUSE_BRANCH", &push.branch)
            .env("PILOTHOUSE_COMMIT", &push.commit)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for name in self.config.private_variables() {
            command.env_remove(name);
        }
        let (mut child, family) = Family::start(&mut command).map_err(|error| fault(&error))?;
        let ended = tokio::time::timeout(PREPARE_LIMIT, child.wait())
            .await
            .map_err(|_elapsed| fault(&format!("it did not end within {} s", PREPARE_LIMIT.as_secs())))?
            .map_err(|error| fault(&error))?;
        family.has_ended();
        if ended.success() {
            Ok(())
        } else {
            Err(fault(&ended).hint("run the command by hand, as the user of the listener"))
        }
    }
}

/// A push must not be able to do what a person is asked to type a name for, unless the configuration says so.
fn consented(config: &Config, trigger: &Trigger) -> Result<(), Fault> {
    let environment = trigger.environment.as_deref();
    let changed = changed(config.service_in(&trigger.service, environment)?, trigger.run);
    if trigger.confirm {
        return Ok(());
    }
    let protected: Vec<&HostName> = changed
        .iter()
        .filter(|name| config.host(name).is_some_and(|host| host.protected))
        .collect();
    if protected.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = protected.into_iter().map(HostName::as_str).collect();
    Err(Fault::new(
        format!(
            "listen for pushes that {} {}",
            trigger.run.word(),
            trigger.service
        ),
        format!("{} is protected", names.join(", ")),
    )
    .hint("`confirm = true` in its [services.trigger] allows it without confirmation"))
}

/// `shop`, or `shop.staging`.
fn subject(trigger: &Trigger) -> String {
    match &trigger.environment {
        Some(environment) => format!("{}.{environment}", trigger.service),
        None => trigger.service.to_string(),
    }
}

/// For the history: who pushed what where, and which delivery said so.
fn reason(delivery: &Delivery, push: &Push) -> String {
    let commit: String = push.commit.chars().take(12).collect();
    format!(
        "push of {commit} to {} of {} by {} ({} delivery {})",
        push.branch,
        push.repository,
        push.pusher,
        delivery.forge.word(),
        delivery.id
    )
}

/// Forges do not tell upper from lower case in a repository's name.
fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

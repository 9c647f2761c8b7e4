//! The tests of a release: of each new replica before the commit, and from outside once all replicas are ready.
//! Their containers carry the run's labels and are always removed; a failure is reported with its last output.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Hands;
use crate::config::switch::{Ask, Facts, ReleaseTest, Url, fill, place};
use crate::config::test::{Test, TestImage};
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, ImageId};
use crate::hosts::Daemon;
use crate::release::record::{Failure, Finding};
use crate::release::replica::Replica;
use crate::release::stage::Step;
use crate::runs::process::pen::Teller;
use crate::runs::step::{self, Progress, probe, replicas};

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
const TURNED: &str = "the run is being undone";

impl Hands {
    pub(super) async fn before_switch(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let decision = self.decision()?;
        let scene = self.scene(&decision, &step.host).at(&step.stage);
        let now = replicas::replicas(daemon, &self.plan.subject).await?;
        replicas::all_there(daemon, &scene, &now, "test")?;
        let mut teller = self.pen.teller(step);
        for (n, replica) in scene.new_ones(&now).enumerate() {
            for test in self.plan.tests_before() {
                let what = format!(
                    "pass the test {} with {} on {}",
                    test.name,
                    replica.name,
                    daemon.name()
                );
                let trial = Asked {
                    test,
                    replica: Some(replica),
                    // Containers of several replicas are told apart.
                    name: format!("{}.{}", test.name, n + 1),
                    what,
                };
                teller.text(&format!("{} with {}", test.name, replica.name));
                self.ask(daemon, &trial, &mut teller).await?;
            }
        }
        Ok(Finding::Nothing)
    }

    pub(super) async fn after_switch(&self, step: &Step, daemon: &Daemon) -> Result<Finding, Failure> {
        let mut teller = self.pen.teller(step);
        for test in self.plan.tests_after() {
            let trial = Asked {
                test,
                replica: None,
                name: test.name.clone(),
                what: format!("pass the test {} on {}", test.name, daemon.name()),
            };
            teller.text(&test.name);
            self.ask(daemon, &trial, &mut teller).await?;
        }
        Ok(Finding::Nothing)
    }

    /// Repeats the test up to its number of attempts.
    async fn ask(&self, daemon: &Daemon, asked: &Asked<'_>, teller: &mut Teller) -> Result<(), Failure> {
        let refused = |why: String| Failure::refused(Fault::new(&asked.what, why));
        let facts = self.facts(daemon, asked.replica).await.map_err(refused)?;
        let attempts = asked.test.retries.saturating_add(1);
        for attempt in 1..=attempts {
            if self.interrupt.is_cancelled() {
                return Err(self.interrupted(Fault::new(&asked.what, TURNED)));
            }
            let answer = self.once(daemon, asked, &facts, teller).await?;
            match answer {
                Ok(()) => {
                    teller.line(&format!("{}: passed", asked.name));
                    return Ok(());
                }
                Err(why) if attempt == attempts => return Err(refused(why)),
                Err(why) => teller.line(&format!("{}, attempt {attempt} of {attempts}: {why}", asked.name)),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The inner `Err`: it ran and failed.
    async fn once(
        &self,
        daemon: &Daemon,
        asked: &Asked<'_>,
        facts: &Facts,
        teller: &mut Teller,
    ) -> Result<Result<(), String>, Failure> {
        if let Ask::Run(test) = &asked.test.ask {
            // It ends by itself when the run turns back, and leaves nothing.
            return self.contained(daemon, asked, (test, facts), teller).await;
        }
        tokio::select! {
            biased;
            () = self.interrupt.cancelled() => Err(self.interrupted(Fault::new(&asked.what, TURNED))),
            answer = probed(daemon, asked, facts) => Ok(answer),
        }
    }

    async fn contained(
        &self,
        daemon: &Daemon,
        asked: &Asked<'_>,
        (test, facts): (&Test, &Facts),
        teller: &mut Teller,
    ) -> Result<Result<(), String>, Failure> {
        let decision = self.decision()?;
        let image = match &test.image {
            TestImage::Own | TestImage::Target(_) => decision.image.id.clone(),
            TestImage::Named(name) => self.needed(test, name, (daemon, &self.interrupt), teller).await?,
        };
        let filled = |text: &String| fill(text, facts);
        let own = Test {
            name: asked.name.clone(),
            command: test.command.iter().map(filled).collect(),
            env: test
                .env
                .iter()
                .map(|(name, value)| (name.clone(), filled(value)))
                .collect(),
            timeout: asked.test.timeout,
            ..test.clone()
        };
        let images: BTreeMap<String, ImageId> = BTreeMap::new();
        let trial = step::test::Trial {
            test: &own,
            run: &self.plan.run,
            image: &image,
            images: &images,
            network: decision.spec.networks.first().map(String::as_str),
            folder: &self.dir,
        };
        let mut heard = Heard {
            teller,
            last: String::new(),
        };
        let report = step::test::test(daemon, trial, &mut heard, &self.interrupt)
            .await
            .map_err(|fault| self.interrupted(fault))?;
        if report.result.passed() {
            return Ok(Ok(()));
        }
        let words = report.result.words();
        Ok(Err(match heard.last.as_str() {
            "" => words,
            last => format!("{words}: {last}"),
        }))
    }

    /// The values of the templates.
    async fn facts(&self, daemon: &Daemon, replica: Option<&Replica>) -> Result<Facts, String> {
        let decision = self.decision().map_err(|failure| failure.fault.why)?;
        let host = self.hosts.get(daemon.name());
        let mut facts = Facts::from([
            ("host.name", daemon.name().to_string()),
            (
                "host.address",
                host.map(crate::config::Host::reached_at).unwrap_or_default(),
            ),
            ("release.name", decision.release.to_string()),
            ("service.name", self.plan.subject.to_string()),
        ]);
        if let Some(replica) = replica {
            let network = decision.spec.networks.first().map(String::as_str);
            let id: &ContainerId = &replica.id;
            facts.insert("replica.name", replica.name.clone());
            facts.insert("replica.address", probe::address_in(daemon, id, network).await?);
        }
        Ok(facts)
    }
}

/// One test, ready to run.
struct Asked<'a> {
    test: &'a ReleaseTest,
    replica: Option<&'a Replica>,
    name: String,
    /// As in "could not {…}".
    what: String,
}

async fn probed(daemon: &Daemon, asked: &Asked<'_>, facts: &Facts) -> Result<(), String> {
    let limit = asked.test.timeout;
    match (&asked.test.ask, asked.replica) {
        (Ask::Probe(wish), Some(replica)) => probe::probe(daemon, &replica.id, wish, limit)
            .await
            .map_err(|why| format!("{}: {why}", wish.words())),
        (Ask::Http(url), _) => from_here(url, facts, limit).await,
        (Ask::Tcp(template), _) => {
            let at = fill(template, facts);
            let answer = match place(&at, None) {
                Ok((host, port)) => probe::tcp_from_here(&host, port, limit).await,
                Err(why) => Err(why),
            };
            answer.map_err(|why| format!("tcp {at}: {why}"))
        }
        (Ask::Probe(_) | Ask::Run(_), _) => Err("there is nothing to ask".to_owned()),
    }
}

async fn from_here(url: &Url, facts: &Facts, limit: Duration) -> Result<(), String> {
    let (host, http) = url.filled(facts)?;
    let asked = probe::from_here(&host, &http, limit).await;
    asked.map_err(|why| format!("{}: {why}", fill(&url.url, facts)))
}

/// Passes on a test's output, and keeps its last line.
struct Heard<'t> {
    teller: &'t mut Teller,
    last: String,
}

/// The limit of a line quoted in a reason.
const SHOWN: usize = 200;

impl Progress for Heard<'_> {
    fn text(&mut self, now: &str) {
        self.teller.text(now);
    }

    fn line(&mut self, line: &str) {
        if !line.trim().is_empty() {
            self.last = line.trim().chars().take(SHOWN).collect();
        }
        self.teller.line(line);
    }
}

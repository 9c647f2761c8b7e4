//! A service in two environments, and promotions between them; for simulated and real daemons.

use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt as _;

use pilothouse::config::Host;
use pilothouse::config::service::Environment;
use pilothouse::domain::ids::{HostName, ReleaseNumber};
use pilothouse::domain::order::Access;
use pilothouse::domain::plan::{Origin, PlanView, RunRequest};
use pilothouse::domain::run::{RunKind, RunView};
use pilothouse::release::facts::LedgerSeen;
use pilothouse::runs;

use super::{Bench, actor};

impl Bench {
    /// The service gets these environments, each deployed as it is itself.
    pub(crate) fn with_environments(mut self, names: &[&str]) -> Self {
        let service = &mut self.config.services[0];
        let whole = service.clone();
        service.environments = names
            .iter()
            .map(|name| Environment {
                name: (*name).to_owned(),
                service: whole.clone(),
            })
            .collect();
        self
    }

    /// From now on it is about that environment.
    pub(crate) fn be_in(&mut self, environment: &str) -> &mut Self {
        self.environment = Some(environment.to_owned());
        self
    }

    fn move_to(&mut self, environment: usize, hosts: &[HostName]) {
        let service = &mut self.config.services[0].environments[environment].service;
        service.deploy.as_mut().unwrap().hosts = hosts.to_vec();
    }

    async fn plan(&self, request: &RunRequest) -> PlanView {
        runs::plan(&self.state, &self.config, request, Access::Full)
            .await
            .unwrap()
    }

    async fn carry_out(&self, request: &RunRequest) -> RunView {
        let run = runs::launch(&self.state, &self.config, request, actor())
            .await
            .unwrap();
        let (exit, view) = self.ended(&run).await;
        assert_eq!(exit, 0, "{:?}\n{}", view.status, self.journal(&run));
        view
    }

    async fn refused(&self, request: &RunRequest) -> String {
        let planned = runs::plan(&self.state, &self.config, request, Access::Full).await;
        planned.unwrap_err().to_string()
    }

    /// The only container that is up on the host: the image it runs.
    async fn image_up(&self, host: &HostName) -> String {
        let seen = self.look().await;
        let up: Vec<_> = seen[host]
            .iter()
            .filter(|replica| replica.state.is_up())
            .collect();
        assert_eq!(up.len(), 1, "{up:#?}");
        up[0].image.clone()
    }
}

/// An image of the service's repository, `shop:next`, that differs from others by its label. Its id.
async fn made(host: &Host, base: &str, tag: &str, label: &str) -> String {
    let daemon = pilothouse::hosts::connect(host, Access::Full).await.unwrap();
    let dockerfile = format!("FROM {base}\nLABEL made={label}\n");
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(dockerfile.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive
        .append_data(&mut header, "Dockerfile", dockerfile.as_bytes())
        .unwrap();
    let options = BuildImageOptionsBuilder::default().t(tag).build();
    let body = bollard::body_full(archive.into_inner().unwrap().into());
    let docker = daemon.change().unwrap();
    let said: Vec<_> = docker.build_image(options, None, Some(body)).collect().await;
    assert!(said.iter().all(Result::is_ok), "{said:?}");
    docker.inspect_image(tag).await.unwrap().id.unwrap()
}

async fn has(host: &Host, image: &str) -> bool {
    let daemon = pilothouse::hosts::connect(host, Access::ReadOnly).await.unwrap();
    daemon.read().inspect_image(image).await.is_ok()
}

/// Two hosts; `base` is there on both. What runs in staging is shipped to production, whatever its tag names by then.
pub(crate) async fn promotes(bench: Bench, base: &str) {
    let mut bench = bench.with_environments(&["staging", "production"]);
    let [one, two] = [0, 1].map(|n| bench.config.hosts[n].clone());
    bench.move_to(0, std::slice::from_ref(&one.name));
    bench.move_to(1, std::slice::from_ref(&two.name));
    let next = format!("{}:next", base.split(':').next().unwrap());
    bench.be_in("production");
    let promotion = RunRequest {
        image: None,
        reason: None,
        origin: Some(Origin {
            environment: Some("staging".to_owned()),
            release: None,
        }),
        ..bench.request(RunKind::Deploy)
    };
    let nothing = bench.refused(&promotion).await;
    assert!(nothing.contains("it does not run on"), "{nothing}");
    bench.good(RunKind::Deploy).await;

    bench.be_in("staging");
    let wanted = made(&one, base, &next, "1").await;
    let staged = RunRequest {
        image: Some(next.clone()),
        ..bench.request(RunKind::Deploy)
    };
    bench.carry_out(&staged).await;
    // The tag names another image by now.
    let later = made(&one, base, &next, "2").await;
    assert!(wanted != later && !has(&two, &wanted).await);

    bench.be_in("production");
    let plan = bench.plan(&promotion).await;
    assert_eq!(plan.image_id.as_ref(), Some(&wanted), "{plan:?}");
    assert_eq!(plan.to, Some(ReleaseNumber(2)));
    assert_eq!(plan.request.origin_words().unwrap(), "shop.staging r1");
    let view = bench.carry_out(&plan.request).await;
    assert_eq!(
        (view.subject().as_str(), view.to),
        ("shop.production", Some(ReleaseNumber(2)))
    );
    assert_eq!(view.reason.as_deref(), Some("promoted from shop.staging r1"));
    assert_eq!(bench.image_up(&two.name).await, wanted);
    assert!(!has(&two, &later).await, "nothing else is shipped");
    let daemon = pilothouse::hosts::connect(&two, Access::ReadOnly).await.unwrap();
    let LedgerSeen::Read(ledger) = runs::step::ledger::read(&daemon, &bench.subject()).await.unwrap() else {
        panic!("it has no history");
    };
    let promoted = ledger
        .release(ReleaseNumber(2))
        .unwrap()
        .promoted
        .clone()
        .unwrap();
    assert_eq!(
        (promoted.from.to_string().as_str(), promoted.release),
        ("shop.staging", ReleaseNumber(1))
    );
    assert_eq!(promoted.image.as_str(), wanted);

    // What was planned is not what runs there any more.
    bench.be_in("staging");
    bench.carry_out(&staged).await;
    bench.be_in("production");
    let moved = runs::launch(&bench.state, &bench.config, &plan.request, actor()).await;
    let moved = moved.unwrap_err().to_string();
    assert!(moved.contains("now runs r2; the plan was made for r1"), "{moved}");
    assert_eq!(bench.image_up(&two.name).await, wanted);
    let itself = bench.be_in("staging").request(RunKind::Deploy);
    let itself = RunRequest {
        origin: promotion.origin.clone(),
        image: None,
        ..itself
    };
    assert!(bench.refused(&itself).await.contains("environments are the same"));

    // Half of staging is on another release; then one of its hosts cannot be asked.
    bench.be_in("staging");
    bench.move_to(0, std::slice::from_ref(&two.name));
    bench
        .carry_out(&RunRequest {
            image: Some(wanted.clone()),
            ..staged.clone()
        })
        .await;
    bench.move_to(0, &[one.name.clone(), two.name.clone()]);
    let split = bench.refused(&promotion).await;
    assert!(
        split.contains("SPLIT: r2 on") && split.contains("; r1 on") || split.contains("SPLIT: r1 on"),
        "{split}"
    );
    let lost = HostName::parse("lost").unwrap();
    bench.config.hosts.push(Host {
        name: lost.clone(),
        endpoint: pilothouse::domain::endpoint::Endpoint::Unix("/nowhere/docker.sock".into()),
        tags: Vec::new(),
        protected: false,
        concurrency: None,
        address: None,
    });
    bench.move_to(0, &[one.name.clone(), lost]);
    let unknown = bench.refused(&promotion).await;
    let why = "it is unknown what runs on lost: could not reach lost at";
    assert!(unknown.contains(why), "{unknown}");
}

//! What is asked for, made into a plan: which hosts, which image, which tags.
//! Looks at the configuration and at git; at hosts only for what a promotion takes from there.

use crate::config::{Config, Host, Service};
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::plan::RunRequest;
use crate::domain::run::RunKind;
use crate::domain::units::Stamp;
use crate::release::plan::{Actor, Plan};
use crate::release::spec::Seals;
use crate::release::subject::Subject;

use super::promote;
use super::state::RunFile;
use super::step::build;

/// The plan and how its hosts are reached. `number`: the run's among those of its service.
pub async fn draft(
    number: u64,
    config: &Config,
    request: &RunRequest,
    by: Actor,
    now: Stamp,
) -> Result<RunFile, Fault> {
    let what = || format!("{} {}", request.word(), request.subject());
    let service = config.service_in(&request.service, request.environment.as_deref())?;
    let places = places(service, request.kind).map_err(|why| {
        let fault = Fault::new(what(), why);
        if service.environments.is_empty() {
            return fault;
        }
        fault.hint(service.environment_words())
    })?;
    if request.kind == RunKind::Pipeline && request.image.is_some() && service.build.is_some() {
        return Err(
            Fault::new(what(), "a pipeline builds its own image").hint("test or deploy that one by itself")
        );
    }
    let mut plan = Plan {
        run: new_id(now)?,
        kind: request.kind,
        subject: Subject {
            service: request.service.clone(),
            environment: request.environment.clone(),
        },
        by,
        reason: request.reason.clone(),
        started: now,
        targets: places,
        builder: service.build.as_ref().map(|build| build.host.clone()),
        image: reference(&service.image, request.image.as_deref()),
        tags: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        notes: Vec::new(),
        to: request.to,
        promoted: None,
        service: Service {
            environments: Vec::new(),
            ..service.clone()
        },
        seals: Seals::new(),
    };
    if !plan.test_hosts().is_empty() {
        super::compose::complete(&mut plan.service)?;
    }
    if let (Some(revision), Some(build)) = (&request.revision, &mut plan.service.build) {
        build.git = Some(revision.clone());
    }
    if request.revision.is_some() && !plan.builds() {
        return Err(Fault::new(what(), "only a run that builds can be of a revision")
            .hint("`build` and `pipeline` take --revision; others take --tag or --image"));
    }
    if let Some(origin) = &request.origin {
        promote::take(&mut plan, promote::look(config, request, origin).await?);
    }
    if plan.builds()
        && let Some(build) = &plan.service.build
    {
        let name = build::name(build, &service.name, number, now).await?;
        let reference = |tag: &String| format!("{}:{tag}", service.image);
        plan.tags = name.tags.iter().map(reference).collect();
        // The last one is what a deploy takes if nobody says otherwise.
        let latest = format!("{}:latest", service.image);
        plan.tags.retain(|tag| *tag != latest);
        plan.tags.push(latest);
        plan.image = plan.tags.first().cloned().unwrap_or_default();
        plan.labels = name.labels;
        plan.notes = name.notes;
        if let (Some(revision), Some(build)) = (name.git, &mut plan.service.build)
            && build.git.is_some()
        {
            // A branch may move on before the builder is reached.
            build.git = Some(revision.full);
        }
    }
    if plan.targets.is_empty() {
        plan.targets = plan.workplaces();
    }
    let hosts = plan
        .hosts()
        .iter()
        .map(|name| {
            config
                .host(name)
                .cloned()
                .ok_or_else(|| Fault::new(what(), format!("the configuration has no host {name}")))
        })
        .collect::<Result<Vec<Host>, Fault>>()?;
    let env = |name: &str| std::env::var(name).ok();
    plan.notes.extend(super::login::notes(&env, &hosts).await);
    Ok(RunFile {
        plan,
        hosts,
        known: config.hosts.clone(),
        wait: request.wait,
    })
}

fn places(service: &Service, kind: RunKind) -> Result<Vec<HostName>, &'static str> {
    match kind {
        RunKind::Build => service
            .build
            .as_ref()
            .map(|build| vec![build.host.clone()])
            .ok_or("it has no [services.build]"),
        RunKind::Test => {
            let mut hosts: Vec<HostName> = Vec::new();
            for test in &service.tests {
                if !hosts.contains(&test.host) {
                    hosts.push(test.host.clone());
                }
            }
            if hosts.is_empty() {
                Err("it has no [[services.tests]]")
            } else {
                Ok(hosts)
            }
        }
        RunKind::Deploy | RunKind::Rollback => service
            .deploy
            .as_ref()
            .map(|deploy| deploy.hosts.clone())
            .filter(|hosts| !hosts.is_empty())
            .ok_or("it has no [services.deploy] with hosts"),
        RunKind::Push => Err("this version ships images from host to host, not through a registry"),
        RunKind::Pipeline => match (service.pipeline.is_empty(), &service.deploy) {
            (true, _) => Err("it has nothing to build, test, push or deploy"),
            (false, Some(deploy)) => Ok(deploy.hosts.clone()),
            (false, None) => Ok(Vec::new()),
        },
    }
}

/// A tag alone is one of the service's repository; nothing at all is what was built last.
fn reference(repository: &str, asked: Option<&str>) -> String {
    match asked {
        None => format!("{repository}:latest"),
        Some(text) if text.contains(['/', ':', '@']) => text.to_owned(),
        Some(text) if text.len() >= 12 && text.chars().all(|c| c.is_ascii_hexdigit()) => text.to_owned(),
        Some(tag) => format!("{repository}:{tag}"),
    }
}

/// Sorts by time to the millisecond, also beside runs of the same second: `20261121-085004-137kx`.
pub(super) fn new_id(now: Stamp) -> Result<RunId, Fault> {
    let time = jiff::Timestamp::from_second(now.seconds())
        .map_err(|error| Fault::new("read the clock", error))?
        .strftime("%Y%m%d-%H%M%S");
    let millis = now.0.rem_euclid(1_000_000_000) / 1_000_000;
    let end: String = (0..2).map(|_| fastrand::lowercase()).collect();
    RunId::parse(&format!("{time}-{millis:03}{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_one_of_the_services_repository_and_anything_longer_is_itself() {
        assert_eq!(reference("reg:5000/shop", None), "reg:5000/shop:latest");
        assert_eq!(reference("reg:5000/shop", Some("v3")), "reg:5000/shop:v3");
        assert_eq!(reference("shop", Some("sha256:0123")), "sha256:0123");
        assert_eq!(reference("shop", Some("other/shop:v1")), "other/shop:v1");
    }

    #[test]
    fn ids_sort_by_time() {
        let one = new_id(Stamp::from_seconds(1_795_200_000)).unwrap();
        let two = new_id(Stamp(1_795_200_000_001_000_000)).unwrap();
        let three = new_id(Stamp::from_seconds(1_795_200_001)).unwrap();
        assert!(one < two && two < three, "{one} {two} {three}");
    }
}

//! Turns a request into a plan: which hosts, which image, which tags.
//! Reads the configuration and git; reads hosts only for a promotion.

use crate::config::service::{Strategy, Work};
use crate::config::{Config, Host, Service, compose};
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::plan::{Found, RunRequest};
use crate::domain::reference::{HUB, Reference, registry_of};
use crate::domain::run::RunKind;
use crate::domain::units::Stamp;
use crate::release::adopt::Whence;
use crate::release::plan::{Actor, LATEST, Plan};
use crate::release::spec::Seals;
use crate::release::subject::Subject;
use crate::release::work::builder;

use super::promote;
use crate::runs::disk::state::RunFile;
use crate::runs::step::build;

/// The tag of a service's last build, on its build host only: the default image of tests, pushes and deploys. Never pushed.
pub const LAST_BUILD: &str = "last-build";

/// The plan, and its hosts. `number`: the number of the run within its service.
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
        builder: builder(service, request.kind),
        image: reference(service, request.image.as_deref()),
        tags: Vec::new(),
        pushes: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        notes: Vec::new(),
        to: request.to,
        foreseen: request.foreseen.clone(),
        promoted: None,
        adopts: whence(service, &request.found).map_err(|why| Fault::new(what(), why))?,
        withheld: Vec::new(),
        service: planned(service, request.kind),
        seals: Seals::new(),
    };
    if plan.starts_containers() {
        super::compose::complete(&mut plan.service)?;
    }
    if let (Some(revision), Some(build)) = (&request.revision, &mut plan.service.build) {
        build.git = Some(revision.clone());
    }
    if request.revision.is_some() && !plan.builds() {
        return Err(Fault::new(what(), "only a run that builds can use a revision")
            .hint("`build` and `pipeline` take --revision; others take --tag or --image"));
    }
    if let Some(origin) = &request.origin {
        promote::take(&mut plan, promote::look(config, request, origin).await?);
    }
    let naming = build::Naming {
        branch: request.branch.as_deref(),
        run_number: number,
        now,
    };
    let branch = name_build(&mut plan, naming).await?;
    let naming = build::Naming {
        branch: branch.as_deref(),
        ..naming
    };
    name_tests(&mut plan, naming).await?;
    if plan.does_push() {
        plan.pushes = pushes(&plan, config, request).map_err(|fault| Fault {
            what: what(),
            ..fault
        })?;
    }
    if plan.targets.is_empty() {
        plan.targets = plan.workplaces();
    }
    let hosts = hosts(&plan, config).map_err(|fault| Fault {
        what: what(),
        ..fault
    })?;
    let env = |name: &str| std::env::var(name).ok();
    plan.notes.extend(super::login::notes(&env, &hosts).await);
    Ok(RunFile {
        plan,
        hosts,
        known: config.hosts.clone(),
        wait: request.wait,
        behind: request.behind.clone(),
    })
}

/// Its hosts; a pipeline of commands and approvals only has none.
fn hosts(plan: &Plan, config: &Config) -> Result<Vec<Host>, Fault> {
    let missing = |name: &HostName| Fault::new("", format!("the configuration has no host {name}"));
    let known = |name: HostName| config.host(&name).cloned().ok_or_else(|| missing(&name));
    plan.hosts().into_iter().map(known).collect()
}

/// Sets the tags, labels and commit of the build. Returns the branch, if known.
async fn name_build(plan: &mut Plan, naming: build::Naming<'_>) -> Result<Option<String>, Fault> {
    let branch = naming.branch.map(str::to_owned);
    let builds = plan.builds();
    let Some(build) = plan.service.build.as_mut().filter(|_| builds) else {
        return Ok(branch);
    };
    let name = build::name(build, &plan.service.name, naming).await?;
    let repository = &plan.service.image;
    plan.tags = name
        .tags
        .iter()
        .map(|tag| format!("{repository}:{tag}"))
        .collect();
    // The last one is what a deploy takes if nobody says otherwise.
    let last = format!("{repository}:{LAST_BUILD}");
    plan.tags.retain(|tag| *tag != last);
    plan.image.clone_from(plan.tags.first().unwrap_or(&last));
    plan.tags.push(last);
    plan.labels = name.labels;
    plan.notes = name.notes;
    let Some(revision) = name.git.filter(|_| build.git.is_some()) else {
        return Ok(branch);
    };
    // A branch may move on before the builder is reached. Of a commit git knows no branch any more.
    build.git = Some(revision.full);
    Ok(revision.branch)
}

/// Sets the tags of the images that tests and stages push, if this run includes any.
async fn name_tests(plan: &mut Plan, naming: build::Naming<'_>) -> Result<(), Fault> {
    if plan.test_pushes().is_empty() {
        return Ok(());
    }
    let Some(build) = plan.service.build.clone() else {
        return Ok(());
    };
    let stages = plan.service.stages.iter_mut();
    let of_stages = stages.filter_map(|stage| match &mut stage.work {
        Work::Run { test, .. } => test.push.as_mut(),
        Work::Command { .. } | Work::Approve { .. } => None,
    });
    let of_tests = plan
        .service
        .tests
        .iter_mut()
        .filter_map(|test| test.push.as_mut());
    for template in of_tests.chain(of_stages) {
        *template = build::reference(template, &build, naming).await?;
    }
    Ok(())
}

/// The service as stored in the plan.
fn planned(service: &Service, kind: RunKind) -> Service {
    let mut service = Service {
        environments: Vec::new(),
        ..service.clone()
    };
    if let (RunKind::Adopt, Some(deploy)) = (kind, &mut service.deploy) {
        // Nothing is replaced: there are no waves.
        deploy.strategy = Strategy::Recreate;
    }
    service
}

/// How to find the containers to adopt; a compose file is read immediately.
fn whence(service: &Service, found: &[Found]) -> Result<Vec<Whence>, String> {
    let one = |found: &Found| match found {
        Found::Container { host, name } => {
            let hosts = service.deploy.as_ref().map_or(&[][..], |deploy| &deploy.hosts);
            if let Some(other) = host.as_ref().filter(|host| !hosts.contains(host)) {
                let names: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
                return Err(format!("{other} is not one of its hosts ({})", names.join(", ")));
            }
            Ok(Whence::Container {
                host: host.clone(),
                name: name.clone(),
            })
        }
        Found::Compose(path) => {
            let file = path.display().to_string();
            let text = super::compose::read(path).map_err(|error| format!("{file}: {error}"))?;
            let member = compose::member(&text, service.name.as_str(), &service.image)
                .map_err(|fault| format!("{file}: {fault}"))?;
            Ok(Whence::Compose {
                file,
                project: member.project,
                service: member.service,
            })
        }
    };
    found.iter().map(one).collect()
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
        RunKind::Deploy | RunKind::Rollback | RunKind::Adopt => service
            .deploy
            .as_ref()
            .map(|deploy| deploy.hosts.clone())
            .filter(|hosts| !hosts.is_empty())
            .ok_or("it has no [services.deploy] with hosts"),
        RunKind::Push => builder(service, kind)
            .map(|host| vec![host])
            .ok_or("it has neither [services.build] nor [services.deploy]: no host has its image"),
        RunKind::Pipeline => match (service.pipeline.is_empty(), &service.deploy) {
            (true, _) => Err("it has nothing to build, test, push or deploy"),
            (false, Some(deploy)) => Ok(deploy.hosts.clone()),
            (false, None) => Ok(Vec::new()),
        },
    }
}

/// The names to push it under; empty: the names it has on its host.
fn pushes(plan: &Plan, config: &Config, request: &RunRequest) -> Result<Vec<Reference>, Fault> {
    let repository = &plan.service.image;
    let registry = registry_of(repository);
    if registry == HUB && config.registry(HUB).is_none() {
        return Err(
            Fault::new("", format!("its image {repository} names no registry")).hint(format!(
                "`image = \"registry:5000/{repository}\"`; for Docker's own, [[registries]] with `address = \"{HUB}\"`"
            )),
        );
    }
    let own = Reference::parse(repository)?;
    let built = Reference::parse(&plan.image)
        .ok()
        .filter(|image| image.repository() == repository && image.digest().is_none());
    if plan.builds() {
        let last = format!("{repository}:{LAST_BUILD}");
        let given = plan.tags.iter().filter(|tag| **tag != last);
        return given.map(|tag| Reference::parse(tag)).collect();
    }
    let mut tags: Vec<&str> = request.tags.iter().map(String::as_str).collect();
    if tags.is_empty() {
        tags.extend(built.as_ref().and_then(Reference::tag));
        tags.retain(|tag| *tag != LAST_BUILD);
    }
    if tags.contains(&LAST_BUILD) {
        return Err(Fault::new(
            "",
            format!("{LAST_BUILD} is reserved for the last build on the build host"),
        )
        .hint("choose another tag"));
    }
    tags.into_iter().map(|tag| own.tagged(tag)).collect()
}

/// A tag alone belongs to the service's repository; `None` is the last build.
fn reference(service: &Service, asked: Option<&str>) -> String {
    let repository = &service.image;
    match asked {
        None if service.build.is_some() => format!("{repository}:{LAST_BUILD}"),
        None => format!("{repository}:{LATEST}"),
        Some(text) if text.contains(['/', ':', '@']) => text.to_owned(),
        Some(text) if text.len() >= 12 && text.chars().all(|c| c.is_ascii_hexdigit()) => text.to_owned(),
        Some(tag) => format!("{repository}:{tag}"),
    }
}

/// Sorts by time to the millisecond, also beside runs of the same second: `20261121-085004-137kx`.
pub(in crate::runs) fn new_id(now: Stamp) -> Result<RunId, Fault> {
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
        let service = |image: &str| Service {
            environments: Vec::new(),
            name: crate::domain::ids::ServiceName::parse("shop").unwrap(),
            image: image.to_owned(),
            build: None,
            tests: Vec::new(),
            deploy: None,
            stages: Vec::new(),
            pipeline: Vec::new(),
        };
        let (far, near) = (service("reg:5000/shop"), service("shop"));
        assert_eq!(reference(&far, None), "reg:5000/shop:latest");
        assert_eq!(reference(&far, Some("v3")), "reg:5000/shop:v3");
        assert_eq!(reference(&near, Some("sha256:0123")), "sha256:0123");
        assert_eq!(reference(&near, Some("other/shop:v1")), "other/shop:v1");
    }

    #[test]
    fn ids_sort_by_time() {
        let one = new_id(Stamp::from_seconds(1_795_200_000)).unwrap();
        let two = new_id(Stamp(1_795_200_000_001_000_000)).unwrap();
        let three = new_id(Stamp::from_seconds(1_795_200_001)).unwrap();
        assert!(one < two && two < three, "{one} {two} {three}");
    }
}

//! The plan page and `--dry-run`: what a run would do to the hosts in their current state, and why it cannot be started.
//! Reads the hosts and changes nothing, except for a pruned ledger's container (see `look`); the run reads the hosts again
//! under its locks.

mod adopt;
mod describe;
mod look;
mod space;
mod work;

use super::draft::draft;
use super::readers::Readers;
use super::secrets;
use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, ImageId, ReleaseNumber};
use crate::domain::order::Access;
use crate::domain::plan::{PlanView, RunRequest, Wait};
use crate::domain::reference::Reference;
use crate::domain::run::{RunKind, RunStatus, RunView};
use crate::release::decision::{Decision, Facts, history};
use crate::release::facts::{ImageFacts, LockSeen};
use crate::release::lease::left_runs;
use crate::release::plan::{LATEST, Plan};
use crate::release::preflight::Refusals;
use crate::release::shelf::shelf;
use crate::release::spec::Seals;
use crate::release::work::changed;
use crate::release::{foreseen, left, preflight, spec};
use crate::runs::disk::state::State;
use crate::runs::left::recover;
use crate::runs::seen::tested;

/// Of this run alone.
pub(in crate::runs) async fn plan(
    state: &State,
    config: &Config,
    request: &RunRequest,
    access: Access,
) -> Result<PlanView, Fault> {
    let file = draft(
        state.next_number(&request.service),
        config,
        request,
        crate::runs::who(),
        crate::runs::process::pen::now(),
    )
    .await?;
    let mut plan = file.plan;
    plan.seals = seals(&plan).await;
    let look::Looked {
        mut facts,
        mut refusals,
        unreached,
    } = look::all(&file.hosts, &mut plan, access).await;
    refusals.extend(
        access
            .may_change(format!("{} {}", plan.kind.word(), plan.subject))
            .err(),
    );
    let mut view = PlanView {
        request: pinned(request, &plan),
        hosts: plan
            .targets
            .iter()
            .map(|host| (host.clone(), active(host, &facts)))
            .collect(),
        to: request.to,
        image: plan.image.clone(),
        image_id: None,
        changes: Vec::new(),
        order: Vec::new(),
        tests: Vec::new(),
        undo: Vec::new(),
        estimate: estimate(state, &plan),
        warnings: plan.notes.clone(),
        refusals,
        locked: Vec::new(),
        unreached,
        protected: protected(config, &plan),
        word: plan.subject.to_string(),
        dependants: Vec::new(),
        releases: Vec::new(),
    };
    queued(state, &plan, &mut view);
    died(state, &plan, &mut view);
    let is_in_registry = is_in_registry(&plan, config, &facts);
    if !plan.builds() && (plan.does_push() || !plan.test_hosts().is_empty()) {
        worked_on(&plan, &facts, is_in_registry, &mut view);
    }
    let mut readers = Readers::of(&file.hosts);
    let needed = super::needed::look(config, &plan, &mut readers).await;
    view.warnings.extend(needed.warnings);
    view.refusals.extend(needed.refusals);
    view.order = work::work(&plan, false);
    if plan.does_push() {
        pushed(state, &plan, &mut view);
    }
    view.tests = work::tests(&plan);
    if plan.is_release() {
        let waits = state.queue_of(&plan.subject).last().is_some() || matches!(request.wait, Wait::UpTo(_));
        let ground = Ground {
            state,
            facts: &mut facts,
            is_in_registry,
            waits,
        };
        release(&plan, ground, config, &mut view);
        untested(state, &plan, &mut view);
    } else {
        view.undo = vec![if plan.test_hosts().is_empty() {
            "no running container is changed".to_owned()
        } else {
            "no running container is changed; test containers are removed".to_owned()
        }];
    }
    if plan.is_release() {
        view.order.extend(work::work(&plan, true));
    }
    view.order.extend(work::ends(&plan));
    space::look(&plan, &facts, &mut readers, &mut view).await;
    Ok(view)
}

/// Hashes of the secrets that can be read without a person.
async fn seals(plan: &Plan) -> Seals {
    let env = |name: &str| std::env::var(name).ok();
    match plan.deploy().filter(|_| plan.is_release()) {
        Some(deploy) => secrets::seals_at_hand(&deploy.spec, &env).await,
        None => Seals::new(),
    }
}

/// Reports other runs of the service that come first in this state folder.
fn queued(state: &State, plan: &Plan, view: &mut PlanView) {
    if let Some(last) = state.queue_of(&plan.subject).last() {
        let what = format!("{} {}", plan.kind.word(), plan.subject);
        match view.request.wait {
            Wait::No => {
                let why = preflight::locked(&format!("{last} is in progress"));
                let refusal = Fault::new(what, why).hint("--wait 15m waits for its turn");
                view.locked.push(refusal);
            }
            Wait::Turn | Wait::UpTo(_) => view.warnings.push(format!("it waits its turn after {last}")),
        }
    }
}

/// Reports dead runs, whose locks stay until they are stale.
fn died(state: &State, plan: &Plan, view: &mut PlanView) {
    let is_its =
        |run: &RunView| run.service == plan.subject.service && run.environment == plan.subject.environment;
    let mut runs = crate::runs::seen::follow::all(state);
    if let Some(run) = runs.find(|run| run.status == RunStatus::Dead && is_its(run)) {
        view.warnings.push(format!(
            "the process of {} {} died before its end: recover it first (key X, pilothouse recover {}), \
             or what it holds is waited for",
            run.kind.word(),
            run.id,
            run.id
        ));
    }
}

/// Pins a promotion to the release that was found.
fn pinned(request: &RunRequest, plan: &Plan) -> RunRequest {
    let mut request = RunRequest {
        foreseen: None,
        ..request.clone()
    };
    if let (Some(origin), Some(promoted)) = (&mut request.origin, &plan.promoted) {
        origin.release = Some(promoted.release);
        request.image = Some(promoted.image.to_string());
    }
    request
}

fn active(host: &HostName, facts: &Facts) -> Option<ReleaseNumber> {
    let replicas = &facts.get(host)?.replicas;
    let up = replicas.iter().filter(|replica| replica.state.is_up());
    up.filter_map(|replica| replica.release).max()
}

fn estimate(state: &State, plan: &Plan) -> Option<std::time::Duration> {
    let subject = plan.subject.to_string();
    let earlier = crate::runs::list(state);
    earlier
        .iter()
        .find(|view| view.kind == plan.kind && view.subject() == subject)
        .and_then(|view| view.estimate)
}

/// The protected hosts where it builds, tests, pushes from or deploys.
fn protected(config: &Config, plan: &Plan) -> Vec<HostName> {
    let mut hosts = changed(&plan.service, plan.kind);
    hosts.retain(|name| config.host(name).is_some_and(|host| host.protected));
    hosts
}

/// The id of the image, if a host has it.
fn image_of(view: &PlanView) -> Option<ImageId> {
    ImageId::parse(view.image_id.as_deref()?).ok()
}

/// Warns if an existing image is deployed that has not passed the service's tests.
fn untested(state: &State, plan: &Plan, view: &mut PlanView) {
    let id = image_of(view);
    if let (RunKind::Deploy, None, Some(id)) = (plan.kind, &plan.promoted, id)
        && !tested::passed(state, plan, &id)
    {
        let fault = tested::not_passed(plan, &id);
        view.warnings
            .push(format!("{}: {}", fault.why, fault.hint.unwrap_or_default()));
    }
}

/// Whether `latest` is moved to it.
fn pushed(state: &State, plan: &Plan, view: &mut PlanView) {
    let is_said = plan.pushes.iter().any(|tag| tag.tag() == Some(LATEST));
    if !plan.builds() && !plan.pushes.is_empty() && !is_said {
        return;
    }
    let latest = format!("{}:{LATEST}", plan.service.image);
    match image_of(view) {
        _ if plan.builds() => view
            .order
            .push(format!("{latest} is moved to it once the tests have passed")),
        Some(id) if tested::passed(state, plan, &id) => view.order.push(format!("{latest} is moved to it")),
        Some(id) if is_said => view.refusals.push(tested::not_passed(plan, &id)),
        Some(id) => view.warnings.push(format!(
            "{latest} is not moved: {}",
            tested::not_passed(plan, &id).why
        )),
        None => {}
    }
}

/// Whether it is given by digest, on no host yet, and in a configured registry: then the run pulls it first.
fn is_in_registry(plan: &Plan, config: &Config, facts: &Facts) -> bool {
    let Ok(wanted) = Reference::parse(&plan.image) else {
        return false;
    };
    wanted.digest().is_some()
        && config.registry(wanted.registry()).is_some()
        && facts.values().all(|seen| seen.image.is_none())
}

fn worked_on(plan: &Plan, facts: &Facts, is_in_registry: bool, view: &mut PlanView) {
    let picked = plan
        .builder
        .iter()
        .chain(&plan.targets)
        .find_map(|host| facts.get(host)?.image.as_ref());
    match picked {
        Some(image) => view.image_id = Some(image.id.to_string()),
        None if is_in_registry => view.warnings.push(format!("{} is pulled first", plan.image)),
        None => view.refusals.push(
            Fault::new(format!("find the image {}", plan.image), "it is not on its hosts")
                .hint("build it first"),
        ),
    }
}

/// A placeholder for the image that the run will build or pull, so that everything else can be checked.
fn to_come(plan: &Plan, facts: &mut Facts) -> Option<ImageId> {
    let id = ImageId::parse(&format!("sha256:{}", "0".repeat(64))).ok()?;
    let seen = facts.get_mut(plan.builder.as_ref().or(plan.targets.first())?)?;
    seen.image = Some(ImageFacts {
        id: id.clone(),
        architecture: seen.engine.arch.clone(),
        os: seen.engine.os.clone(),
        git: None,
        volumes: Vec::new(),
        digests: Vec::new(),
    });
    Some(id)
}

/// The hosts of a release as they were read.
struct Ground<'a> {
    state: &'a State,
    facts: &'a mut Facts,
    is_in_registry: bool,
    /// Whether it waits for other runs.
    waits: bool,
}

fn release(plan: &Plan, ground: Ground<'_>, config: &Config, view: &mut PlanView) {
    let Ground {
        state,
        facts,
        is_in_registry,
        waits,
    } = ground;
    if is_in_registry {
        view.order.push(format!("pull {}", plan.image));
    }
    let to_come = if plan.builds() || is_in_registry {
        to_come(plan, facts)
    } else {
        None
    };
    let facts = &*facts;
    let mut order: Vec<HostName> = plan
        .targets
        .iter()
        .filter(|host| facts.contains_key(*host))
        .cloned()
        .collect();
    order.sort_by_key(|host| {
        facts
            .get(host)
            .map(|seen| (seen.engine.daemon_id().map(str::to_owned), host.clone()))
    });
    let (without, left) = without_what_was_left(plan, facts);
    for (host, lock) in &left {
        let its = facts.values().flat_map(|seen| &seen.locks);
        let its = its.filter(|other| other.run == lock.run && !recover::died_here(state, &lock.run));
        let watched = match recover::watching(&plan.subject, its) {
            Some(span) => format!(", if nobody renews it for {} s", span.as_secs()),
            None => String::new(),
        };
        view.order.push(format!(
            "first recover what is unfinished on {host}: {}{watched}; it is undone, or finished if it was committed",
            lock.described()
        ));
    }
    if !left.is_empty() {
        view.warnings
            .push("the steps after it are planned again when it is done".to_owned());
    }
    let facts = &without;
    if plan.kind == RunKind::Rollback {
        view.releases = shelf(plan, &order, facts);
    }
    let Refusals { locked, others } = preflight::refusals(plan, &order, facts);
    view.refusals.extend(others);
    if view.request.wait == Wait::No {
        view.locked.extend(locked);
    } else {
        view.warnings
            .extend(locked.iter().map(|fault| format!("it waits: {}", fault.why)));
    }
    let Ok(decision) = Decision::make(plan, &order, facts) else {
        return;
    };
    let waits = waits || !left.is_empty() || facts.values().any(|seen| !seen.locks.is_empty());
    view.request.foreseen = foreseen::foreseen(plan, &decision, waits);
    if let (Some(_), Some(foreseen)) = (&to_come, &mut view.request.foreseen) {
        foreseen.image = None;
    }
    view.to = Some(decision.release);
    if to_come.is_none() {
        view.image.clone_from(&decision.image.reference);
        view.image_id = Some(decision.image.id.to_string());
    }
    view.warnings.extend(decision.notes.iter().cloned());
    if plan.kind == RunKind::Adopt {
        adopt::describe(plan, facts, &decision, view);
        return;
    }
    let history = history(&order, facts);
    let before = history.as_ref().and_then(|ledger| ledger.release(decision.from?));
    if let Some(before) = before {
        view.changes = spec::changes(&before.spec, &decision.spec);
        if to_come.is_none() && before.image != decision.image.id {
            view.changes.insert(
                0,
                format!("image {} → {}", before.image.short(), decision.image.id.short()),
            );
        }
        if plan.kind != RunKind::Rollback {
            view.changes
                .extend(spec::changed_secrets(&before.seals, &plan.seals));
        }
    }
    view.changes.extend(left::replicas(&decision, facts));
    if let Some(same) = before.filter(|_| view.changes.is_empty() && to_come.is_none()) {
        view.changes.push(format!(
            "none seen: same image and container settings as {}",
            same.release
        ));
    }
    view.warnings
        .extend(left::notes(plan, &decision, history.as_ref()));
    let registry = decision.image.pinned.as_ref();
    let registry = registry.filter(|pinned| config.registry(pinned.registry()).is_some());
    describe::describe(plan, facts, (&decision, registry), view);
}

/// The facts without the locks of runs that would be recovered first; and those locks, one per run.
fn without_what_was_left(plan: &Plan, facts: &Facts) -> (Facts, Vec<(HostName, LockSeen)>) {
    let all = || {
        facts
            .iter()
            .flat_map(|(host, seen)| seen.locks.iter().map(move |lock| (host, lock)))
    };
    let runs = left_runs(&plan.subject, all().map(|(_, lock)| lock));
    let mut left: Vec<(HostName, LockSeen)> = Vec::new();
    for (host, lock) in all().filter(|(_, lock)| runs.contains(lock.run.as_str())) {
        if !left.iter().any(|(_, known)| known.run == lock.run) {
            left.push((host.clone(), lock.clone()));
        }
    }
    let mut facts = facts.clone();
    for seen in facts.values_mut() {
        seen.locks
            .retain(|lock| !left.iter().any(|(_, known)| known.run == lock.run));
    }
    (facts, left)
}

//! Services that are built after the one they depend on: their plans shown with its plan, their runs started after its run.
//! Each is a normal run in its own service's queue; it begins only if the run it depends on succeeded.

use super::launch::launch;
use crate::config::Config;
use crate::domain::fault::Fault;
use crate::domain::ids::{RunId, ServiceName};
use crate::domain::order::Access;
use crate::domain::plan::{PlanView, RunRequest, Wait};
use crate::domain::run::RunKind;
use crate::release::plan::Actor;
use crate::runs::disk::state::State;

/// The plan of the run, and those of its dependants.
pub async fn plan(
    state: &State,
    config: &Config,
    request: &RunRequest,
    access: Access,
) -> Result<PlanView, Fault> {
    check(config, request)?;
    let mut view = Box::pin(super::plan::plan(state, config, request, access)).await?;
    if builds(request) {
        view.dependants = config.after.dependants(&request.service);
    }
    let mut words: Vec<String> = Vec::new();
    if !view.protected.is_empty() {
        words.push(view.word.clone());
    }
    for name in &request.dependants {
        let behind = Box::pin(super::plan::plan(state, config, &of(request, name), access)).await?;
        view.order.push(format!(
            "{} {name} afterwards, if it succeeds",
            request.kind.word()
        ));
        view.order
            .extend(behind.order.iter().map(|line| format!("  {line}")));
        view.tests.extend(behind.tests);
        view.warnings
            .extend(behind.warnings.iter().map(|line| format!("{name}: {line}")));
        let after = |fault: Fault| Fault {
            what: format!("{} (after {})", fault.what, request.service),
            ..fault
        };
        view.refusals.extend(behind.refusals.into_iter().map(after));
        view.locked.extend(behind.locked.into_iter().map(after));
        for host in behind.unreached {
            if !view.unreached.contains(&host) {
                view.unreached.push(host);
            }
        }
        view.estimate = view.estimate.zip(behind.estimate).map(|(one, other)| one + other);
        if !behind.protected.is_empty() {
            words.push(behind.word);
        }
        for host in behind.protected {
            if !view.protected.contains(&host) {
                view.protected.push(host);
            }
        }
    }
    if !words.is_empty() {
        view.word = words.join(" ");
    }
    Ok(view)
}

/// Starts the runs of the dependants after `base`, which is in progress; returns their ids, in order. They wait even if the
/// caller exits.
pub async fn launch_behind(
    state: &State,
    config: &Config,
    request: &RunRequest,
    base: &RunId,
    actor: &Actor,
) -> Result<Vec<(ServiceName, RunId)>, Fault> {
    let mut begun = vec![(request.service.clone(), base.clone())];
    for name in &request.dependants {
        let stands_on = config.after.of(name);
        let its = begun.iter().filter(|(service, _)| stands_on.contains(service));
        let own = RunRequest {
            behind: its.map(|(_, run)| run.clone()).collect(),
            // Its turn comes when what it stands on is done, however long that takes.
            wait: match request.wait {
                Wait::No => Wait::Turn,
                other => other,
            },
            ..of(request, name)
        };
        let run = launch(state, config, &own, actor.clone())
            .await
            .map_err(|fault| Fault {
                what: format!("start {name} after run {base}, which continues: {}", fault.what),
                ..fault
            })?;
        begun.push((name.clone(), run));
    }
    begun.remove(0);
    Ok(begun)
}

/// Whether it builds an image that others may depend on.
fn builds(request: &RunRequest) -> bool {
    matches!(request.kind, RunKind::Build | RunKind::Pipeline) && request.environment.is_none()
}

/// All dependants or none: one left out would silently stay on the old image.
fn check(config: &Config, request: &RunRequest) -> Result<(), Fault> {
    let what = || format!("{} {} with its dependants", request.word(), request.subject());
    if request.dependants.is_empty() {
        return Ok(());
    }
    if !builds(request) {
        return Err(Fault::new(
            what(),
            "only `build` and `pipeline` of the service itself build its image",
        ));
    }
    if request.dependants != config.after.dependants(&request.service) {
        return Err(
            Fault::new(what(), "its dependants in the configuration have changed").hint("ask for it again"),
        );
    }
    Ok(())
}

/// The same kind of run of a dependent service, built from its own source.
fn of(request: &RunRequest, service: &ServiceName) -> RunRequest {
    RunRequest {
        service: service.clone(),
        image: None,
        revision: None,
        branch: None,
        foreseen: None,
        dependants: Vec::new(),
        ..request.clone()
    }
}

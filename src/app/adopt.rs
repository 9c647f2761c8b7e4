//! Finds running containers of the selected service that belong to no release, and builds a request to adopt them.
//! Only opens the plan; adopts nothing.

use super::act;
use super::availability::Refusal;
use super::effect::Effect;
use super::model::Model;
use crate::domain::plan::{Found, RunRequest};
use crate::domain::run::RunKind;
use crate::release::standing::strangers;

/// The containers to adopt, each with host and name.
pub(super) fn found(model: &Model) -> Result<Vec<Found>, Refusal> {
    let request = act::request(model, RunKind::Adopt)?;
    let environment = request.environment.as_deref();
    let service = model.setup.config.service_in(&request.service, environment);
    let service = service.map_err(|fault| Refusal::new(fault.to_string()))?;
    let hosts = service.deploy.as_ref().map_or(&[][..], |deploy| &deploy.hosts);
    let rows = model.fleet.rows().filter(|(host, _)| hosts.contains(host));
    let found: Vec<Found> = rows
        .filter(|(_, row)| strangers::is_of(&row.container, &service.image))
        .map(|(host, row)| Found::Container {
            host: Some(host.clone()),
            name: row.container.name.to_string(),
        })
        .collect();
    if found.is_empty() {
        return Err(Refusal::new("no unreleased container runs its image"));
    }
    Ok(found)
}

#[must_use]
pub(super) fn open(model: &mut Model) -> Vec<Effect> {
    let request = act::request(model, RunKind::Adopt).and_then(|request| {
        Ok(RunRequest {
            found: found(model)?,
            ..request
        })
    });
    match request {
        Ok(request) => crate::panes::plan::open(model, request),
        Err(Refusal(words)) => {
            model.say(words);
            Vec::new()
        }
    }
}

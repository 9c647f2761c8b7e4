//! The service and environment of a command: `shop`, `shop.staging`, or `shop --env staging`.
//! Unknown names are refused with the known ones.

use super::args::{PromoteArgs, Target};
use super::out::{self, Exit};
use super::setup::Setup;
use crate::config::{Config, Service};
use crate::domain::fault::Fault;
use crate::domain::ids::ServiceName;
use crate::domain::run::RunKind;
use crate::release::subject::Subject;

/// What was said in one word and what was said with `--env` must not contradict each other.
pub(super) fn said(asked: &Target) -> Result<Subject, Fault> {
    let mut subject = asked.service.clone();
    match (&subject.environment, &asked.environment) {
        (Some(one), Some(other)) if one != other => {
            Err(Fault::new(format!("find {subject}"), format!("--env is {other}"))
                .hint("give the environment only once"))
        }
        (None, Some(_)) => {
            subject.environment.clone_from(&asked.environment);
            Ok(subject)
        }
        (_, _) => Ok(subject),
    }
}

/// As `said`, and the configuration has it.
pub(super) fn known(setup: &Setup, asked: &Target) -> Result<Subject, Exit> {
    let found = said(asked).and_then(|subject| {
        view(&setup.config, &subject)?;
        Ok(subject)
    });
    found.map_err(|fault| usage(&fault))
}

/// The configuration has a service of that name.
pub(super) fn service(setup: &Setup, name: &ServiceName) -> Result<(), Exit> {
    let subject = Subject {
        service: name.clone(),
        environment: None,
    };
    view(&setup.config, &subject)
        .map(drop)
        .map_err(|fault| usage(&fault))
}

/// As `known`, and where the kind of run needs a deploy, the service does not have it in its environments only.
pub(super) fn deployed(setup: &Setup, kind: RunKind, asked: &Target) -> Result<Subject, Exit> {
    let subject = known(setup, asked)?;
    let service = view(&setup.config, &subject).map_err(|fault| usage(&fault))?;
    let deploys = matches!(kind, RunKind::Deploy | RunKind::Rollback | RunKind::Adopt);
    if deploys && service.deploy.is_none() && !service.environments.is_empty() {
        let fault = Fault::new(
            format!("{} {subject}", kind.word()),
            "it only runs in its environments",
        );
        return Err(usage(&fault.hint(service.environment_words())));
    }
    Ok(subject)
}

/// From where to where; both are deployed, and they are two.
pub(super) fn promoted(setup: &Setup, asked: &PromoteArgs) -> Result<(Option<String>, Option<String>), Exit> {
    let place = |word: &str| -> Result<Option<String>, Fault> {
        let of_service = word.strip_prefix(asked.service.as_str());
        let environment = match of_service {
            Some("") => None,
            Some(rest) if rest.starts_with('.') => rest.get(1..),
            Some(_) | None => Some(word),
        };
        let service = setup.config.service_in(&asked.service, environment)?;
        if service.deploy.is_none() {
            let fault = Fault::new(
                format!("promote {} from or to {word}", asked.service),
                "it is not deployed there",
            );
            return Err(fault.hint(service.environment_words()));
        }
        Ok(environment.map(str::to_owned))
    };
    let found = place(&asked.from).and_then(|from| Ok((from, place(&asked.to)?)));
    match found {
        Ok((from, to)) if from == to => Err(usage(
            &Fault::new(
                format!("promote {} to {}", asked.from, asked.to),
                "they are the same",
            )
            .hint("pilothouse promote SERVICE FROM TO"),
        )),
        Ok(places) => Ok(places),
        Err(fault) => Err(usage(&fault)),
    }
}

fn view<'c>(config: &'c Config, subject: &Subject) -> Result<&'c Service, Fault> {
    config.service_in(&subject.service, subject.environment.as_deref())
}

fn usage(fault: &Fault) -> Exit {
    out::fault(fault);
    Exit::Usage
}

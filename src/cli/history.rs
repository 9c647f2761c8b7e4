//! `history`: what was done to a service, from the ledgers on its hosts.
//! A host that does not answer does not hide the others: it is reported on stderr and in the exit code.

use super::args::History;
use super::filter::is_of;
use super::out::{self, Exit};
use super::setup::Setup;
use crate::config::Service;
use crate::domain::fault::Fault;
use crate::domain::ids::HostName;
use crate::domain::units::short_span;
use crate::release::ledger::LedgerResult;
use crate::release::subject::Subject;
use crate::runs;
use crate::runs::seen::history::{Chapter, Deed};

pub(super) async fn history(setup: &Setup, asked: &History) -> Exit {
    let wanted = match asked.filter.resolve(setup) {
        Ok(wanted) => wanted,
        Err(exit) => return exit,
    };
    let places = match places(setup, asked) {
        Ok(places) => places,
        Err(fault) => {
            out::fault(&fault);
            return Exit::Usage;
        }
    };
    let mut found = runs::history(&setup.config, &places, setup.access).await;
    found.chapters.retain(|chapter| wanted.takes_chapter(chapter));
    found.chapters.truncate(asked.filter.limit);
    if asked.output.json {
        out::json(&found.chapters);
    } else {
        print(&found.chapters);
    }
    for fault in &found.faults {
        out::fault(fault);
    }
    if found.faults.is_empty() {
        Exit::Done
    } else {
        Exit::Unreachable
    }
}

/// Every place of the configuration that something is deployed to, as far as it is wanted.
fn places(setup: &Setup, asked: &History) -> Result<Vec<Subject>, Fault> {
    let wanted = (asked.service.as_ref(), asked.environment.as_deref());
    if let Some(subject) = &asked.service {
        setup
            .config
            .service_in(&subject.service, subject.environment.as_deref())?;
    }
    let all = setup.config.services.iter().flat_map(|service| {
        let places = service.places();
        places.map(move |(environment, place)| (service, environment, place))
    });
    let found: Vec<Subject> = all
        .filter(
            |(service, environment, place): &(&Service, Option<&str>, &Service)| {
                place.deploy.is_some() && is_of(wanted, (&service.name, *environment))
            },
        )
        .map(|(service, environment, _)| Subject {
            service: service.name.clone(),
            environment: environment.map(str::to_owned),
        })
        .collect();
    if found.is_empty() {
        let what = asked.service.as_ref().map_or_else(
            || "show a history".to_owned(),
            |subject| format!("show the history of {subject}"),
        );
        return Err(
            Fault::new(what, "this configuration deploys nothing of that name")
                .hint("ledgers record deployments only; `pilothouse runs` lists builds and tests"),
        );
    }
    Ok(found)
}

fn print(chapters: &[Chapter]) {
    let now = super::now();
    let rows: Vec<_> = chapters
        .iter()
        .map(|chapter| {
            let place = match &chapter.environment {
                Some(environment) => format!("{}.{environment}", chapter.service),
                None => chapter.service.to_string(),
            };
            let hosts: Vec<&str> = chapter.hosts.iter().map(HostName::as_str).collect();
            let [kind, release, result, why] = words(&chapter.deed);
            [
                format!("{} ago", short_span(chapter.at.until(now))),
                place,
                kind,
                release,
                result,
                format!("{}@{}", chapter.actor, chapter.machine),
                hosts.join(","),
                chapter.run.clone(),
                why,
            ]
        })
        .collect();
    out::table(
        [
            "WHEN", "SERVICE", "KIND", "RELEASE", "RESULT", "BY", "HOSTS", "RUN", "WHY",
        ],
        &rows,
    );
}

/// Kind, release, result, and why it was done or what became of it.
fn words(deed: &Deed) -> [String; 4] {
    let none = || "–".to_owned();
    match deed {
        Deed::Unlock { why } => ["unlock".to_owned(), none(), none(), why.clone()],
        Deed::Release(release) => {
            let to = release.to;
            let way = release
                .from
                .map_or_else(|| to.to_string(), |from| format!("{from} → {to}"));
            let (result, why) = match &release.result {
                LedgerResult::Committed => ("done", None),
                LedgerResult::Reverted { why } => ("reverted", Some(why)),
                LedgerResult::NeedsHuman { why } => ("needs a human", Some(why)),
            };
            let parts: Vec<&str> = [release.reason.as_ref(), why]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect();
            let why = if parts.is_empty() {
                none()
            } else {
                parts.join("; ")
            };
            [release.kind.word().to_owned(), way, result.to_owned(), why]
        }
    }
}

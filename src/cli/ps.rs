//! `pilothouse ps`: the containers of all hosts in one list.

use serde::Serialize;

use super::args::Ps;
use super::out::{self, Exit};
use super::reach;
use super::setup::Setup;
use crate::domain::container::{Container, Group, Health, State};
use crate::domain::ids::HostName;
use crate::domain::natural;
use crate::domain::units::{Stamp, short_span};

#[derive(Serialize)]
struct Row<'a> {
    host: &'a HostName,
    group: Group,
    release: Option<String>,
    #[serde(flatten)]
    container: &'a Container,
}

pub(super) async fn ps(setup: &Setup, asked: &Ps) -> Exit {
    let answers = reach::everything(&setup.config.hosts, setup.access).await;
    let mut rows: Vec<(&HostName, &Container)> = answers
        .iter()
        .filter_map(|answer| Some((&answer.host.name, &answer.result.as_ref().ok()?.1)))
        .flat_map(|(host, containers)| containers.iter().map(move |container| (host, container)))
        .filter(|(_, container)| asked.all || (container.state.is_running() && !container.is_housekeeping()))
        .filter(|(host, container)| {
            asked
                .filter
                .as_deref()
                .is_none_or(|filter| matches(filter, host, container))
        })
        .collect();
    rows.sort_by(|(host, container), (other_host, other)| {
        let places = container
            .group()
            .cmp(&other.group())
            .then_with(|| host.cmp(other_host));
        places.then_with(|| natural::compare(&container.name, &other.name))
    });
    if asked.output.json {
        let rows: Vec<Row> = rows
            .into_iter()
            .map(|(host, container)| Row {
                host,
                group: container.group(),
                release: container.release().map(|release| release.to_string()),
                container,
            })
            .collect();
        out::json(&rows);
    } else {
        let now = super::now();
        let cells: Vec<_> = rows
            .into_iter()
            .map(|(host, container)| cells(host, container, now))
            .collect();
        out::table(
            ["CONTAINER", "HOST", "STATE", "HEALTH", "RELEASE", "FOR", "IMAGE"],
            &cells,
        );
    }
    reach::say_missing(&answers)
}

fn cells(host: &HostName, container: &Container, now: Stamp) -> [String; 7] {
    let since = match &container.state {
        State::Running { since } | State::Paused { since } | State::Restarting { since, .. } => *since,
        State::Exited { at, .. } => *at,
        State::Created => Some(container.created),
        State::Removing | State::Dead => None,
    };
    let state = match &container.state {
        State::Exited { code, oom: true, .. } => format!("exited {code}, out of memory"),
        State::Exited { code, .. } => format!("exited {code}"),
        other => other.word().to_owned(),
    };
    let health = match container.health {
        Health::Unchecked => "–",
        Health::Starting => "starting",
        Health::Healthy => "healthy",
        Health::Unhealthy => "unhealthy",
    };
    [
        container.name.to_string(),
        host.to_string(),
        state,
        health.to_owned(),
        container
            .release()
            .map_or_else(|| "–".to_owned(), |release| release.to_string()),
        since.map_or_else(|| "–".to_owned(), |since| short_span(since.until(now))),
        container.image.to_string(),
    ]
}

/// The words of a filter are looked for as they are; a leading `!` turns the answer round.
fn matches(filter: &str, host: &HostName, container: &Container) -> bool {
    let (wanted, words) = match filter.strip_prefix('!') {
        Some(rest) => (false, rest),
        None => (true, filter),
    };
    let service = match container.group() {
        Group::Service {
            name,
            environment: None,
        } => name.to_string(),
        Group::Service {
            name,
            environment: Some(environment),
        } => format!("{name}.{environment}"),
        Group::Compose { project, service } => format!("{project} {service}"),
        Group::None => String::new(),
    };
    let found = [host.as_str(), &container.name, &container.image, &service]
        .iter()
        .any(|text| text.contains(words));
    found == wanted
}

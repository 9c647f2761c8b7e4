//! `pilothouse ps`: the containers of all hosts in one list.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::args::Ps;
use super::out::{self, Exit};
use super::reach::{self, Question};
use super::setup::Setup;
use crate::app::filter::RowFilter;
use crate::domain::container::{Container, Group, Health, State};
use crate::domain::ids::HostName;
use crate::domain::natural;
use crate::domain::run::Silence;
use crate::domain::units::{Stamp, short_span};
use crate::hosts::Daemon;
use crate::release::standing::{self, HostSeen, Judged, Part, Standing};
use crate::runs;

#[derive(Serialize)]
struct Row<'a> {
    host: &'a HostName,
    group: Group,
    release: Option<String>,
    /// What it is to its service; absent of what was not released.
    part: Option<Part>,
    /// What the fleet is of its service.
    service: Option<&'a Standing>,
    #[serde(flatten)]
    container: &'a Container,
}

/// Of a service none of whose containers is listed: stopped ones, or ones that are not reached.
#[derive(Serialize)]
struct Unlisted<'a> {
    group: &'a Group,
    service: &'a Standing,
}

/// One row of the JSON array.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Listed(Box<Row<'a>>),
    Unlisted(Unlisted<'a>),
}

pub(super) async fn ps(setup: &Setup, asked: &Ps) -> Exit {
    let answers = reach::all(&setup.config.hosts, setup.access, Question::Containers).await;
    let seen: Vec<HostSeen<'_>> = answers
        .iter()
        .map(|answer| HostSeen {
            host: &answer.host.name,
            reached: answer.result.is_ok(),
            containers: answer.result.iter().flat_map(|seen| &seen.containers).collect(),
            adopted: answer.result.as_ref().map_or(&[], |seen| seen.adopted.as_slice()),
        })
        .collect();
    let mut judged = standing::judge_all(&setup.config.services, &seen);
    let reached: Vec<Daemon> = answers
        .iter()
        .filter_map(|answer| Some(answer.result.as_ref().ok()?.daemon.clone()))
        .collect();
    let silent = left(&reached, &judged, &seen).await;
    standing::left::mark_left(&mut judged, &silent);
    let part_of = |container: &Container| {
        judged
            .get(&container.group())
            .and_then(|judged| judged.parts.get(&container.id).copied())
    };
    let filter = RowFilter::new(asked.filter.as_deref().unwrap_or_default());
    let mut rows: Vec<(&HostName, &Container)> = answers
        .iter()
        .filter_map(|answer| Some((&answer.host.name, &answer.result.as_ref().ok()?.containers)))
        .flat_map(|(host, containers)| containers.iter().map(move |container| (host, container)))
        .filter(|(_, container)| asked.all || (container.state.is_up() && !container.is_housekeeping()))
        .filter(|(host, container)| filter.admits_container(host, container))
        .collect();
    rows.sort_by(|(host, container), (other_host, other)| {
        let places = container
            .group()
            .cmp(&other.group())
            .then_with(|| host.cmp(other_host));
        places.then_with(|| natural::compare(&container.name, &other.name))
    });
    if asked.output.json {
        let mut groups: BTreeSet<Group> = BTreeSet::new();
        let mut told: Vec<Told> = rows
            .into_iter()
            .map(|(host, container)| {
                let group = container.group();
                groups.insert(group.clone());
                Told::Listed(Box::new(Row {
                    host,
                    release: container.release().map(|release| release.to_string()),
                    part: part_of(container),
                    service: judged.get(&group).map(|judged| &judged.standing),
                    group,
                    container,
                }))
            })
            .collect();
        let is_wanted = |group: &Group| filter.admits(&[&group.to_string()]);
        let others = judged
            .iter()
            .filter(|(group, _)| !groups.contains(*group) && is_wanted(group));
        told.extend(others.map(|(group, judged)| {
            Told::Unlisted(Unlisted {
                group,
                service: &judged.standing,
            })
        }));
        out::json(&told);
    } else {
        let now = super::now();
        let cells: Vec<_> = rows
            .into_iter()
            .map(|(host, container)| cells(host, container, part_of(container), now))
            .collect();
        out::table(
            ["CONTAINER", "HOST", "STATE", "HEALTH", "RELEASE", "FOR", "IMAGE"],
            &cells,
        );
        say_standings(&judged);
    }
    reach::say_missing(&answers)
}

/// Locks older than any lease are read: what is known of their holders, by run.
async fn left(
    reached: &[Daemon],
    judged: &BTreeMap<Group, Judged>,
    seen: &[HostSeen<'_>],
) -> BTreeMap<String, Silence> {
    let all = seen
        .iter()
        .flat_map(|seen| seen.containers.iter().map(|container| (seen.host, *container)));
    let wanted = all.filter(|(_, container)| judged.contains_key(&container.group()));
    let asked = standing::left::old_locks(wanted, super::now());
    runs::left_locks(reached, &asked).await.into_iter().collect()
}

/// Services whose hosts are not of one mind or not known, on stderr: `shop: SPLIT, r41 on web-1; r42 on web-2`.
fn say_standings(judged: &BTreeMap<Group, Judged>) {
    for (group, judged) in judged {
        if let Standing::Split { .. }
        | Standing::Drift { .. }
        | Standing::Unreleased { .. }
        | Standing::InProgress { .. }
        | Standing::Unknown { .. } = judged.standing
        {
            let word = judged.standing.word();
            out::words(&format!("{group}: {word}, {}", judged.standing));
        }
    }
}

fn cells(host: &HostName, container: &Container, part: Option<Part>, now: Stamp) -> [String; 7] {
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
        checked => checked.word(),
    };
    [
        container.name.to_string(),
        host.to_string(),
        state,
        health.to_owned(),
        match (container.release(), part) {
            (None, _) => "–".to_owned(),
            (Some(release), None | Some(Part::Active)) => release.to_string(),
            (Some(release), Some(part)) => format!("{release} {}", part.word()),
        },
        since.map_or_else(|| "–".to_owned(), |since| short_span(since.until(now))),
        container.image_words().into_owned(),
    ]
}

//! `pilothouse logs`: lines of any containers on any hosts, merged by time.
//! Stdout and stderr of the containers go to stdout and stderr; skipped lines are reported.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::args::Logs;
use super::out::{self, Exit};
use super::reach::{self, Answer, Question};
use super::setup::Setup;
use crate::domain::container::{Container, Group};
use crate::domain::fault::Fault;
use crate::domain::ids::{ContainerId, ContainerKey, HostName};
use crate::domain::logs::{LogBatch, LogLine, LogRange, Stream};
use crate::domain::told;
use crate::domain::units::Stamp;
use crate::hosts::Daemon;
use crate::hosts::logs::{self, Mode, Read};
use crate::ui::ansi;

/// A container whose lines are wanted, and what stands before each of them.
struct Target {
    daemon: Daemon,
    id: ContainerId,
    name: String,
}

#[derive(Serialize)]
struct Line<'a> {
    #[serde(serialize_with = "told::time")]
    at: Stamp,
    host: &'a HostName,
    container: &'a str,
    stream: Stream,
    text: &'a str,
}

pub(super) async fn logs(setup: &Setup, asked: &Logs) -> Exit {
    let answers = reach::all(&setup.config.hosts, setup.access, Question::Containers).await;
    let (targets, unknown) = resolve(&asked.targets, &answers);
    let missing = match (reach::say_missing(&answers), unknown.as_slice()) {
        // No host that is missing can have it.
        (Exit::Done, [_, ..]) => Exit::Usage,
        (missing, _) => missing,
    };
    for word in &unknown {
        let why = "no container or service has this name on the hosts that answer";
        let fault = Fault::new(format!("find {word:?}"), why);
        out::fault(&fault.hint("`pilothouse ps --all` lists them"));
    }
    if targets.is_empty() {
        return missing;
    }
    let names: BTreeMap<ContainerKey, String> = targets
        .iter()
        .map(|target| {
            (
                ContainerKey {
                    host: target.daemon.name().clone(),
                    id: target.id.clone(),
                },
                target.name.clone(),
            )
        })
        .collect();
    let range = match (asked.all, asked.since) {
        (true, _) => LogRange::All,
        (false, Some(span)) => LogRange::Last(span),
        (false, None) => LogRange::Tail(asked.tail),
    };
    let mode = if asked.follow { Mode::Follow } else { Mode::Once };
    let mut stream = logs::read(
        targets
            .into_iter()
            .map(|target| (target.daemon, target.id))
            .collect(),
        range,
        mode,
    );
    loop {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Exit::Interrupted,
            batch = stream.next() => match batch {
                Some(batch) if print(&batch, &names, asked) => {}
                // Nobody reads us any more.
                Some(_) => return missing,
                None => break,
            },
        }
    }
    match stream.ended().await {
        Read::Whole => missing,
        Read::Short => {
            out::words("not every log could be read to its end");
            Exit::Unreachable
        }
    }
}

/// False when nobody reads any more.
fn print(batch: &LogBatch, names: &BTreeMap<ContainerKey, String>, asked: &Logs) -> bool {
    if batch.skipped > 0 {
        out::words(&format!("… {} lines skipped", batch.skipped));
    }
    batch.lines.iter().all(|line| one(line, names, asked).is_ok())
}

fn one(line: &LogLine, names: &BTreeMap<ContainerKey, String>, asked: &Logs) -> std::io::Result<()> {
    let name = names
        .get(&*line.source)
        .map_or_else(|| line.source.id.short(), String::as_str);
    if asked.output.json {
        if line.stream == Stream::Notice {
            let text = ansi::clean(&line.text);
            out::words(&format!("{} {name}: {text}", line.source.host));
        }
        let line = Line {
            at: line.at,
            host: &line.source.host,
            container: name,
            stream: line.stream,
            text: &line.text,
        };
        return out::json_line(&line);
    }
    let time = if asked.timestamps {
        format!("{} ", out::time(line.at))
    } else {
        String::new()
    };
    let source = if names.len() > 1 {
        format!("{} {} ", line.source.host, name)
    } else {
        String::new()
    };
    let text = ansi::clean(&line.text);
    match line.stream {
        Stream::Out | Stream::Console => out::written(&format!("{time}{source}{text}")),
        Stream::Err | Stream::Notice => {
            out::words(&format!("{time}{source}{text}"));
            Ok(())
        }
    }
}

/// Each word is a container's name, an id or its beginning, `host/name`, or a service (in all its environments, or `shop.staging`);
/// all that it fits are meant. Also the words that fit nothing.
fn resolve<'w>(words: &'w [String], answers: &[Answer]) -> (Vec<Target>, Vec<&'w str>) {
    let mut seen = BTreeSet::new();
    let (mut targets, mut unknown) = (Vec::new(), Vec::new());
    for word in words {
        let mut fits = 0;
        for (daemon, container) in answers
            .iter()
            .filter_map(|answer| answer.result.as_ref().ok())
            .flat_map(|seen| {
                seen.containers
                    .iter()
                    .map(move |container| (&seen.daemon, container))
            })
        {
            if !means(word, daemon.name(), container) {
                continue;
            }
            fits += 1;
            if seen.insert((daemon.name().clone(), container.id.clone())) {
                let name = container.name.to_string();
                targets.push(Target {
                    daemon: daemon.clone(),
                    id: container.id.clone(),
                    name,
                });
            }
        }
        if fits == 0 {
            unknown.push(word.as_str());
        }
    }
    (targets, unknown)
}

fn means(word: &str, host: &HostName, container: &Container) -> bool {
    let (on, name) = match word.split_once('/') {
        Some((on, name)) => (Some(on), name),
        None => (None, word),
    };
    let is_service = match container.group() {
        Group::Service {
            name: service,
            environment,
        } => {
            service.as_str() == name
                || environment.is_some_and(|environment| format!("{service}.{environment}") == name)
        }
        Group::Compose { service, .. } => *service == *name,
        Group::None => false,
    };
    let by_id = name.len() >= 6 && container.id.as_str().starts_with(name);
    on.is_none_or(|on| on == host.as_str())
        && (by_id || *container.name == *name || (is_service && !container.is_housekeeping()))
}

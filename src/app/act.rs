//! Actions on containers and runs: their targets, the questions asked first, and the effects of a yes.
//! The outcome comes back as `Event::Done`: see `orders`.

use std::collections::BTreeSet;

use super::availability::{NONE_RUNS, Refusal, availability, place};
use super::command::Command;
use super::effect::{Effect, Lend};
use super::model::Model;
use super::place::PaneId;
use super::question::{Intent, Question};
use super::subject::Subject;
use crate::domain::container::Group;
use crate::domain::fleet::Row;
use crate::domain::host::Link;
use crate::domain::ids::{ContainerKey, HostName, RunId, ServiceName};
use crate::domain::order::{Order, OrderId, Verb};
use crate::domain::plan::RunRequest;
use crate::domain::run::{Asked, RunKind, RunStatus, RunView};
use crate::domain::text::capital;
use crate::release::standing::Part;
use crate::release::work::changed;

/// The containers an action applies to: the marked ones, otherwise the selection; never empty.
pub fn targets(model: &Model) -> Result<Vec<ContainerKey>, Refusal> {
    let marked = match model.focus {
        PaneId::Containers => model.containers.marked(),
        _ => Vec::new(),
    };
    let targets = match model.subject() {
        _ if !marked.is_empty() => marked,
        Some(Subject::Group(group)) => present_of(model, &group)?,
        Some(Subject::Container(_) | Subject::Host(_) | Subject::Run(_)) | None => {
            containers_of_subject(model)?
        }
    };
    let hosts: BTreeSet<&HostName> = targets.iter().map(|key| &key.host).collect();
    for host in hosts {
        live(model, host)?;
    }
    Ok(targets)
}

/// The selected container, or those of the selected service.
pub fn containers_of_subject(model: &Model) -> Result<Vec<ContainerKey>, Refusal> {
    match model.subject() {
        Some(Subject::Container(key)) if model.fleet.row(&key).is_some() => Ok(vec![key]),
        Some(Subject::Container(_)) => Err(Refusal("it is gone".to_owned())),
        Some(Subject::Group(group)) => match crate::panes::containers::of_group(model, &group) {
            none if none.is_empty() => Err(Refusal("it has no containers".to_owned())),
            keys => Ok(keys),
        },
        Some(Subject::Host(_) | Subject::Run(_)) | None => {
            Err(Refusal("select a container first".to_owned()))
        }
    }
}

/// What an action on the row of a group takes: of a service its present release, never those that are kept beside it.
/// Where nothing of it is up, the one that should be, else its newest. What belongs to no service is acted on one by one.
fn present_of(model: &Model, group: &Group) -> Result<Vec<ContainerKey>, Refusal> {
    if *group == Group::None {
        return Err(Refusal::new("these belong to no service: select a container"));
    }
    let all = containers_of_subject(model)?;
    let Some(judged) = model.services.standings().get(group) else {
        return Ok(all);
    };
    let part = |key: &ContainerKey| judged.parts.get(&key.id).copied();
    if all
        .iter()
        .any(|key| matches!(part(key), Some(Part::Active | Part::Candidate)))
    {
        let is_present = |key: &ContainerKey| match part(key) {
            None | Some(Part::Active | Part::Candidate | Part::Failed) => true,
            Some(Part::Retained | Part::Orphan | Part::Revived) => false,
        };
        return Ok(all.into_iter().filter(is_present).collect());
    }
    let release = |key: &ContainerKey| model.fleet.row(key).and_then(|row| row.container.release());
    let fallen = all.iter().filter(|key| part(key) == Some(Part::Failed));
    let meant = fallen.filter_map(release).max();
    let meant = meant.or_else(|| all.iter().filter_map(release).max());
    Ok(all.into_iter().filter(|key| release(key) == meant).collect())
}

#[must_use]
pub fn key_of(host: &HostName, row: &Row) -> ContainerKey {
    ContainerKey {
        host: host.clone(),
        id: row.container.id.clone(),
    }
}

/// Whether the host is connected.
pub fn live(model: &Model, host: &HostName) -> Result<(), Refusal> {
    match model.fleet.host(host).map(|entry| &entry.link) {
        Some(Link::Live { .. }) => Ok(()),
        Some(Link::Connecting { .. }) => Err(Refusal(format!("still connecting to {host}"))),
        Some(Link::Lost { .. }) => Err(Refusal(format!("{host} is lost"))),
        Some(Link::NeedsPerson { .. }) => Err(Refusal(format!(
            "{host} needs you to log in: press Enter on it in hosts"
        ))),
        None => Err(Refusal(format!("{host} is not in the configuration"))),
    }
}

/// Opens the question for the verb that the command means here.
#[must_use]
pub fn ask(model: &mut Model, command: Command) -> Vec<Effect> {
    let targets = match targets(model) {
        Ok(targets) => targets,
        Err(Refusal(words)) => {
            model.say(words);
            return Vec::new();
        }
    };
    let (verb, targets) = verb_for(model, command, targets);
    if targets.is_empty() {
        model.say(NONE_RUNS);
        return Vec::new();
    }
    let question = question(model, verb, targets);
    model.ask(question);
    Vec::new()
}

/// Start or stop, pause or go on: whichever undoes the present state; those already there are left out. By the row of a
/// group nothing is restarted or killed that is not up: a restart would start it.
fn verb_for(model: &Model, command: Command, targets: Vec<ContainerKey>) -> (Verb, Vec<ContainerKey>) {
    use crate::domain::container::State;
    let in_state = |wanted: fn(&State) -> bool| -> Vec<ContainerKey> {
        let is = |key: &&ContainerKey| {
            model
                .fleet
                .row(key)
                .is_some_and(|row| wanted(&row.container.state))
        };
        targets.iter().filter(is).cloned().collect()
    };
    let is_group = matches!(model.subject(), Some(Subject::Group(_)));
    match command {
        Command::Toggle => {
            let up = in_state(State::is_up);
            if up.is_empty() {
                (Verb::Start, targets)
            } else {
                (Verb::Stop, up)
            }
        }
        Command::Pause => {
            let running = in_state(|state| matches!(state, State::Running { .. }));
            if running.is_empty() {
                let paused = in_state(|state| matches!(state, State::Paused { .. }));
                (Verb::Unpause, paused)
            } else {
                (Verb::Pause, running)
            }
        }
        Command::Remove => (Verb::Remove, targets),
        Command::Kill if is_group => (Verb::Kill, in_state(State::is_up)),
        Command::Kill => (Verb::Kill, targets),
        _ if is_group => (Verb::Restart, in_state(State::is_up)),
        _ => (Verb::Restart, targets),
    }
}

fn question(model: &Model, verb: Verb, targets: Vec<ContainerKey>) -> Question {
    let hosts: BTreeSet<&HostName> = targets.iter().map(|key| &key.host).collect();
    let protected: Vec<&str> = hosts
        .iter()
        .filter(|host| model.is_protected(host))
        .map(|host| host.as_str())
        .collect();
    let name = |key: &ContainerKey| {
        let row = model.fleet.row(key);
        row.map_or_else(|| key.id.short().to_owned(), |row| row.container.name.to_string())
    };
    let (what, word) = match targets.as_slice() {
        [only] => (format!("{} on {}", name(only), only.host), name(only)),
        many => {
            let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            (
                format!("{} containers on {}", many.len(), listed(&hosts)),
                // More than a key that does something else elsewhere.
                format!("{} {}", verb.word(), many.len()),
            )
        }
    };
    let mut details = Vec::new();
    if targets.len() > 1 {
        let names = targets.iter().map(|key| format!("{} on {}", name(key), key.host));
        let names: Vec<String> = names.collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        details.push(listed(&names));
    }
    match verb {
        Verb::Remove => {
            details.push("its volumes are kept; the daemon refuses to remove a running container".to_owned());
        }
        Verb::Kill => details.push("SIGKILL: the process cannot save or clean up".to_owned()),
        Verb::Start | Verb::Stop | Verb::Restart | Verb::Pause | Verb::Unpause => {}
    }
    let title = format!("{} {what}?", capital(verb.word()));
    let protected = protected.join(", ");
    let intent = Intent::Act { verb, targets };
    if protected.is_empty() {
        Question::yes_no(title, intent, model.now.uptime).details(details)
    } else {
        details.push(format!("protected: {protected}"));
        Question::typed(title, word, intent, model.now.uptime).details(details)
    }
}

/// The first few, then how many more.
#[must_use]
pub fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Carries out what a question named, after a yes.
#[must_use]
pub fn carry_out(model: &mut Model, intent: Intent) -> Vec<Effect> {
    match intent {
        Intent::Act { verb, targets } => {
            let name = match targets.as_slice() {
                [only] => model
                    .fleet
                    .row(only)
                    .map(|row| format!("{} on {}", row.container.name, only.host)),
                _ => None,
            };
            let orders: Vec<(OrderId, Order)> = targets
                .into_iter()
                .map(|target| (model.next_order(), Order::Act { target, verb }))
                .collect();
            let ids: Vec<OrderId> = orders.iter().map(|(id, _)| *id).collect();
            model.orders.expect_batch(&ids, verb, name);
            model.containers.unmark_all();
            orders
                .into_iter()
                .map(|(id, order)| Effect::Order(id, order))
                .collect()
        }
        Intent::Launch(request) => launch(model, *request),
        Intent::Cancel(run) => {
            let id = model.next_order();
            model
                .orders
                .expect(id, Some("asked the run to cancel".to_owned()));
            vec![Effect::Cancel(id, run)]
        }
        Intent::Approve(run, said) => {
            let id = model.next_order();
            let words = if said.yes {
                format!("approved {}; the run continues", said.stage)
            } else {
                format!("denied {}; the run ends there", said.stage)
            };
            model.orders.expect(id, Some(words));
            vec![Effect::Approve(id, run, said)]
        }
        Intent::Recover(run) => super::recovery::carry_out(model, run),
    }
}

/// Starts the run and shows it.
#[must_use]
pub fn launch(model: &mut Model, request: RunRequest) -> Vec<Effect> {
    let id = model.next_order();
    model.orders.expect(id, None);
    if model.focus == PaneId::Plan {
        model.back();
    }
    crate::panes::pipeline::show(model, &request);
    vec![Effect::Launch(id, request)]
}

/// The request of a pipeline key for the selected service.
pub fn request(model: &Model, kind: RunKind) -> Result<RunRequest, Refusal> {
    let (service, environment) = place(model)?;
    Ok(RunRequest {
        environment,
        ..RunRequest::new(kind, service)
    })
}

/// The open run of the selection.
pub fn run_to_cancel(model: &Model) -> Result<RunId, Refusal> {
    let run = if let Some(Subject::Run(id)) = model.subject() {
        model.runs.get(&id).filter(|run| run.is_open())
    } else {
        let (service, environment) = place(model)?;
        model
            .runs
            .values()
            .rev()
            .find(|run| run.is_open() && run.service == service && run.environment == environment)
    };
    let run = run.ok_or_else(|| Refusal("no run of it is in progress".to_owned()))?;
    if run.status == RunStatus::Dead {
        return Err(Refusal(
            "its process died: press X to finish or undo it".to_owned(),
        ));
    }
    run.only_theirs()
        .map_or(Ok(run.id.clone()), |why| Err(Refusal(why)))
}

/// The open run that waits for approval, and its question: the selected one, otherwise the first.
pub fn run_to_approve(model: &Model) -> Result<(RunId, Asked), Refusal> {
    let asked = |run: &RunView| match run.theirs {
        None => Some((run.id.clone(), run.asks.first()?.clone())),
        Some(_) => None,
    };
    let selected = run_to_cancel(model)
        .ok()
        .and_then(|id| asked(model.runs.get(&id)?));
    selected
        .or_else(|| model.runs.values().find_map(asked))
        .ok_or_else(|| Refusal("no run waits for approval".to_owned()))
}

/// A pipeline key. Builds and tests change no running service and start at once, or after a question on a protected host;
/// everything that deploys shows its plan first.
#[must_use]
pub fn pipeline(model: &mut Model, kind: RunKind) -> Vec<Effect> {
    let request = match request(model, kind) {
        Ok(request) => request,
        Err(Refusal(words)) => {
            model.say(words);
            return Vec::new();
        }
    };
    match kind {
        RunKind::Build | RunKind::Test => {
            let hosts = hosts_of(model, &request);
            let place: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
            let title = format!(
                "{} {} on {}?",
                capital(kind.word()),
                request.subject(),
                listed(&place)
            );
            let word = request.subject();
            let uptime = model.now.uptime;
            let intent = Intent::Launch(Box::new(request.clone()));
            let question = if hosts.iter().any(|host| model.is_protected(host)) {
                Question::typed(title, word, intent, uptime)
            } else {
                Question::yes_no(title, intent, uptime)
            };
            let dependants = dependants_of(model, &request);
            model.ask(crate::panes::plan::with_or_without(
                question,
                &request,
                &dependants,
            ));
            Vec::new()
        }
        RunKind::Push | RunKind::Deploy | RunKind::Rollback | RunKind::Adopt | RunKind::Pipeline => {
            crate::panes::plan::open(model, request)
        }
    }
}

/// The services that may be built after it.
fn dependants_of(model: &Model, request: &RunRequest) -> Vec<ServiceName> {
    if request.kind == RunKind::Build && request.environment.is_none() {
        model.setup.config.after.dependants(&request.service)
    } else {
        Vec::new()
    }
}

/// The hosts that build or test.
fn hosts_of(model: &Model, request: &RunRequest) -> Vec<HostName> {
    let environment = request.environment.as_deref();
    let Ok(service) = model.setup.config.service_in(&request.service, environment) else {
        return Vec::new();
    };
    let mut hosts = changed(service, request.kind);
    hosts.sort();
    hosts
}

#[must_use]
pub fn ask_cancel(model: &mut Model) -> Vec<Effect> {
    if let Ok(id) = run_to_cancel(model)
        && let Some(run) = model.runs.get(&id)
    {
        let (title, detail) = match (run.cancels, &run.undoing) {
            (0, None) if run.committed => (
                format!("Cancel {}, started by {}?", run.name(), run.actor),
                "the release is committed and stays; the stages after it are skipped",
            ),
            (0, None) => (
                format!("Cancel {}, started by {}?", run.name(), run.actor),
                "its changes are undone",
            ),
            (0, Some(_)) => (
                format!("Cancel {}, started by {}?", run.name(), run.actor),
                "it is already undoing its changes; a second cancel stops it without undoing the rest",
            ),
            (_, _) => (
                format!("Stop {} without undoing the rest?", run.name()),
                "it was already cancelled; changes not undone by then remain, and need a human",
            ),
        };
        let question =
            Question::yes_no(title, Intent::Cancel(id), model.now.uptime).details(vec![detail.to_owned()]);
        model.ask(question);
    }
    Vec::new()
}

#[must_use]
pub fn ask_approve(model: &mut Model) -> Vec<Effect> {
    if let Ok((id, asked)) = run_to_approve(model)
        && let Some(run) = model.runs.get(&id)
    {
        let title = format!("{}: {}", run.name(), asked.question);
        let details = vec![
            format!("started by {} with {}", run.actor, run.image),
            "a reason can follow; it is recorded with your name. No ends the run".to_owned(),
        ];
        let question = Question::reasoned(title, id, asked.stage, model.now.uptime).details(details);
        model.ask(question);
    }
    Vec::new()
}

#[must_use]
pub fn shell(model: &mut Model) -> Vec<Effect> {
    match (availability(model, Command::Shell), model.subject()) {
        (Ok(()), Some(Subject::Container(key))) => {
            let id = model.next_order();
            model.orders.expect(id, None);
            vec![Effect::Lend(id, Lend::Shell(key))]
        }
        _ => Vec::new(),
    }
}

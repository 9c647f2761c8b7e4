//! Whether a command is available now, and if not, the reason in words.
//! Called before a key takes effect and for every word of the key line; changes nothing.

use super::act;
use super::command::Command;
use super::model::Model;
use super::place::PaneId;
use super::subject::Subject;
use crate::config::Service;
use crate::domain::container::{Group, State};
use crate::domain::ids::ServiceName;
use crate::domain::order::Access;

/// `not now: {words}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl Refusal {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

pub fn availability(model: &Model, command: Command) -> Result<(), Refusal> {
    match command {
        Command::Toggle | Command::Remove => {
            writable(model)?;
            act::targets(model).map(drop)
        }
        Command::Restart => restart(model),
        Command::Pause => one_is(model, State::is_running),
        Command::Kill => one_is(model, State::is_up),
        Command::All => match model.focus {
            PaneId::Services | PaneId::Containers => Ok(()),
            _ => Err(Refusal::new("only for services and containers: press 1 or 2")),
        },
        Command::Zoom if !model.in_room() && !model.zoomed => Err(Refusal::new(match model.focus {
            PaneId::Problems | PaneId::Runs | PaneId::Detail | PaneId::Plan => "this page is always alone",
            _ => "this terminal is too small for more than one pane",
        })),
        Command::Wrap if model.focus != PaneId::Logs => Err(Refusal::new("only in logs: press l")),
        Command::Open => open(model),
        Command::Shell => {
            writable(model)?;
            shell(model)
        }
        Command::Inspect => match model.subject() {
            Some(Subject::Container(_)) => Ok(()),
            _ => Err(Refusal::new("select a container first")),
        },
        Command::Logs if crate::panes::logs::can_open(model) => Ok(()),
        Command::Logs => act::containers_of_subject(model).map(drop),
        Command::Build => {
            writable(model)?;
            part(model, |service| service.build.is_some(), "build")
        }
        Command::Test => {
            writable(model)?;
            part(model, |service| !service.tests.is_empty(), "tests")
        }
        Command::Deploy | Command::Rollback => {
            writable(model)?;
            part(model, |service| service.deploy.is_some(), "deploy")
        }
        Command::Pipeline => {
            writable(model)?;
            part(model, |service| !service.pipeline.is_empty(), "pipeline")
        }
        Command::Push => {
            writable(model)?;
            let has_image = |service: &Service| service.build.is_some() || service.deploy.is_some();
            part(model, has_image, "build")
        }
        Command::Promote => {
            writable(model)?;
            super::promote::ways(model).map(drop)
        }
        Command::Adopt => {
            writable(model)?;
            part(model, |service| service.deploy.is_some(), "deploy")?;
            super::adopt::found(model).map(drop)
        }
        Command::EarlierRun | Command::LaterRun => match model.focus {
            PaneId::Pipeline => Ok(()),
            _ => Err(Refusal::new("only on the page of a run: press 6")),
        },
        Command::Cancel => {
            writable(model)?;
            act::run_to_cancel(model).map(drop)
        }
        Command::Approve => {
            writable(model)?;
            act::run_to_approve(model).map(drop)
        }
        Command::Recover => {
            writable(model)?;
            super::recovery::wanted(model).map(drop)
        }
        Command::Copy => copy(model),
        Command::Retry | Command::Measure => match (command, model.subject()) {
            (Command::Measure, Some(Subject::Host(_))) => writable(model),
            (Command::Retry, Some(Subject::Host(_))) => Ok(()),
            _ => Err(Refusal::new("select a host first")),
        },
        Command::NextMatch | Command::PreviousMatch if !crate::panes::is_searching(model) => {
            Err(Refusal::new("no search is active: press / to search"))
        }
        Command::ShorterRange | Command::LongerRange => match crate::panes::logs::only_range(model) {
            Some(why) => Err(Refusal::new(why)),
            None => Ok(()),
        },
        Command::Filter => filter(model),
        Command::Mark if model.focus == PaneId::Logs => Ok(()),
        Command::Mark | Command::Columns | Command::Sort | Command::SortReverse => match model.focus {
            PaneId::Containers => Ok(()),
            _ => Err(Refusal::new("only in the table of containers: press 2")),
        },
        _ => Ok(()),
    }
}

fn copy(model: &Model) -> Result<(), Refusal> {
    if !model.setup.clipboard {
        return Err(Refusal::new(
            "this kind of terminal (TERM) takes no text to a clipboard",
        ));
    }
    match model.subject() {
        Some(_) => Ok(()),
        None if model.focus == PaneId::Logs => Ok(()),
        None => Err(Refusal::new("nothing is selected")),
    }
}

fn open(model: &Model) -> Result<(), Refusal> {
    match model.focus {
        PaneId::Detail => Err(Refusal::new("this is everything; i shows the daemon's JSON")),
        PaneId::Plan if model.plan.is_choosing() => Ok(()),
        PaneId::Plan => Err(Refusal::new("Esc leaves the plan")),
        PaneId::Logs => Ok(()),
        PaneId::Services
        | PaneId::Containers
        | PaneId::Problems
        | PaneId::Hosts
        | PaneId::Pipeline
        | PaneId::Runs => match model.subject() {
            Some(_) => Ok(()),
            None => Err(Refusal::new("nothing is selected")),
        },
    }
}

/// Of several, none of which is as it must be.
pub(super) const NONE_RUNS: &str = "none of them is running";

/// Only containers with a process can be paused, only those with one or between two be killed.
fn one_is(model: &Model, meant: fn(&State) -> bool) -> Result<(), Refusal> {
    writable(model)?;
    let targets = act::targets(model)?;
    let state = |key| model.fleet.row(key).map(|row| &row.container.state);
    if targets.iter().filter_map(state).any(meant) {
        return Ok(());
    }
    Err(match targets.as_slice() {
        [only] => Refusal(format!(
            "it is {}",
            state(only).map_or("gone", |state| state.word())
        )),
        _ => Refusal::new(NONE_RUNS),
    })
}

/// A run's output is searched where it is shown.
fn filter(model: &Model) -> Result<(), Refusal> {
    let is_there = match model.focus {
        PaneId::Pipeline => crate::panes::pipeline::shown(model).is_some(),
        pane => crate::panes::has_filter(pane),
    };
    if is_there {
        Ok(())
    } else {
        Err(Refusal::new("this page has no filter"))
    }
}

fn writable(model: &Model) -> Result<(), Refusal> {
    match model.setup.access {
        Access::Full => Ok(()),
        Access::ReadOnly => Err(Refusal::new(Access::REFUSED)),
    }
}

/// One that is stopped is started by it where it is selected itself, not by the row of its group.
fn restart(model: &Model) -> Result<(), Refusal> {
    match model.subject() {
        Some(Subject::Group(_)) => one_is(model, State::is_up),
        Some(Subject::Container(_) | Subject::Host(_) | Subject::Run(_)) | None => {
            writable(model)?;
            act::targets(model).map(drop)
        }
    }
}

fn shell(model: &Model) -> Result<(), Refusal> {
    let Some(Subject::Container(key)) = model.subject() else {
        return Err(Refusal::new("select a container first"));
    };
    act::live(model, &key.host)?;
    match model.fleet.row(&key) {
        Some(row) if row.container.state.is_running() => Ok(()),
        Some(row) => Err(Refusal::new(format!("it is {}", row.container.state.word()))),
        None => Err(Refusal::new("it is gone")),
    }
}

/// The service of the configuration that the selection belongs to, and which of its environments.
pub fn place(model: &Model) -> Result<(ServiceName, Option<String>), Refusal> {
    let place = match model.subject() {
        Some(Subject::Group(group)) => place_of(group),
        Some(Subject::Container(key)) => model
            .fleet
            .row(&key)
            .and_then(|row| place_of(row.container.group())),
        Some(Subject::Run(id)) => model
            .runs
            .get(&id)
            .map(|run| (run.service.clone(), run.environment.clone())),
        Some(Subject::Host(_)) | None => None,
    };
    let (name, environment) =
        place.ok_or_else(|| Refusal::new("this does not belong to a configured service"))?;
    let Some(service) = model.setup.config.service(&name) else {
        return Err(Refusal(format!("{name} is not in the configuration")));
    };
    match &environment {
        Some(wanted) if service.place(Some(wanted)).is_none() => Err(Refusal(format!(
            "{name} has no environment {wanted}: {}",
            service.environment_words()
        ))),
        Some(_) | None => Ok((name, environment)),
    }
}

fn place_of(group: Group) -> Option<(ServiceName, Option<String>)> {
    match group {
        Group::Service { name, environment } => Some((name, environment.map(|name| name.to_string()))),
        Group::Compose { .. } | Group::None => None,
    }
}

/// The service in the selected environment; a refusal if it lacks the required part.
fn part(model: &Model, has: fn(&Service) -> bool, what: &str) -> Result<(), Refusal> {
    let (name, environment) = place(model)?;
    let found = model.setup.config.service_in(&name, environment.as_deref());
    let service = found.map_err(|fault| Refusal(fault.why))?;
    if has(service) {
        return Ok(());
    }
    let only_there = what == "deploy" && !service.environments.is_empty();
    Err(Refusal(if only_there {
        format!(
            "{name} only runs in its environments: {}",
            service.environment_words()
        )
    } else {
        format!("{name} has no [{what}] in the configuration")
    }))
}

//! The plan of a deploy or rollback, shown before it is confirmed.
//! It is confirmed by a question: the name typed if a host is protected, otherwise `y`, never Enter alone.

pub mod content;
pub mod shelf;
pub mod view;

use crate::app::cursor::Motion;
use crate::app::question::{Intent, Question};
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::fault::Fault;
use crate::domain::ids::ServiceName;
use crate::domain::order::OrderId;
use crate::domain::plan::{PlanView, RunRequest};
use crate::domain::run::RunKind;
use crate::panes::page::{Reader, Row};
use shelf::Shelf;

pub const HINTS: &[Command] = &[Command::Back];

#[derive(Clone, Debug, Default)]
pub struct PlanPage {
    pub state: PlanState,
    reader: Reader,
}

#[derive(Clone, Debug, Default)]
pub enum PlanState {
    #[default]
    Empty,
    /// The hosts are being read.
    Asked(OrderId, RunRequest),
    /// Of a rollback that did not say where to: the releases.
    Choosing(Shelf),
    Shown(Box<PlanView>),
    /// There is no plan, and why.
    Failed(RunRequest, Fault),
}

impl PlanPage {
    /// Is it the list of releases?
    #[must_use]
    pub fn is_choosing(&self) -> bool {
        matches!(self.state, PlanState::Choosing(_))
    }

    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// `d` or `R`: asks for the plan and shows the page.
#[must_use]
pub fn open(model: &mut Model, request: RunRequest) -> Vec<Effect> {
    let id = model.next_order();
    model.go(PaneId::Plan);
    model.plan = PlanPage {
        state: PlanState::Asked(id, request.clone()),
        reader: Reader::default(),
    };
    vec![Effect::Plan(id, request)]
}

/// The answer: shown, and asked about unless something refuses it. An answer to a plan that was left is of no
/// consequence.
#[must_use]
pub fn planned(model: &mut Model, id: OrderId, plan: Result<Box<PlanView>, Fault>) -> Vec<Effect> {
    let PlanState::Asked(asked, request) = &model.plan.state else {
        return Vec::new();
    };
    if *asked != id || model.focus != PaneId::Plan {
        return Vec::new();
    }
    match plan {
        Err(fault) => model.plan.state = PlanState::Failed(request.clone(), fault),
        Ok(plan)
            if request.kind == RunKind::Rollback && request.to.is_none() && !plan.releases.is_empty() =>
        {
            let height = size(model).1;
            model.plan.state = PlanState::Choosing(Shelf::new(plan, height));
        }
        Ok(plan) => show(model, plan),
    }
    Vec::new()
}

fn show(model: &mut Model, plan: Box<PlanView>) {
    if !plan.is_stopped() {
        let question = question(&plan, model.now.uptime);
        model.ask(question);
    }
    model.plan.state = PlanState::Shown(plan);
}

/// Of the release that is selected; the usual one's is there already.
fn choose(model: &mut Model) -> Vec<Effect> {
    let PlanState::Choosing(shelf) = &model.plan.state else {
        return Vec::new();
    };
    let Some(chosen) = shelf.selected() else {
        return Vec::new();
    };
    if chosen.default {
        let plan = shelf.plan.clone();
        show(model, plan);
        return Vec::new();
    }
    if let Some(why) = &chosen.refused {
        let words = format!("not to {}: {why}", chosen.release);
        model.say(words);
        return Vec::new();
    }
    let request = RunRequest {
        to: Some(chosen.release),
        ..shelf.plan.request.clone()
    };
    open(model, request)
}

fn question(plan: &PlanView, uptime: std::time::Duration) -> Question {
    let service = plan.request.subject();
    let hosts: Vec<String> = plan.hosts.iter().map(|(host, _)| host.to_string()).collect();
    let hosts = hosts.join(", ");
    let title = match plan.request.kind {
        RunKind::Rollback => match plan.to {
            Some(to) => format!("Roll {service} back to {to} on {hosts}?"),
            None => format!("Roll {service} back on {hosts}?"),
        },
        _ if plan.request.origin.is_some() => {
            let from = plan.request.origin_words().unwrap_or_default();
            format!("Promote {from} to {service} on {hosts}?")
        }
        _ if plan.hosts.is_empty() => format!("{}{}?", content::title(&plan.request), behind(&plan.request)),
        kind => format!(
            "{} {} {hosts}{}?",
            content::title(&plan.request),
            content::toward(kind),
            behind(&plan.request)
        ),
    };
    let intent = Intent::Launch(Box::new(plan.request.clone()));
    let protected: Vec<&str> = plan
        .protected
        .iter()
        .map(crate::domain::ids::HostName::as_str)
        .collect();
    let question = if protected.is_empty() {
        Question::yes_no(title, intent, uptime)
    } else {
        let verb = if protected.len() == 1 { "is" } else { "are" };
        let why = format!("{} {verb} protected", protected.join(", "));
        Question::typed(title, plan.word.clone(), intent, uptime).details(vec![why])
    };
    with_or_without(question, &plan.request, &plan.dependants)
}

/// Where services stand on this one: `Tab` has them built behind it, or not.
#[must_use]
pub fn with_or_without(question: Question, request: &RunRequest, dependants: &[ServiceName]) -> Question {
    let mut other = request.clone();
    if dependants.is_empty() {
        return question;
    }
    if other.dependants.is_empty() {
        other.dependants = dependants.to_vec();
        let depends = if dependants.len() == 1 {
            "depends"
        } else {
            "depend"
        };
        question.or_plan(
            &format!("with {} afterwards, which {depends} on it", named(dependants)),
            other,
        )
    } else {
        other.dependants.clear();
        question.or_plan(&format!("{} alone", request.subject()), other)
    }
}

/// `, and shop, web afterwards`
fn behind(request: &RunRequest) -> String {
    match named(&request.dependants) {
        names if names.is_empty() => names,
        names => format!(", and {names} afterwards"),
    }
}

fn named(services: &[ServiceName]) -> String {
    let names: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
    names.join(", ")
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    let (columns, height) = size(model);
    if let (Some(motion), PlanState::Choosing(shelf)) = (Motion::of(command), &mut model.plan.state) {
        shelf.step(motion, height);
    } else if command == Command::Open {
        return choose(model);
    } else if let Some(motion) = Motion::of(command) {
        let rows = rows(model, columns).len();
        model.plan.reader.step(motion, rows, height);
    }
    Vec::new()
}

/// Columns and rows that are left beside the question.
fn size(model: &Model) -> (usize, usize) {
    let height = model
        .height_of(PaneId::Plan)
        .saturating_sub(view::question_rows(model));
    (usize::from(model.size.width), height)
}

#[must_use]
pub fn rows(model: &Model, columns: usize) -> Vec<Row> {
    if let PlanState::Choosing(shelf) = &model.plan.state {
        return shelf.rows(columns, size(model).1, model.now.wall);
    }
    content::rows(&model.plan.state, columns, model.now.wall)
}

#[must_use]
pub fn subject(_model: &Model) -> Option<Subject> {
    None
}

#[must_use]
pub fn note(model: &Model) -> String {
    match &model.plan.state {
        PlanState::Empty => String::new(),
        PlanState::Asked(..) => "reading the hosts".to_owned(),
        PlanState::Choosing(_) => "nothing is chosen yet".to_owned(),
        PlanState::Shown(plan) if plan.is_stopped() => "cannot be started".to_owned(),
        PlanState::Shown(_) => "nothing is changed yet".to_owned(),
        PlanState::Failed(..) => "no plan".to_owned(),
    }
}

#[must_use]
pub fn left(model: &mut Model) -> Vec<Effect> {
    model.plan = PlanPage::default();
    Vec::new()
}

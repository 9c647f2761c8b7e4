//! Taking up a run whose process died: offered when such a run is found, once; asked for by its key at any time.
//! The question names run, service and hosts; nothing is done without a yes.

use super::availability::Refusal;
use super::effect::Effect;
use super::layer::Layer;
use super::model::Model;
use super::question::{Intent, Question};
use super::subject::Subject;
use crate::domain::fault::Fault;
use crate::domain::ids::{HostName, RunId};
use crate::domain::order::Access;
use crate::domain::run::{RunStatus, RunView};
use crate::domain::units::short_span;

/// A run is about to be as `run` says. One that was dead already when it was heard of is offered; one that dies
/// while somebody watches is said: a question must not come up under fingers that are typing.
pub fn heard(model: &mut Model, run: &RunView) {
    if run.status != RunStatus::Dead {
        model.offers.retain(|id| *id != run.id);
        return;
    }
    let offered = match model.runs.get(&run.id) {
        None => model.setup.access == Access::Full && run.theirs.is_none(),
        Some(before) if before.status == RunStatus::Dead => return,
        Some(_) => false,
    };
    if offered {
        model.offers.push_back(run.id.clone());
        return;
    }
    let what = format!("finish {}", run.name());
    let why = match (model.setup.access, run.only_theirs()) {
        (Access::Full, None) => "its process died; X recovers it".to_owned(),
        (Access::Full, Some(theirs)) => format!("its process died; {theirs} recover it"),
        (Access::ReadOnly, _) => {
            "its process died; it is recovered from where changes are allowed".to_owned()
        }
    };
    model.notices.fault(model.now.wall, &Fault::new(what, why));
}

/// Asks about the next run that was found dead, as soon as nothing else lies over the screen. A question about a
/// run that somebody else has taken up meanwhile goes.
pub fn offer(model: &mut Model) {
    if let Some(Layer::Question(question)) = &model.layer
        && let Intent::Recover(id) = &question.intent
        && model
            .runs
            .get(id)
            .is_some_and(|run| run.status != RunStatus::Dead)
    {
        model.layer = None;
        model.say("somebody has taken the run up meanwhile");
    }
    if model.layer.is_none()
        && let Some(id) = model.offers.pop_front()
    {
        ask_about(model, &id);
    }
}

/// Its key: about the selected dead run, else the latest.
#[must_use]
pub fn ask(model: &mut Model) -> Vec<Effect> {
    if let Ok(id) = wanted(model) {
        model.offers.retain(|offered| *offered != id);
        ask_about(model, &id);
    }
    Vec::new()
}

/// The selected dead run, else the latest; of those that are ours to recover, if there is one.
pub fn wanted(model: &Model) -> Result<RunId, Refusal> {
    let selected = match model.subject() {
        Some(Subject::Run(id)) => model.dead_runs().find(|run| run.id == id),
        _ => None,
    };
    let ours = || model.dead_runs().filter(|run| run.theirs.is_none()).last();
    let run = selected
        .or_else(ours)
        .or_else(|| model.dead_runs().last())
        .ok_or_else(|| Refusal("no run has died".to_owned()))?;
    run.only_theirs()
        .map_or(Ok(run.id.clone()), |why| Err(Refusal(why)))
}

fn ask_about(model: &mut Model, id: &RunId) {
    let Some(run) = model.runs.get(id).filter(|run| run.status == RunStatus::Dead) else {
        return;
    };
    let hosts: Vec<&str> = run.hosts.iter().map(HostName::as_str).collect();
    let on = match hosts.as_slice() {
        [] => String::new(),
        some => format!(" on {}", super::act::listed(some)),
    };
    let title = format!("Recover {}{on}?", run.name());
    let ago = short_span(run.started.until(model.now.wall));
    let who = if run.machine.is_empty() {
        run.actor.clone()
    } else {
        format!("{}@{}", run.actor, run.machine)
    };
    let mut details = vec![
        format!("run {id}, begun {ago} ago by {who}"),
        format!(
            "its process died after {} of {} steps: it is finished if that is proven safe, else taken back",
            run.steps_done, run.steps_total
        ),
    ];
    let protected: Vec<&str> = run
        .hosts
        .iter()
        .filter(|host| model.is_protected(host))
        .map(HostName::as_str)
        .collect();
    let (intent, uptime) = (Intent::Recover(id.clone()), model.now.uptime);
    let question = if protected.is_empty() {
        Question::yes_no(title, intent, uptime)
    } else {
        details.push(format!("protected: {}", super::act::listed(&protected)));
        Question::typed(title, run.subject(), intent, uptime)
    };
    model.ask(question.details(details));
}

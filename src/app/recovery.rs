//! Taking up a run whose process died, or that lost hosts which answer again: offered when it is found so, once; asked for
//! by its key at any time.
//! The question names run, service and hosts; nothing is done without a yes.

use super::availability::Refusal;
use super::effect::Effect;
use super::layer::Layer;
use super::model::Model;
use super::question::{Intent, Question};
use super::subject::Subject;
use crate::domain::container::label;
use crate::domain::fault::Fault;
use crate::domain::fleet::Row;
use crate::domain::ids::{HostName, RunId};
use crate::domain::order::Access;
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::domain::units::short_span;

/// A run is about to be as `run` says. One that was dead already when it was heard of is offered; one that dies
/// while somebody watches is said: a question must not come up under fingers that are typing.
pub fn heard(model: &mut Model, run: &RunView) {
    if run.status != RunStatus::Dead {
        model.offers.retain(|id| *id != run.id);
        if run.status == RunStatus::Running {
            // Taken up: should it lose a host once more, that is another time.
            model.offered.remove(&run.id);
        }
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

/// Is something of it left on hosts that were lost, for which a person was asked?
fn lost_hosts(run: &RunView) -> bool {
    match &run.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { .. },
            ..
        } => !run.lost.is_empty(),
        RunStatus::Closed {
            outcome: Outcome::Converged | Outcome::Reverted { .. },
            ..
        }
        | RunStatus::Running
        | RunStatus::Dead => false,
    }
}

/// Every host that it lost answers again, and its lock is still on one of them: what it left can be put in order.
#[must_use]
pub fn is_back(model: &Model, run: &RunView) -> bool {
    let its_lock = |row: &Row| {
        row.container.label(label::ROLE) == Some("lock")
            && row.container.label(label::RUN) == Some(run.id.as_str())
    };
    lost_hosts(run)
        && run.lost.iter().all(|host| answers(model, host))
        && run
            .lost
            .iter()
            .filter_map(|host| model.fleet.host(host))
            .any(|entry| entry.rows().any(its_lock))
}

fn answers(model: &Model, host: &HostName) -> bool {
    let entry = model.fleet.host(host);
    entry.is_some_and(|entry| entry.listed && entry.link.is_live())
}

/// Runs whose lost hosts have come back are asked about, each once.
fn returned(model: &mut Model) {
    if model.setup.access == Access::ReadOnly {
        return;
    }
    let is_new = |run: &&RunView| run.theirs.is_none() && !model.offered.contains(&run.id);
    let back: Vec<RunId> = model
        .runs
        .values()
        .filter(is_new)
        .filter(|run| is_back(model, run))
        .map(|run| run.id.clone())
        .collect();
    for id in back {
        model.offered.insert(id.clone());
        model.offers.push_back(id);
    }
}

/// Can it be taken up?
fn is_left(model: &Model, run: &RunView) -> bool {
    run.status == RunStatus::Dead || is_back(model, run)
}

/// Asks about the next run that was found dead or whose hosts are back, as soon as nothing else lies over the screen. A question about a
/// run that somebody else has taken up meanwhile goes.
pub fn offer(model: &mut Model) {
    if let Some(Layer::Question(question)) = &model.layer
        && let Intent::Recover(id) = &question.intent
        && model
            .runs
            .get(id)
            .is_some_and(|run| run.status != RunStatus::Dead && !lost_hosts(run))
    {
        model.layer = None;
        model.say("somebody has taken the run up meanwhile");
    }
    returned(model);
    if model.layer.is_none()
        && let Some(id) = model.offers.pop_front()
    {
        ask_about(model, &id);
    }
}

/// Its key: about the selected run that is to be recovered, else the latest.
#[must_use]
pub fn ask(model: &mut Model) -> Vec<Effect> {
    if let Ok(id) = wanted(model) {
        model.offers.retain(|offered| *offered != id);
        model.offered.insert(id.clone());
        ask_about(model, &id);
    }
    Vec::new()
}

/// The selected run that died or lost hosts, else the latest; of those that are ours to recover, if there is one.
pub fn wanted(model: &Model) -> Result<RunId, Refusal> {
    let selected = match model.subject() {
        Some(Subject::Run(id)) => model.runs.get(&id),
        _ => None,
    };
    if let Some(run) = selected.filter(|run| lost_hosts(run))
        && let Some(host) = run.lost.iter().find(|host| !answers(model, host))
    {
        return Err(Refusal(format!(
            "{host} does not answer: what is left there is put in order when it does"
        )));
    }
    let selected = selected.filter(|run| run.status == RunStatus::Dead || lost_hosts(run));
    let left = || model.runs.values().filter(|run| is_left(model, run));
    let ours = || left().rfind(|run| run.theirs.is_none());
    let run = selected
        .or_else(ours)
        .or_else(|| left().next_back())
        .ok_or_else(|| Refusal("no run has died".to_owned()))?;
    run.only_theirs()
        .map_or(Ok(run.id.clone()), |why| Err(Refusal(why)))
}

fn how_it_was_left(run: &RunView) -> String {
    if run.status == RunStatus::Dead {
        return format!(
            "its process died after {} of {} steps: it is finished if that is proven safe, else taken back",
            run.steps_done, run.steps_total
        );
    }
    let lost: Vec<&str> = run.lost.iter().map(HostName::as_str).collect();
    let answer = if lost.len() == 1 { "answers" } else { "answer" };
    format!(
        "{} {answer} again: what it left there is taken back, or finished if it was committed",
        super::act::listed(&lost)
    )
}

fn ask_about(model: &mut Model, id: &RunId) {
    let is_asked = |run: &&RunView| run.status == RunStatus::Dead || lost_hosts(run);
    let Some(run) = model.runs.get(id).filter(is_asked) else {
        return;
    };
    let hosts: Vec<&str> = run.hosts.iter().map(HostName::as_str).collect();
    let on = match hosts.as_slice() {
        [] => String::new(),
        some => format!(" on {}", super::act::listed(some)),
    };
    let title = format!("Recover {}{on}?", run.name());
    let ago = short_span(run.started.until(model.now.wall));
    let mut details = vec![
        format!("run {id}, begun {ago} ago by {}", run.by()),
        how_it_was_left(run),
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

//! Offers to recover a run whose process died, or whose lost hosts answer again: once when it is found, and by its key at
//! any time.
//! The question names run, service and hosts; nothing is changed without a yes.

use std::time::Duration;

use super::availability::Refusal;
use super::effect::Effect;
use super::layer::Layer;
use super::model::Model;
use super::question::{Intent, Question};
use super::subject::Subject;
use crate::domain::container::{Role, label};
use crate::domain::fault::Fault;
use crate::domain::fleet::Row;
use crate::domain::ids::{HostName, RunId};
use crate::domain::order::Access;
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::domain::units::short_span;
use crate::release::standing::Standing;

/// Called before the state of a run is replaced by `run`. A run that is dead when first seen is offered for recovery; one that
/// dies while shown, or is found while somebody is typing, only causes a notice.
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
        None => model.setup.access == Access::Full && run.theirs.is_none() && !is_typing(model),
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
        (Access::ReadOnly, _) => "its process died; recover it from a session without --read-only".to_owned(),
    };
    model.notices.fault(model.now.wall, &Fault::new(what, why));
}

/// Can it be recovered: did its process die, or did it end with something left?
fn is_recoverable(run: &RunView) -> bool {
    match &run.status {
        RunStatus::Dead
        | RunStatus::Closed {
            outcome: Outcome::NeedsHuman { .. },
            ..
        } => true,
        RunStatus::Closed {
            outcome: Outcome::Converged | Outcome::Reverted { .. },
            ..
        }
        | RunStatus::Running => false,
    }
}

/// Is something of it left on hosts that were lost, for which a person was asked?
fn lost_hosts(run: &RunView) -> bool {
    is_recoverable(run) && run.status != RunStatus::Dead && !run.lost.is_empty()
}

/// It ended with something left, and nothing says that this is in order by now: that is so once a later run of the same
/// service ended well and all its hosts are of one mind.
#[must_use]
pub fn needs_person(model: &Model, run: &RunView) -> bool {
    if !is_recoverable(run) || run.status == RunStatus::Dead {
        return false;
    }
    let ended_well = |later: &RunView| {
        matches!(
            later.status,
            RunStatus::Closed {
                outcome: Outcome::Converged,
                ..
            }
        )
    };
    let is_later = |other: &&RunView| {
        (&other.service, &other.environment) == (&run.service, &run.environment)
            && other.started > run.started
    };
    let standing = model.services.standings().get(&run.group());
    let is_whole = standing.is_some_and(|judged| matches!(judged.standing, Standing::Converged { .. }));
    !(is_whole && model.runs.values().filter(is_later).any(ended_well))
}

/// Every host that it lost answers again, and its lock is still on one of them: what it left can be put in order.
#[must_use]
pub fn is_back(model: &Model, run: &RunView) -> bool {
    let its_lock = |row: &Row| {
        row.container.has_role(Role::Lock) && row.container.label(label::RUN) == Some(run.id.as_str())
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

/// Somebody who presses no key for so long is not about to press one.
const QUIET: Duration = Duration::from_secs(5);

fn is_typing(model: &Model) -> bool {
    let pressed = model.key_pressed;
    pressed.is_some_and(|at| model.now.uptime.saturating_sub(at) < QUIET)
}

/// Runs whose lost hosts have come back are asked about, each once; under fingers that are typing they are only said.
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
        match model.runs.get(&id).filter(|_| is_typing(model)) {
            None => model.offers.push_back(id),
            Some(run) => {
                let lost: Vec<&str> = run.lost.iter().map(HostName::as_str).collect();
                let why = format!("{} answered again; X recovers it", super::act::listed(&lost));
                let fault = Fault::new(format!("finish {}", run.name()), why);
                model.notices.fault(model.now.wall, &fault);
            }
        }
    }
}

/// Can it be taken up now, and is there a reason to?
fn is_left(model: &Model, run: &RunView) -> bool {
    run.status == RunStatus::Dead || is_back(model, run) || (run.lost.is_empty() && needs_person(model, run))
}

/// What a question about a run says that somebody else took up meanwhile.
const TAKEN: &str = "somebody else is already recovering the run";

/// Is the question that is open about a run that somebody else is already recovering?
fn is_taken(model: &Model) -> bool {
    let Some(Layer::Question(question)) = &model.layer else {
        return false;
    };
    match &question.intent {
        Intent::Recover(id) => !can_be_recovered(model, id),
        Intent::Act { .. } | Intent::Launch(_) | Intent::Cancel(_) | Intent::Approve(..) => false,
    }
}

fn can_be_recovered(model: &Model, id: &RunId) -> bool {
    model.runs.get(id).is_some_and(is_recoverable)
}

/// Will something be asked, or a question be closed, once nobody is typing any more?
#[must_use]
pub fn is_waiting(model: &Model) -> bool {
    !model.offers.is_empty() || is_taken(model)
}

/// Asks about the next run that is dead or whose hosts are back, as soon as no layer is open. Closes a question about a run
/// that somebody else is already recovering. Neither under fingers that are typing.
pub fn offer(model: &mut Model) {
    returned(model);
    if is_typing(model) {
        return;
    }
    if is_taken(model) {
        model.layer = None;
        model.say(TAKEN);
    }
    while model.layer.is_none()
        && let Some(id) = model.offers.pop_front()
    {
        let run = model.runs.get(&id);
        if run.is_some_and(|run| run.status == RunStatus::Dead || is_back(model, run)) {
            ask_about(model, &id);
        }
    }
}

/// After a yes.
#[must_use]
pub(super) fn carry_out(model: &mut Model, run: RunId) -> Vec<Effect> {
    if !can_be_recovered(model, &run) {
        model.say(TAKEN);
        return Vec::new();
    }
    let id = model.next_order();
    let words = "recovering: the run is followed in the pipeline";
    model.orders.expect(id, Some(words.to_owned()));
    vec![Effect::Recover(id, run)]
}

/// The key: asks about the selected run, otherwise about the latest one that can be recovered.
#[must_use]
pub fn ask(model: &mut Model) -> Vec<Effect> {
    if let Ok(id) = wanted(model) {
        model.offers.retain(|offered| *offered != id);
        model.offered.insert(id.clone());
        ask_about(model, &id);
    }
    Vec::new()
}

/// The selected run that died or needs a person, else the latest; of those that are ours to recover, if there is one.
pub fn wanted(model: &Model) -> Result<RunId, Refusal> {
    let selected = match model.subject() {
        Some(Subject::Run(id)) => model.runs.get(&id),
        _ => None,
    };
    if let Some(run) = selected.filter(|run| lost_hosts(run))
        && let Some(host) = run.lost.iter().find(|host| !answers(model, host))
    {
        return Err(Refusal(format!(
            "{host} does not answer: recover the run when it does"
        )));
    }
    let selected = selected.filter(|run| is_recoverable(run));
    let left = || model.runs.values().filter(|run| is_left(model, run));
    let ours = || left().rfind(|run| run.theirs.is_none());
    let run = selected
        .or_else(ours)
        .or_else(|| left().next_back())
        .ok_or_else(|| Refusal("there is no run to recover".to_owned()))?;
    run.only_theirs()
        .map_or(Ok(run.id.clone()), |why| Err(Refusal(why)))
}

fn how_it_was_left(run: &RunView) -> String {
    if run.status == RunStatus::Dead {
        return format!(
            "its process died after {} of {} steps: recover finishes it if that is safe, otherwise undoes it",
            run.steps_done, run.steps_total
        );
    }
    let lost: Vec<&str> = run.lost.iter().map(HostName::as_str).collect();
    if lost.is_empty() {
        return "it needs a human: recover finishes it if that is safe, otherwise undoes its changes"
            .to_owned();
    }
    let answer = if lost.len() == 1 { "answers" } else { "answer" };
    format!(
        "{} {answer} again: recover undoes what the run left there, or finishes it if it was committed",
        super::act::listed(&lost)
    )
}

fn ask_about(model: &mut Model, id: &RunId) {
    let Some(run) = model.runs.get(id).filter(|run| is_recoverable(run)) else {
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
        format!("run {id}, started {ago} ago by {}", run.by()),
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

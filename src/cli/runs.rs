//! `runs`, `follow`, `cancel`, `approve`: shows runs, and controls runs in progress.

use super::args::{Approve, Cancel, Follow, Output, Runs};
use super::filter;
use super::out::{self, Exit};
use super::run;
use super::setup::WithState;
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::run::{Outcome, RunStatus, RunView};
use crate::domain::units::short_span;
use crate::runs;

pub(super) fn list(setup: &WithState<'_>, asked: &Runs) -> Exit {
    let views = match &asked.id {
        None => {
            let wanted = match asked.filter.resolve(setup) {
                Ok(wanted) => wanted,
                Err(exit) => return exit,
            };
            let listed = runs::list_of(setup.state, asked.filter.limit, |view| {
                is_wanted(view, asked) && wanted.takes_run(view)
            });
            listed.unreadable.iter().for_each(out::fault);
            listed.runs
        }
        Some(id) => match runs::view(setup.state, id) {
            Ok(view) => vec![view],
            Err(fault) => return failed(&fault),
        },
    };
    if asked.output.json {
        out::json(&views);
        return Exit::Done;
    }
    let now = super::now();
    let rows: Vec<_> = views
        .iter()
        .map(|view| {
            [
                view.id.to_string(),
                view.kind.word().to_owned(),
                view.subject(),
                view.to.map_or_else(|| "–".to_owned(), |to| to.to_string()),
                result(view),
                format!("{} ago", short_span(view.started.until(now))),
                view.actor.clone(),
            ]
        })
        .collect();
    out::table(["RUN", "KIND", "SERVICE", "TO", "RESULT", "STARTED", "BY"], &rows);
    if let (Some(_), [view]) = (&asked.id, views.as_slice()) {
        out::words(&run::ending(view));
    }
    Exit::Done
}

/// Also of services that the configuration does not know any more.
fn is_wanted(view: &RunView, asked: &Runs) -> bool {
    let environment = view.environment.as_deref();
    filter::is_of(
        (asked.service.as_ref(), asked.environment.as_deref()),
        (&view.service, environment),
    )
}

fn result(view: &RunView) -> String {
    match &view.status {
        RunStatus::Running => match &view.waiting {
            None => "running".to_owned(),
            Some(whom) => format!("waiting {whom}"),
        },
        RunStatus::Dead => "dead: recover it".to_owned(),
        RunStatus::Closed { outcome, .. } => match outcome {
            Outcome::Converged if view.is_flaky() => "done, flaky".to_owned(),
            Outcome::Converged => "done".to_owned(),
            Outcome::Reverted { cancelled: true, .. } => "cancelled".to_owned(),
            Outcome::Reverted { cancelled: false, .. } => "reverted".to_owned(),
            Outcome::NeedsHuman { .. } => "needs a human".to_owned(),
        },
    }
}

pub(super) async fn follow(setup: &WithState<'_>, asked: &Follow) -> Exit {
    run::follow(setup, &asked.id, asked.output.json).await
}

pub(super) fn cancel(setup: &WithState<'_>, asked: &Cancel) -> Exit {
    let id = &asked.id;
    if let Err(fault) = setup.may_change("cancel a run") {
        return failed(&fault);
    }
    let actor = runs::who();
    match runs::cancel(setup.state, id, &actor.login) {
        Ok(()) => {
            out::words(&format!(
                "asked {id} to stop and undo its changes; a second cancel stops it without undoing"
            ));
            told(setup, id, asked.output)
        }
        Err(fault) => failed(&fault),
    }
}

pub(super) fn approve(setup: &WithState<'_>, asked: &Approve) -> Exit {
    if let Err(fault) = setup.may_change("approve") {
        return failed(&fault);
    }
    let word = runs::Word {
        yes: !asked.deny,
        by: runs::who().login,
        reason: asked.reason.clone(),
    };
    match runs::approve(setup.state, &asked.id, asked.stage.as_deref(), &word) {
        Ok(()) => told(setup, &asked.id, asked.output),
        Err(fault) => failed(&fault),
    }
}

/// The run as it is after a person's word, which its runner hears within a moment.
fn told(setup: &WithState<'_>, id: &RunId, output: Output) -> Exit {
    if !output.json {
        return Exit::Done;
    }
    match runs::view(setup.state, id) {
        Ok(view) => {
            out::json(&view);
            Exit::Done
        }
        Err(fault) => failed(&fault),
    }
}

fn failed(fault: &Fault) -> Exit {
    out::fault(fault);
    Exit::Failed
}

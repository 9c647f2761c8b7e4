//! The terminal's title: the run in progress, or the result of the last one until a key is pressed.
//! Contains nothing that changes every second.

use super::model::Model;
use crate::domain::run::{Cell, Doing, RunStatus, RunView};

const NAME: &str = "pilothouse";

/// `deploy shop: gate, 58 % - pilothouse`
#[must_use]
pub fn of(model: &Model) -> String {
    let name = if model.setup.demo {
        format!("{NAME} demo")
    } else {
        NAME.to_owned()
    };
    let running = model.runs.values().filter(|run| run.status == RunStatus::Running);
    let newest = running.max_by_key(|run| run.started).map(under_way);
    match newest.or_else(|| model.ended.clone()) {
        Some(words) => format!("{words} - {name}"),
        None => name,
    }
}

fn under_way(run: &RunView) -> String {
    let is_running = |(_, cell): &(_, Cell)| matches!(cell, Cell::Running { .. });
    let stage = run.stages.iter().find(|stage| stage.cells.iter().any(is_running));
    let how_far = match (run.doing(), stage) {
        (Doing::Waiting(_), _) => "waiting".to_owned(),
        (Doing::Asking(_), _) => "waits for approval".to_owned(),
        (Doing::Undoing(_), _) => "undoing".to_owned(),
        (Doing::Going, Some(stage)) => format!("{}, {} %", stage.name, run.percent()),
        (Doing::Going, None) => format!("{} %", run.percent()),
    };
    format!("{}: {how_far}", run.name())
}

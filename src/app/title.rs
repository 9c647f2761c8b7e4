//! The terminal's title: the run in progress, or the result of the last one until a key is pressed.
//! Contains nothing that changes every second.

use super::model::Model;
use crate::domain::run::{Cell, RunStatus, RunView};

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
    let percent = u64::from(run.steps_done) * 100 / u64::from(run.steps_total.max(1));
    let how_far = if run.waiting.is_some() {
        "waiting".to_owned()
    } else if !run.asks.is_empty() {
        "waits for approval".to_owned()
    } else if run.undoing.is_some() {
        "undoing".to_owned()
    } else {
        match stage {
            Some(stage) => format!("{}, {} %", stage.name, percent.min(100)),
            None => format!("{} %", percent.min(100)),
        }
    };
    format!("{}: {how_far}", run.name())
}

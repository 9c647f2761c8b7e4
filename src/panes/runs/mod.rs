//! The list of runs: who, what, when, result. Newest first.
//! A single run is shown in the pipeline pane.

pub mod view;

use crate::app::cursor::{Cursor, Motion};
use crate::app::filter::RowFilter;
use crate::app::subject::Subject;
use crate::app::{Command, Effect, Model, PaneId};
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::run::{Doing, Outcome, RunStatus, RunView};

pub const HINTS: &[Command] = &[
    Command::Open,
    Command::Cancel,
    Command::Approve,
    Command::Recover,
    Command::Filter,
    Command::Logs,
    Command::Back,
];

#[derive(Clone, Debug, Default)]
pub struct Runs {
    pub filter: RowFilter,
    pub cursor: Cursor<RunId>,
    /// What is shown, the newest first.
    pub rows: Vec<RunId>,
}

#[must_use]
pub fn command(model: &mut Model, command: Command) -> Vec<Effect> {
    let height = page(model);
    if let Some(motion) = Motion::of(command) {
        let list = &mut model.run_list;
        let before = list.cursor.row();
        list.cursor.step(&list.rows, height, motion);
        let is_last = list.cursor.row() + 1 >= list.rows.len() && list.cursor.row() == before;
        let is_down = matches!(
            command,
            Command::Down | Command::PageDown | Command::HalfDown | Command::Bottom
        );
        if is_last && is_down && model.older_runs > 0 {
            model.say("reading older runs");
            return vec![Effect::OlderRuns];
        }
    } else if command == Command::Open
        && let Some(run) = model.run_list.cursor.key().cloned()
    {
        match model.unreadable.get(&run).cloned() {
            Some(why) => model.notices.fault(model.now.wall, &why),
            None => crate::panes::pipeline::open(model, run),
        }
    }
    Vec::new()
}

/// Rows below the heading.
fn page(model: &Model) -> usize {
    model.height_of(PaneId::Runs).saturating_sub(1)
}

#[must_use]
pub fn subject(model: &Model) -> Option<Subject> {
    model.run_list.cursor.key().cloned().map(Subject::Run)
}

#[must_use]
pub fn note(model: &Model) -> String {
    let list = &model.run_list;
    let count = match (list.rows.len(), model.runs.len() + model.unreadable.len()) {
        (_, 1) => "1 run".to_owned(),
        (shown, all) if shown < all => format!("{shown} of {all} runs"),
        (_, all) => format!("{all} runs"),
    };
    let count = match model.older_runs {
        0 => count,
        older => format!("{count} · {older} older ones below the last"),
    };
    match list.filter.words() {
        Some(filter) => format!("{count} · {filter}"),
        None => count,
    }
}

pub fn set_filter(model: &mut Model, text: &str) {
    model.run_list.filter = RowFilter::new(text);
    refresh(model);
}

pub fn refresh(model: &mut Model) {
    let filter = &model.run_list.filter;
    let mut runs: Vec<&RunView> = model
        .runs
        .values()
        .filter(|run| {
            let (subject, result) = (run.subject(), result(run));
            let release = run.to.map(|to| to.to_string()).unwrap_or_default();
            let reason = run.reason.as_deref().unwrap_or_default();
            filter.admits(&[
                &subject,
                run.kind.word(),
                &run.actor,
                &run.machine,
                &result,
                &release,
                reason,
            ])
        })
        .collect();
    runs.sort_by(|one, other| {
        other
            .started
            .cmp(&one.started)
            .then_with(|| other.id.cmp(&one.id))
    });
    let mut rows: Vec<RunId> = runs.into_iter().map(|run| run.id.clone()).collect();
    for (run, why) in &model.unreadable {
        if filter.admits(&[run.as_str(), &unreadable(why)]) {
            // Ids sort by time.
            let at = rows.iter().position(|other| other < run).unwrap_or(rows.len());
            rows.insert(at, run.clone());
        }
    }
    let height = page(model);
    let list = &mut model.run_list;
    list.rows = rows;
    list.cursor.settle(&list.rows, height);
}

/// Of one that cannot be shown.
#[must_use]
pub fn unreadable(why: &Fault) -> String {
    format!("not readable: {}", why.why)
}

/// How it ended or stands, in words.
#[must_use]
pub fn result(run: &RunView) -> String {
    match &run.status {
        RunStatus::Running => match run.doing() {
            Doing::Waiting(_) => "waiting".to_owned(),
            Doing::Asking(_) => "waits for approval".to_owned(),
            Doing::Undoing(_) => "undoing".to_owned(),
            Doing::Going => format!("{} %", run.percent()),
        },
        RunStatus::Dead => "died: X recovers".to_owned(),
        RunStatus::Closed { outcome, .. } => match outcome {
            Outcome::Converged => "done".to_owned(),
            Outcome::Reverted { cancelled: true, .. } => "cancelled".to_owned(),
            Outcome::Reverted {
                why,
                cancelled: false,
            } => format!("reverted: {why}"),
            Outcome::NeedsHuman { why, .. } => format!("needs a human: {why}"),
        },
    }
}

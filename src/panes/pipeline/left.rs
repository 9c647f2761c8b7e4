//! What a run left that needs a human, as a page over everything: why, every difference whole, and what helps.
//! Rows and keys; the layer holds which run and how far it is scrolled.

use crokey::{KeyCombination, key};

use crate::app::availability::{Refusal, availability};
use crate::app::layer::{Layer, scrolled};
use crate::app::{Command, Effect, Model};
use crate::domain::ids::RunId;
use crate::domain::run::{Outcome, Part, RunStatus, RunView};
use crate::panes::page::{Row, Tone, row};
use crate::ui::ansi::{clean, rows as broken};

/// Those of a run that needs a human.
#[must_use]
pub fn differences(run: &RunView) -> Option<(&str, &[String])> {
    match &run.status {
        RunStatus::Closed {
            outcome: Outcome::NeedsHuman { why, differences },
            ..
        } => Some((why, differences)),
        RunStatus::Closed { .. } | RunStatus::Dead | RunStatus::Running => None,
    }
}

/// The page, as wide as the screen.
#[must_use]
pub fn rows(model: &Model, id: &RunId) -> Vec<Row> {
    let Some((run, (why, differences))) = model.runs.get(id).and_then(|run| Some((run, differences(run)?)))
    else {
        // It was taken up meanwhile.
        return vec![row(Tone::Dim, "the run no longer needs a human")];
    };
    let columns = usize::from(model.size.width).saturating_sub(4).max(12);
    let mut page = Vec::new();
    let mut say = |tone: Tone, first: &str, text: &str| {
        let text = clean(text);
        for (at, part) in broken(&text, columns).into_iter().enumerate() {
            let margin = if at == 0 { first } else { "  " };
            page.push(row(tone, format!("{margin}{part}")));
        }
    };
    say(Tone::Bad, "", &format!("{} needs a human: {why}", run.name()));
    say(Tone::Dim, "", &format!("run {id}, by {}", run.by()));
    say(Tone::Text, "", " ");
    if differences.is_empty() {
        say(Tone::Dim, "  ", "it names no difference");
    }
    for left in differences {
        say(Tone::Text, "- ", left);
    }
    say(Tone::Text, "", " ");
    match availability(model, Command::Recover) {
        Ok(()) => say(
            Tone::Accent,
            "",
            "X recovers it: finishes it if that is safe, otherwise undoes its changes",
        ),
        Err(Refusal(why)) => say(Tone::Warn, "", &format!("recover: {why}")),
    }
    for hint in &run.hints {
        say(Tone::Dim, "", &format!("hint: {hint}"));
    }
    page
}

/// `Enter` and `l` go on to the whole output; what recovers asks; motions scroll; any other key closes.
#[must_use]
pub fn pressed(model: &mut Model, run: RunId, top: usize, pressed: KeyCombination) -> Vec<Effect> {
    if pressed == key!(esc) {
        return Vec::new();
    }
    match model.keymap.meaning(model.focus, pressed) {
        Some(Command::Open | Command::Logs) => crate::panes::logs::open_run(
            model,
            Part {
                run,
                stage: None,
                host: None,
            },
        ),
        Some(command @ Command::Recover) => crate::app::update::command_given(model, command),
        _ => {
            let rows = rows(model, &run).len();
            if let Some(top) = scrolled(model, pressed, top, rows) {
                model.layer = Some(Layer::Left { run, top });
            }
            Vec::new()
        }
    }
}

//! A run in words: progress, remaining time, result, results of earlier runs.
//! Words and tones only.

use std::time::Duration;

use crate::domain::ids::HostName;
use crate::domain::run::{Doing, Outcome, RunKind, RunStatus, RunView};
use crate::domain::units::{Stamp, long_span, short_span};
use crate::panes::page::{Row, Tone, row};
use crate::ui::ansi::{clean, rows as broken, width};
use crate::ui::theme::Glyphs;

/// Runs in the strip.
const STRIP: usize = 10;

/// `deploy shop  r41 → r42  shop:3f2a91c`
#[must_use]
pub fn title(run: &RunView) -> Row {
    let mut row = vec![(Tone::Accent, run.name())];
    match (run.from, run.to) {
        (Some(from), Some(to)) => row.push((Tone::Text, format!("  {from} → {to}"))),
        (None, Some(to)) => row.push((Tone::Text, format!("  {to}"))),
        (Some(from), None) => row.push((Tone::Text, format!("  from {from}"))),
        (None, None) => {}
    }
    if !run.image.is_empty() {
        row.push((Tone::Dim, format!("  {}", run.image)));
    }
    row.push((Tone::Dim, format!("  by {}", run.by())));
    if let Some(reason) = &run.reason {
        row.push((Tone::Dim, format!("  “{reason}”")));
    }
    row
}

/// `▓▓▓▓░░░░ 58 %  ~24 s left`, or how it ended; the reason below it where it does not fit beside it.
#[must_use]
pub fn progress(run: &RunView, now: Stamp, glyphs: &Glyphs, columns: usize) -> Vec<Row> {
    let mut head = in_a_row(run, now, glyphs);
    let wide: usize = head.iter().map(|(_, text)| width(&clean(text))).sum();
    let why = match &run.status {
        RunStatus::Closed {
            outcome: Outcome::Reverted { why, .. } | Outcome::NeedsHuman { why, .. },
            ..
        } => why,
        RunStatus::Closed { .. } | RunStatus::Dead | RunStatus::Running => return vec![head],
    };
    let below = |text: &str, tone: Tone| {
        broken(&clean(text), columns.saturating_sub(3).max(12))
            .into_iter()
            .map(|part| row(tone, format!("  {part}")))
            .collect::<Vec<Row>>()
    };
    let hints = run.hints.iter();
    let hints = hints.flat_map(|hint| below(&format!("hint: {hint}"), Tone::Dim));
    if wide < columns {
        return std::iter::once(head).chain(hints).collect();
    }
    head.retain(|(_, text)| text != why);
    // What it announced stands below.
    if let Some((_, ended)) = head.first_mut() {
        ended.truncate(ended.trim_end_matches([':', ' ']).len());
    }
    let mut rows = vec![head];
    rows.extend(below(why, Tone::Text));
    rows.extend(hints);
    rows
}

fn in_a_row(run: &RunView, now: Stamp, glyphs: &Glyphs) -> Row {
    match &run.status {
        RunStatus::Running => running(run, now, glyphs),
        RunStatus::Dead => vec![
            (Tone::Bad, format!("{} its process died", glyphs.failed)),
            (
                Tone::Text,
                run.only_theirs().map_or_else(
                    || "  X recovers it: finishes or undoes what it left".to_owned(),
                    |theirs| format!("  {theirs} recover it"),
                ),
            ),
        ],
        RunStatus::Closed { at, outcome } => closed(run, *at, outcome, now, glyphs),
    }
}

fn running(run: &RunView, now: Stamp, glyphs: &Glyphs) -> Row {
    const BAR: u32 = 10;
    let spent = run.started.until(now).saturating_sub(run.waited);
    match run.doing() {
        Doing::Waiting(whom) => vec![
            (Tone::Busy, format!("{} waiting ", glyphs.changing)),
            (Tone::Text, whom.to_owned()),
            (Tone::Dim, format!("  {}", long_span(spent))),
        ],
        Doing::Asking(asked) => vec![
            (Tone::Warn, format!("{} waits for approval: ", glyphs.problem)),
            (Tone::Text, asked.question.clone()),
            (Tone::Dim, "  A answers".to_owned()),
        ],
        Doing::Undoing(why) => vec![
            (Tone::Warn, format!("{} undoing what was done: ", glyphs.undone)),
            (Tone::Text, format!("{why}  {}", long_span(spent))),
        ],
        Doing::Going => {
            let (done, total) = (run.steps_done.min(run.steps_total), run.steps_total.max(1));
            let full = done * BAR / total;
            let bar = (0..BAR).map(|cell| if cell < full { glyphs.full } else { glyphs.empty });
            vec![
                (Tone::Busy, bar.collect()),
                (Tone::Text, format!(" {} %", run.percent())),
                (Tone::Dim, format!("  {}", remaining(run.estimate, spent))),
            ]
        }
    }
}

/// What is left by the estimate; an estimate that is wrong says so.
#[must_use]
pub fn remaining(estimate: Option<Duration>, spent: Duration) -> String {
    match estimate {
        None => format!("{} so far", long_span(spent)),
        Some(usual) if spent > usual => {
            format!(
                "{} so far, taking longer than usual ({})",
                long_span(spent),
                long_span(usual)
            )
        }
        Some(usual) => format!("~{} left", long_span(usual.saturating_sub(spent))),
    }
}

fn closed(run: &RunView, at: Stamp, outcome: &Outcome, now: Stamp, glyphs: &Glyphs) -> Row {
    let took = long_span(run.started.until(at));
    let ago = short_span(at.until(now));
    let when = (Tone::Dim, format!("  took {took}, {ago} ago"));
    match outcome {
        Outcome::Converged => {
            let mut row = vec![(Tone::Ok, format!("{} {}", glyphs.done, achieved(run))), when];
            if let Some(note) = run.notes.first() {
                row.push((Tone::Warn, format!("  {} {note}", glyphs.problem)));
            }
            row
        }
        Outcome::Reverted { why, cancelled } => {
            let word = if *cancelled { "cancelled" } else { "reverted" };
            let as_before = if changes_hosts(run.kind) {
                ", everything is as it was before"
            } else {
                ""
            };
            vec![
                (Tone::Warn, format!("{} {word}{as_before}: ", glyphs.undone)),
                (Tone::Text, why.clone()),
                when,
            ]
        }
        Outcome::NeedsHuman { why, .. } => vec![
            (Tone::Bad, format!("{} needs a human: ", glyphs.failed)),
            (Tone::Text, why.clone()),
            when,
        ],
    }
}

fn changes_hosts(kind: RunKind) -> bool {
    match kind {
        RunKind::Deploy | RunKind::Rollback | RunKind::Adopt | RunKind::Pipeline => true,
        RunKind::Build | RunKind::Test | RunKind::Push => false,
    }
}

/// How a run ended, in a word or two.
#[must_use]
pub fn ended(run: &RunView, outcome: &Outcome) -> String {
    let word = match outcome {
        Outcome::Converged => return achieved(run),
        Outcome::Reverted { cancelled: true, .. } => "cancelled",
        Outcome::Reverted { cancelled: false, .. } if changes_hosts(run.kind) => "reverted",
        Outcome::Reverted { cancelled: false, .. } => "failed",
        Outcome::NeedsHuman { .. } => "needs a human",
    };
    word.to_owned()
}

/// Hosts that are named; more are counted.
const NAMED: usize = 4;

/// What a run that reached its end has done: `r42 runs on web-1, web-2, web-3`.
#[must_use]
pub fn achieved(run: &RunView) -> String {
    let hosts = match run.hosts.len() {
        0..=NAMED => run
            .hosts
            .iter()
            .map(HostName::as_str)
            .collect::<Vec<_>>()
            .join(", "),
        more => format!("{more} hosts"),
    };
    match (run.kind, run.to) {
        (RunKind::Build, _) => "built".to_owned(),
        (RunKind::Test, _) => "tests passed".to_owned(),
        (RunKind::Push, _) => "pushed".to_owned(),
        (RunKind::Pipeline, None) => "all stages passed".to_owned(),
        (RunKind::Deploy | RunKind::Pipeline, Some(to)) => format!("{to} runs on {hosts}"),
        (RunKind::Deploy, None) => format!("it runs on {hosts}"),
        (RunKind::Rollback, Some(to)) => format!("{to} runs again on {hosts}"),
        (RunKind::Rollback, None) => format!("what ran before runs again on {hosts}"),
        (RunKind::Adopt, _) => "adopted: nothing was changed".to_owned(),
    }
}

/// One glyph for how a run stands.
#[must_use]
pub fn sign(run: &RunView, glyphs: &Glyphs) -> (Tone, &'static str) {
    match &run.status {
        RunStatus::Running => (Tone::Busy, glyphs.changing),
        RunStatus::Dead
        | RunStatus::Closed {
            outcome: Outcome::NeedsHuman { .. },
            ..
        } => (Tone::Bad, glyphs.failed),
        RunStatus::Closed {
            outcome: Outcome::Converged,
            ..
        } => (Tone::Ok, glyphs.done),
        RunStatus::Closed {
            outcome: Outcome::Reverted { .. },
            ..
        } => match run.kind {
            RunKind::Build | RunKind::Test | RunKind::Push => (Tone::Bad, glyphs.failed),
            RunKind::Deploy | RunKind::Rollback | RunKind::Adopt | RunKind::Pipeline => {
                (Tone::Warn, glyphs.undone)
            }
        },
    }
}

/// The last runs of the service, oldest first, and the last release that was good.
#[must_use]
pub fn strip(runs: &[&RunView], now: Stamp, glyphs: &Glyphs) -> Row {
    let mut row = vec![(Tone::Dim, "runs ".to_owned())];
    for run in runs.iter().skip(runs.len().saturating_sub(STRIP)) {
        let (tone, sign) = sign(run, glyphs);
        row.push((tone, format!(" {sign}")));
    }
    let good = runs.iter().rev().find_map(|run| match (&run.status, run.kind) {
        (
            RunStatus::Closed {
                at,
                outcome: Outcome::Converged,
            },
            RunKind::Deploy | RunKind::Rollback | RunKind::Adopt | RunKind::Pipeline,
        ) => Some((run, *at, run.to?)),
        _ => None,
    });
    if let Some((run, at, release)) = good {
        let ago = short_span(at.until(now));
        row.push((
            Tone::Dim,
            format!("   last good {release}, {ago} ago, {}", run.actor),
        ));
    }
    row
}

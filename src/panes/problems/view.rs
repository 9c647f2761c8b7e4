//! How the problems look: what, the evidence, and where there is room the last words of the container.
//! Builds those that are seen, no others.

use std::time::Duration;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Gravity, Problem, ROWS_EACH, Since};
use crate::app::{Model, PaneId};
use crate::domain::logs::LogLine;
use crate::domain::units::{Stamp, short_span};
use crate::ui::ansi::{clean, fit, pad, rows as broken, width};
use crate::ui::clock;
use crate::ui::theme::Theme;

/// Columns before the evidence.
const EVIDENCE: u16 = 6;
/// A list tells minutes up to here, then hours cut to whole ones.
const ROUND: Duration = Duration::from_hours(1);
const A_DAY: Duration = Duration::from_hours(24);

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let pane = &model.problems;
    let buffer = frame.buffer_mut();
    if pane.seen().next().is_none() {
        let listed = model.fleet.hosts().any(|(_, host)| host.listed);
        let words = if !pane.list().is_empty() {
            "all problems are hidden by the filter; Esc clears it"
        } else if listed {
            "no problems found"
        } else {
            "waiting for the first host to answer"
        };
        buffer.set_stringn(
            area.x + 4,
            area.y,
            words,
            usize::from(area.width.saturating_sub(4)),
            theme.dim,
        );
        return;
    }
    let names = pane.seen().map(|problem| width(&clean(&problem.name)));
    let name_width = names.max().unwrap_or(0).min(usize::from(area.width) / 3);
    let places = pane.seen().map(|problem| width(&clean(&problem.place)));
    let place_width = places.max().unwrap_or(0).min(usize::from(area.width) / 5);
    let columns = Columns {
        name: name_width,
        place: place_width,
        now: model.now.wall,
    };
    let height = usize::from(area.height);
    let cursor = pane.cursor();
    let evidence = pane.seen().nth(cursor.row()).map(|selected| {
        let room = usize::from(area.width.saturating_sub(EVIDENCE + 1)).max(1);
        let text = clean(&selected.evidence);
        let rows = broken(&text, room).into_iter().map(str::to_owned);
        let words = pane.said().last(&selected.subject).map(last_words);
        let rows = rows.chain(words);
        rows.take(height.saturating_sub(1)).collect::<Vec<String>>()
    });
    let evidence = evidence.unwrap_or_default();
    let selected = pane.seen().nth(cursor.row());
    let words = selected.and_then(|selected| pane.said().last(&selected.subject));
    // Its last words are among those rows, and counted as those of the others are.
    let usual = 1 + usize::from(words.is_some());
    let is_roomy = pane.is_roomy(height, evidence.len().saturating_sub(usual));
    // The whole evidence of the selected one is seen, whatever goes above it.
    let above = height.saturating_sub(1 + evidence.len()) / ROWS_EACH;
    let top = cursor.top().max(cursor.row().saturating_sub(above));
    let mut y = area.y;
    for (index, problem) in pane.seen().enumerate().skip(top) {
        let is_selected = index == cursor.row();
        let words = pane.said().last(&problem.subject).map(last_words);
        // Where there is no row for both, what it said tells more than how it ended.
        let told = words.is_none() || is_roomy;
        let shown = told.then(|| problem.evidence.clone()).into_iter().chain(words);
        let others: Vec<String> = shown.collect();
        let evidence: &[String] = if is_selected { &evidence } else { &others };
        let Ok(rows) = u16::try_from(1 + evidence.len()) else {
            break;
        };
        let rows = rows.min((area.y + area.height).saturating_sub(y));
        if rows == 0 {
            break;
        }
        let place = Rect {
            y,
            height: rows,
            ..area
        };
        draw_problem(theme, buffer, place, (problem, evidence), &columns);
        if is_selected {
            buffer.set_stringn(area.x, y, theme.glyphs.cursor, 1, theme.accent);
            if model.focus == PaneId::Problems {
                buffer.set_style(place, theme.selected);
            }
        }
        y += rows;
    }
}

/// What all rows share.
struct Columns {
    name: usize,
    place: usize,
    now: Stamp,
}

/// `since 02:47`; of another day its date; of what a list told in round words these.
fn since_words(since: Since, now: Stamp) -> String {
    let age = since.moment().until(now);
    match since {
        Since::About(_) if age >= ROUND => format!("{} ago", short_span(age)),
        Since::At(at) if age >= A_DAY => format!("since {}", clock::date(at)),
        Since::At(at) | Since::About(at) => format!("since {}", clock::hour_minute(at)),
    }
}

/// `last words 02:51:07  java.lang.OutOfMemoryError: Java heap space`
fn last_words(line: &LogLine) -> String {
    let text = crate::panes::logs::shape::readable(&line.text, true);
    format!("last words {}  {}", clock::time(line.at), text.trim())
}

fn draw_problem(
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
    (problem, evidence): (&Problem, &[String]),
    columns: &Columns,
) {
    let glyphs = theme.glyphs;
    let (sign, style) = match problem.gravity {
        Gravity::Bad => (glyphs.failed, theme.bad),
        Gravity::Warn => (glyphs.problem, theme.warn),
    };
    let end = area.x + area.width;
    let room = |x: u16| usize::from(end.saturating_sub(x)).saturating_sub(1);
    buffer.set_stringn(area.x + 2, area.y, sign, 1, style);
    let name = pad(&clean(&problem.name), columns.name, glyphs.ellipsis);
    let (x, _) = buffer.set_stringn(area.x + 4, area.y, name, room(area.x + 4), theme.text);
    let place = pad(&clean(&problem.place), columns.place, glyphs.ellipsis);
    let (x, _) = buffer.set_stringn(x + 2, area.y, place, room(x + 2), theme.dim);
    let x = if columns.place > 0 { x + 2 } else { x };
    let since = problem
        .since
        .map(|since| since_words(since, columns.now))
        .unwrap_or_default();
    let what = clean(&problem.what).into_owned();
    let free = room(x).saturating_sub(width(&since) + 2);
    buffer.set_stringn(x, area.y, fit(&what, free, glyphs.ellipsis), free, style);
    let at = end.saturating_sub(u16::try_from(width(&since) + 1).unwrap_or(0));
    buffer.set_stringn(at, area.y, &since, width(&since), theme.dim);
    for (y, row) in (area.y + 1..area.y + area.height).zip(evidence) {
        let x = area.x + EVIDENCE;
        let (row, free) = (clean(row).into_owned(), room(x));
        buffer.set_stringn(x, y, fit(&row, free, glyphs.ellipsis), free, theme.dim);
    }
}

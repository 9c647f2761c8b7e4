//! How the problems look: two rows each, what and the evidence.
//! Builds those that are seen, no others.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Gravity, Problem, ROWS_EACH};
use crate::app::{Model, PaneId};
use crate::ui::ansi::{clean, fit, pad, width};
use crate::ui::clock;
use crate::ui::theme::Theme;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let pane = &model.problems;
    let buffer = frame.buffer_mut();
    if pane.seen().next().is_none() {
        let listed = model.fleet.hosts().any(|(_, host)| host.listed);
        let words = if !pane.list().is_empty() {
            "all problems are hidden by the filter; Esc takes it away"
        } else if listed {
            "nothing is wrong that can be seen from here"
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
    let fits = usize::from(area.height) / ROWS_EACH;
    let names = pane.seen().map(|problem| width(&clean(&problem.name)));
    let name_width = names.max().unwrap_or(0).min(usize::from(area.width) / 3);
    let places = pane.seen().map(|problem| width(&clean(&problem.place)));
    let place_width = places.max().unwrap_or(0).min(usize::from(area.width) / 5);
    let seen = pane.seen().enumerate().skip(pane.cursor().top()).take(fits);
    for (offset, (index, problem)) in seen.enumerate() {
        let y = area.y + u16::try_from(offset * ROWS_EACH).unwrap_or(0);
        let both = Rect {
            y,
            height: 2.min(area.y + area.height - y),
            ..area
        };
        let selected = index == pane.cursor().row();
        draw_problem(theme, buffer, both, problem, (name_width, place_width));
        if selected {
            buffer.set_stringn(area.x, y, theme.glyphs.cursor, 1, theme.accent);
            if model.focus == PaneId::Problems {
                buffer.set_style(both, theme.selected);
            }
        }
    }
}

fn draw_problem(
    theme: &Theme,
    buffer: &mut Buffer,
    area: Rect,
    problem: &Problem,
    (name_width, place_width): (usize, usize),
) {
    let glyphs = theme.glyphs;
    let (sign, style) = match problem.gravity {
        Gravity::Bad => (glyphs.failed, theme.bad),
        Gravity::Warn => (glyphs.problem, theme.warn),
    };
    let end = area.x + area.width;
    let room = |x: u16| usize::from(end.saturating_sub(x)).saturating_sub(1);
    buffer.set_stringn(area.x + 2, area.y, sign, 1, style);
    let name = pad(&clean(&problem.name), name_width, glyphs.ellipsis);
    let (x, _) = buffer.set_stringn(area.x + 4, area.y, name, room(area.x + 4), theme.text);
    let place = pad(&clean(&problem.place), place_width, glyphs.ellipsis);
    let (x, _) = buffer.set_stringn(x + 2, area.y, place, room(x + 2), theme.dim);
    let x = if place_width > 0 { x + 2 } else { x };
    let since = problem
        .since
        .map(|at| format!("since {}", clock::hour_minute(at)))
        .unwrap_or_default();
    let what = clean(&problem.what).into_owned();
    let free = room(x).saturating_sub(width(&since) + 2);
    buffer.set_stringn(x, area.y, fit(&what, free, glyphs.ellipsis), free, style);
    let at = end.saturating_sub(u16::try_from(width(&since) + 1).unwrap_or(0));
    buffer.set_stringn(at, area.y, &since, width(&since), theme.dim);
    if area.height > 1 {
        let evidence = clean(&problem.evidence).into_owned();
        let free = room(area.x + 6);
        buffer.set_stringn(
            area.x + 6,
            area.y + 1,
            fit(&evidence, free, glyphs.ellipsis),
            free,
            theme.dim,
        );
    }
}

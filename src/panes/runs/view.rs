//! Draws the table of runs, newest first.
//! Builds visible rows only.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{result, unreadable};
use crate::app::{Model, PaneId};
use crate::domain::fault::Fault;
use crate::domain::ids::RunId;
use crate::domain::run::{RunStatus, RunView};
use crate::domain::units::{long_span, short_span};
use crate::panes::page::view::style;
use crate::panes::pipeline::words::sign;
use crate::ui::ansi::{clean, fit};
use crate::ui::clock;
use crate::ui::table::{Column, Row, Table};
use crate::ui::theme::Theme;

const COLUMNS: [Column; 8] = [
    Column::left("SERVICE", 8, 20, 0),
    Column::left("WHAT", 8, 8, 0),
    Column::left("RELEASE", 9, 12, 4),
    Column::left("RESULT", 13, 48, 0),
    Column::left("WHO", 10, 22, 2),
    Column::right("AGO", 6, 1),
    Column::right("TOOK", 10, 3),
    Column::left("STARTED", 16, 16, 5),
];

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let list = &model.run_list;
    let buffer = frame.buffer_mut();
    if list.rows.is_empty() {
        let words = if model.runs.is_empty() && model.unreadable.is_empty() {
            "No run yet: b builds, t tests, d deploys the selected service."
        } else {
            "No run matches the filter; Esc clears it."
        };
        let room = usize::from(area.width).saturating_sub(2);
        buffer.set_stringn(
            area.x + 1,
            area.y,
            fit(words, room, theme.glyphs.ellipsis),
            room,
            theme.dim,
        );
        return;
    }
    let table = Table {
        columns: &COLUMNS,
        len: list.rows.len(),
        top: list.cursor.top(),
        selected: Some(list.cursor.row()),
        focused: model.focus == PaneId::Runs,
        header: true,
    };
    table.draw(buffer, area, theme, |index| {
        let Some(id) = list.rows.get(index) else {
            return Row::default();
        };
        match (model.runs.get(id), model.unreadable.get(id)) {
            (Some(run), _) => cells(model, run, theme),
            (None, Some(why)) => unreadable_cells(id, why, theme),
            (None, None) => Row::default(),
        }
    });
}

/// Its name says when it was; what it was is not known.
fn unreadable_cells<'a>(id: &RunId, why: &Fault, theme: &Theme) -> Row<'a> {
    let none = || Line::styled(theme.glyphs.none, theme.dim);
    let why = clean(&unreadable(why)).into_owned();
    Row {
        sign: Span::styled(theme.glyphs.failed, theme.bad),
        marked: false,
        cells: vec![
            Line::styled(id.to_string(), theme.dim),
            none(),
            none(),
            Line::styled(why, theme.bad),
            none(),
            none(),
            none(),
            none(),
        ],
        style: Style::new(),
    }
}

fn cells<'a>(model: &Model, run: &RunView, theme: &Theme) -> Row<'a> {
    let (tone, glyph) = sign(run, theme.glyphs);
    let took = match &run.status {
        RunStatus::Closed { at, .. } => long_span(run.started.until(*at)),
        RunStatus::Running => long_span(run.started.until(model.now.wall)),
        RunStatus::Dead => theme.glyphs.none.to_owned(),
    };
    let release = match (run.from, run.to) {
        (Some(from), Some(to)) => format!("{from} {} {to}", theme.glyphs.arrow),
        (None, Some(to)) => to.to_string(),
        (_, None) => theme.glyphs.none.to_owned(),
    };
    let text = |text: &str, style: Style| Line::styled(clean(text).into_owned(), style);
    Row {
        sign: Span::styled(glyph, style(tone, theme)),
        marked: false,
        cells: vec![
            text(&run.subject(), theme.text),
            text(run.kind.word(), theme.text),
            text(&release, theme.text),
            text(&result(run), style(tone, theme)),
            text(&run.by(), theme.text),
            text(&short_span(run.started.until(model.now.wall)), theme.dim),
            text(&took, theme.dim),
            text(&clock::day(run.started), theme.dim),
        ],
        style: Style::new(),
    }
}

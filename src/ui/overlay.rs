//! The layers above the panes: question, palette, help, notices.
//! A question is at the bottom: its context stays visible above it.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Clear, Widget};

use super::ansi::{clean, fit, rows as rows_of, width};
use super::clock;
use super::theme::Theme;
use crate::app::Model;
use crate::app::help::{HelpRow, rows};
use crate::app::input::Line;
use crate::app::layer::Layer;
use crate::app::notices::Tone;
use crate::app::palette::Palette;
use crate::app::promote::{self, Promotions};
use crate::app::question::{Answer, Question};
use crate::app::update::PALETTE_ROWS;
use crate::domain::ids::RunId;
use crate::panes::page::view::draw_row;
use crate::panes::pipeline::left;

/// `area`: everything between status and key line.
pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    match &model.layer {
        None | Some(Layer::Line(_)) => {}
        Some(Layer::Question(question)) => draw_question(question, theme, frame, area),
        Some(Layer::Palette(palette)) => draw_palette(model, palette, theme, frame, area),
        Some(Layer::Promotions(list)) => draw_promotions(model, list, theme, frame.buffer_mut(), area),
        Some(Layer::Help { top }) => draw_help(model, *top, theme, frame.buffer_mut(), area),
        Some(Layer::Left { run, top }) => draw_left(model, (run, *top), theme, frame.buffer_mut(), area),
        Some(Layer::Notices { top }) => draw_notices(model, *top, theme, frame.buffer_mut(), area),
    }
}

/// The lowest rows of the area, emptied, under a line.
fn panel(buffer: &mut Buffer, area: Rect, rows: u16, theme: &Theme) -> Rect {
    let height = (rows + 1).min(area.height);
    let panel = Rect {
        y: area.y + area.height - height,
        height,
        ..area
    };
    if panel.is_empty() {
        return panel;
    }
    Clear.render(panel, buffer);
    for x in panel.x..panel.x + panel.width {
        buffer.set_stringn(x, panel.y, theme.glyphs.line, 1, theme.dim);
    }
    Rect {
        y: panel.y + 1,
        height: height.saturating_sub(1),
        ..panel
    }
}

fn put(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style, theme: &Theme) -> u16 {
    if row >= area.height {
        return area.x;
    }
    let columns = usize::from(area.width).saturating_sub(2);
    let text = clean(text);
    let text = fit(&text, columns, theme.glyphs.ellipsis);
    buffer
        .set_stringn(area.x + 1, area.y + row, text, columns, style)
        .0
}

/// Rows that a question of this width takes where there is room: a line, its title, its details, its answer.
#[must_use]
pub fn question_height(question: &Question, width: u16) -> usize {
    let texts = [&question.title].into_iter().chain(&question.details);
    2 + texts.map(|text| in_rows(text, width).len()).sum::<usize>()
}

/// As it is broken in a panel so wide.
fn in_rows(text: &str, width: u16) -> Vec<String> {
    let columns = usize::from(width).saturating_sub(2).max(1);
    rows_of(&clean(text), columns)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn draw_question(question: &Question, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let title = in_rows(&question.title, area.width);
    let details = question
        .details
        .iter()
        .flat_map(|detail| in_rows(detail, area.width));
    // Whole, in as many rows as it takes: what is asked must be readable. Of the details what there is room for.
    let mut lines: Vec<(String, Style)> = title.into_iter().map(|row| (row, theme.warn)).collect();
    lines.extend(details.map(|row| (row, theme.dim)));
    lines.truncate(usize::from(area.height).saturating_sub(2));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let inner = panel(frame.buffer_mut(), area, height.saturating_add(1), theme);
    let buffer = frame.buffer_mut();
    for (row, (text, style)) in (0..).zip(&lines) {
        put(buffer, inner, row, text, *style, theme);
    }
    let row = inner.height.saturating_sub(1);
    match &question.answer {
        Answer::YesNo => {
            put(
                buffer,
                inner,
                row,
                "y yes   n no (also Enter, Esc)",
                theme.accent,
                theme,
            );
        }
        Answer::Typed { word, line } => {
            let not_it = if word.starts_with(line.text()) {
                ""
            } else {
                "That does not match. "
            };
            let whole = format!("{not_it}Type {word} and press Enter to confirm, Esc leaves: ");
            let short = format!("{not_it}Type {word}: ");
            draw_line(frame, inner, (&whole, &short), width(word), line, theme);
        }
        Answer::Reasoned { line } => {
            let prompts = ("yes or no, then a reason (Esc: decide later): ", "yes/no, why: ");
            draw_line(frame, inner, prompts, 20, line, theme);
        }
    }
}

/// In the last row: what is typed must be seen as it is typed, at least so many columns of it.
fn draw_line(
    frame: &mut Frame<'_>,
    inner: Rect,
    (whole, short): (&str, &str),
    columns: usize,
    line: &Line,
    theme: &Theme,
) {
    let row = inner.height.saturating_sub(1);
    let needed = width(whole) + columns + 3;
    let prompt = if needed <= usize::from(inner.width) {
        whole
    } else {
        short
    };
    let buffer = frame.buffer_mut();
    let x = put(buffer, inner, row, prompt, theme.accent, theme);
    let room = usize::from((inner.x + inner.width).saturating_sub(x));
    let start = line.cursor().saturating_sub(room.saturating_sub(1));
    let seen: String = clean(line.text()).chars().skip(start).collect();
    buffer.set_stringn(x, inner.y + row, seen, room, theme.text);
    let cursor = x.saturating_add(u16::try_from(line.cursor() - start).unwrap_or(0));
    frame.set_cursor_position(Position::new(
        cursor.min(inner.x + inner.width - 1),
        inner.y + row,
    ));
}

fn draw_promotions(model: &Model, list: &Promotions, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let shown = list.ways.len().min(promote::ROWS);
    let inner = panel(buffer, area, u16::try_from(shown).unwrap_or(0) + 1, theme);
    let title = format!("Promote {}: from which environment to which?", list.service);
    put(buffer, inner, 0, &title, theme.warn, theme);
    for (row, way) in (1..).zip(list.ways.iter().skip(list.cursor.top()).take(shown)) {
        if row >= inner.height {
            break;
        }
        let chosen = list.cursor.key() == Some(way);
        let sign = if chosen { theme.glyphs.cursor } else { " " };
        let words = format!("{sign} {}", list.words(model, way, theme.glyphs.arrow));
        put(buffer, inner, row, &words, theme.text, theme);
        if chosen {
            let line = Rect {
                y: inner.y + row,
                height: 1,
                ..inner
            };
            buffer.set_style(line, theme.selected);
        }
    }
}

fn draw_palette(model: &Model, palette: &Palette, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let found = palette.found();
    let shown = found.len().min(PALETTE_ROWS);
    let inner = panel(
        frame.buffer_mut(),
        area,
        u16::try_from(shown).unwrap_or(0) + 1,
        theme,
    );
    let buffer = frame.buffer_mut();
    for (row, command) in (0..).zip(found.iter().skip(palette.cursor.top()).take(shown)) {
        if row + 1 >= inner.height {
            break;
        }
        let chosen = palette.cursor.key() == Some(command);
        let keys = model.keymap.keys_in(model.focus, *command).join(" ");
        let name = format!("{:<16}", command.name());
        let sign = if chosen { theme.glyphs.cursor } else { " " };
        let y = inner.y + row;
        let room = usize::from(inner.width).saturating_sub(2);
        buffer.set_stringn(inner.x + 1, y, sign, 1, theme.accent);
        let (x, _) = buffer.set_stringn(inner.x + 3, y, &name, room, theme.text);
        let (x, _) = buffer.set_stringn(x, y, format!("{keys:<12}"), room, theme.accent);
        let room = usize::from((inner.x + inner.width).saturating_sub(x));
        buffer.set_stringn(
            x,
            y,
            fit(command.doc(), room, theme.glyphs.ellipsis),
            room,
            theme.dim,
        );
        if chosen {
            buffer.set_style(
                Rect {
                    y,
                    height: 1,
                    ..inner
                },
                theme.selected,
            );
        }
    }
    let row = inner.height.saturating_sub(1);
    let x = put(buffer, inner, row, ":", theme.accent, theme);
    let room = usize::from((inner.x + inner.width).saturating_sub(x));
    buffer.set_stringn(x, inner.y + row, clean(palette.line.text()), room, theme.text);
    let cursor = x.saturating_add(u16::try_from(palette.line.cursor()).unwrap_or(0));
    frame.set_cursor_position(Position::new(
        cursor.min(inner.x + inner.width.max(1) - 1),
        inner.y + row,
    ));
}

fn draw_help(model: &Model, top: usize, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    Clear.render(area, buffer);
    let all = rows(model);
    // Where there is little room, the first key of each.
    let narrow = area.width < 60;
    let shown = |keys: &String| -> String {
        match keys.split(' ').next() {
            Some(first) if narrow => first.to_owned(),
            _ => keys.clone(),
        }
    };
    let keys_width = all
        .iter()
        .map(|row| match row {
            HelpRow::Heading(_) => 0,
            HelpRow::Entry { keys, .. } => width(&shown(keys)),
        })
        .max()
        .unwrap_or(0);
    for (row, entry) in (0..area.height).zip(all.iter().skip(top)) {
        match entry {
            HelpRow::Heading(title) => {
                put(buffer, area, row, title, theme.accent, theme);
            }
            HelpRow::Entry { keys, doc, name } => {
                let x = put(
                    buffer,
                    area,
                    row,
                    &format!("  {:<keys_width$}  ", shown(keys)),
                    theme.text,
                    theme,
                );
                let room = usize::from((area.x + area.width).saturating_sub(x));
                let doc = fit(doc, room, theme.glyphs.ellipsis);
                let (x, _) = buffer.set_stringn(x, area.y + row, doc, room, theme.dim);
                let tail = format!("  :{name}");
                let at = (area.x + area.width).saturating_sub(u16::try_from(width(&tail) + 1).unwrap_or(0));
                if at >= x {
                    buffer.set_stringn(at, area.y + row, &tail, width(&tail), theme.dim);
                }
            }
        }
    }
}

fn draw_left(model: &Model, (run, top): (&RunId, usize), theme: &Theme, buffer: &mut Buffer, area: Rect) {
    Clear.render(area, buffer);
    let rows = left::rows(model, run);
    for (y, row) in (area.y..area.y + area.height).zip(rows.iter().skip(top)) {
        draw_row(row, theme, buffer, Rect { y, height: 1, ..area });
    }
}

fn draw_notices(model: &Model, top: usize, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    Clear.render(area, buffer);
    if model.notices.iter().len() == 0 {
        put(buffer, area, 0, "no notices yet", theme.dim, theme);
    }
    for (row, notice) in (0..area.height).zip(model.notices.iter().skip(top)) {
        let (sign, style) = match notice.tone {
            Tone::Answer => (" ", theme.dim),
            Tone::Done => (theme.glyphs.done, theme.ok),
            Tone::Bad => (theme.glyphs.failed, theme.bad),
        };
        let hint = notice
            .hint
            .as_ref()
            .map(|hint| format!(" (hint: {hint})"))
            .unwrap_or_default();
        let text = format!("{} {sign} {}{hint}", clock::time(notice.at), notice.text);
        put(buffer, area, row, &text, style, theme);
    }
}

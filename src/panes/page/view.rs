//! Draws a page of text: tones as colours, matches marked, long rows truncated, rows below counted.
//! Draws visible rows only.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{Reader, Row, Tone, plain};
use crate::ui::ansi::{clean, fit, width};
use crate::ui::theme::Theme;

pub fn draw(rows: &[Row], reader: &Reader, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let height = usize::from(area.height);
    let top = reader.top(rows.len(), height);
    for (y, row) in (area.y..area.y + area.height).zip(rows.iter().skip(top)) {
        let line = Rect { y, height: 1, ..area };
        draw_row(row, theme, buffer, line);
        if let Some(regex) = reader.pattern() {
            let text = plain(row);
            for found in regex.find_iter(&text).filter(|found| !found.is_empty()) {
                let before = text.get(..found.start()).map_or(0, width);
                mark(buffer, line, before, width(found.as_str()), theme.found);
            }
        }
    }
    let below = rows.len().saturating_sub(top + height);
    if below > 0 {
        let words = format!(" +{below} {} ", theme.glyphs.down);
        let columns = u16::try_from(width(&words)).unwrap_or(0).min(area.width);
        let x = area.x + area.width - columns;
        let y = area.y + area.height.saturating_sub(1);
        buffer.set_stringn(x, y, &words, usize::from(columns), theme.dim);
    }
}

/// One row, a column of margin before it.
pub fn draw_row(row: &Row, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let end = area.x + area.width;
    let mut x = area.x.saturating_add(1);
    for (tone, text) in row {
        if x >= end {
            return;
        }
        let room = usize::from(end - x);
        let text = clean(text);
        x = buffer
            .set_stringn(
                x,
                area.y,
                fit(&text, room, theme.glyphs.ellipsis),
                room,
                style(*tone, theme),
            )
            .0;
    }
}

fn mark(buffer: &mut Buffer, line: Rect, before: usize, columns: usize, style: Style) {
    let column = |columns: usize| u16::try_from(columns).unwrap_or(u16::MAX);
    let part = Rect {
        x: line.x.saturating_add(1).saturating_add(column(before)),
        width: column(columns),
        ..line
    };
    buffer.set_style(part.intersection(line), style);
}

#[must_use]
pub fn style(tone: Tone, theme: &Theme) -> Style {
    match tone {
        Tone::Text => theme.text,
        Tone::Dim => theme.dim,
        Tone::Ok => theme.ok,
        Tone::Busy => theme.busy,
        Tone::Warn => theme.warn,
        Tone::Bad => theme.bad,
        Tone::Accent => theme.accent,
    }
}

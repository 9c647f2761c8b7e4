//! A table of which only the visible rows are built. Columns that do not fit are left out, the least wanted first.
//! The header says how many, and how many rows there are above and below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::ansi::{fit, fit_middle, pad, width};
use super::theme::Theme;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub title: &'static str,
    /// Narrower than this it says nothing.
    pub min: u16,
    /// Takes what is left over up to this width.
    pub max: u16,
    pub align: Align,
    /// Lower numbers are left out later; 0 never.
    pub rank: u8,
    /// Names that are too long lose their middle.
    pub keeps_end: bool,
}

impl Column {
    #[must_use]
    pub const fn left(title: &'static str, min: u16, max: u16, rank: u8) -> Self {
        Self {
            title,
            min,
            max,
            align: Align::Left,
            rank,
            keeps_end: false,
        }
    }

    /// Of names: what is too long keeps its end, by which names that begin alike are told apart.
    #[must_use]
    pub const fn name(title: &'static str, min: u16, max: u16, rank: u8) -> Self {
        Self {
            keeps_end: true,
            ..Self::left(title, min, max, rank)
        }
    }

    /// As wide as the widest of these, between its narrowest and `most`.
    #[must_use]
    pub fn fitted<'a>(self, texts: impl Iterator<Item = &'a str>, most: u16) -> Self {
        let widest = texts.map(width).max().unwrap_or(0);
        let min = u16::try_from(widest).unwrap_or(most).min(most).max(self.min);
        Self {
            min,
            max: self.max.max(min),
            ..self
        }
    }

    #[must_use]
    pub const fn right(title: &'static str, width: u16, rank: u8) -> Self {
        Self {
            title,
            min: width,
            max: width,
            align: Align::Right,
            rank,
            keeps_end: false,
        }
    }
}

/// One cell: spans, cut to the column's width together.
pub type Cell<'a> = Line<'a>;

/// A row: its sign in the gutter (already styled), and one cell a column of `Table::columns`, in order.
#[derive(Debug, Default)]
pub struct Row<'a> {
    pub sign: Span<'a>,
    /// Chosen for the next action.
    pub marked: bool,
    pub cells: Vec<Cell<'a>>,
    /// Over the whole row: stale rows are dim.
    pub style: Style,
}

#[derive(Debug)]
pub struct Table<'a> {
    pub columns: &'a [Column],
    /// Rows there are, drawn or not.
    pub len: usize,
    /// First row drawn.
    pub top: usize,
    /// Row number of the selection, and whether this pane has the focus.
    pub selected: Option<usize>,
    pub focused: bool,
    /// Column titles above the rows.
    pub header: bool,
}

/// Between two columns; where every column would still fit, one more.
const GAP: u16 = 1;
const ROOMY: u16 = 60;
/// Cursor, sign, and a space before the first column.
const GUTTER: u16 = 4;

impl Table<'_> {
    /// Rows that fit below the header.
    #[must_use]
    pub fn rows_in(height: u16, header: bool) -> usize {
        usize::from(height.saturating_sub(u16::from(header)))
    }

    fn seen(&self, height: u16) -> usize {
        Self::rows_in(height, self.header).min(self.len.saturating_sub(self.top))
    }

    /// `row` is called for the rows that are seen, once each.
    pub fn draw<'r>(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        theme: &Theme,
        mut row: impl FnMut(usize) -> Row<'r>,
    ) {
        if area.width <= GUTTER || area.height == 0 {
            return;
        }
        let places = places(self.columns, available(area.width));
        let mut y = area.y;
        if self.header {
            self.draw_header(buffer, area, &places, theme);
            y += 1;
        }
        let seen = self.seen(area.height);
        for index in self.top..self.top + seen {
            let selected = self.selected == Some(index);
            let row = row(index);
            let line = Rect { y, height: 1, ..area };
            // Beneath the cells: what is bad stays so in a row that is dim.
            buffer.set_style(line, row.style);
            if selected {
                buffer.set_stringn(area.x, y, theme.glyphs.cursor, 1, theme.accent);
            }
            if row.marked {
                buffer.set_stringn(area.x + 1, y, theme.glyphs.mark, 1, theme.accent);
            }
            buffer.set_span(area.x + 2, y, &row.sign, 1);
            for (index, place) in &places {
                if let (Some(cell), Some(column)) = (row.cells.get(*index), self.columns.get(*index)) {
                    draw_cell(
                        buffer,
                        cell,
                        (area.x + GUTTER + place.x, y),
                        place.width,
                        column,
                        theme,
                    );
                }
            }
            if selected && self.focused {
                buffer.set_style(line, theme.selected);
            }
            y += 1;
        }
    }

    fn draw_header(&self, buffer: &mut Buffer, area: Rect, places: &[(usize, Place)], theme: &Theme) {
        for (index, place) in places {
            if let Some(column) = self.columns.get(*index) {
                let title = Line::styled(column.title, theme.dim);
                draw_cell(
                    buffer,
                    &title,
                    (area.x + GUTTER + place.x, area.y),
                    place.width,
                    column,
                    theme,
                );
            }
        }
        let below = self.len.saturating_sub(self.top + self.seen(area.height));
        let first = places.first().map(|(_, first)| usize::from(first.width));
        if let (Some(more), Some(room)) = (theme.glyphs.beyond(self.top, below), first) {
            let title = self.columns.first().map_or("", |column| column.title);
            // Where there is no room for both, the header can do without the title of the names.
            let both = format!("{title} {more}");
            let words = if width(&both) <= room { both } else { more };
            let words = pad(&words, room, theme.glyphs.ellipsis);
            buffer.set_stringn(area.x + GUTTER, area.y, words, room, theme.dim);
        }
        let missing = self.columns.len() - places.len();
        if missing > 0 {
            // In the gutter: it hides no title there.
            let more = format!("+{missing}{}", theme.glyphs.more);
            buffer.set_stringn(area.x, area.y, &more, usize::from(GUTTER), theme.dim);
        }
    }
}

/// Is one of the columns so titled drawn where the table is so wide?
#[must_use]
pub fn shows(columns: &[Column], width: u16, titles: &[&str]) -> bool {
    places(columns, available(width))
        .iter()
        .filter_map(|(index, _)| columns.get(*index))
        .any(|column| titles.contains(&column.title))
}

/// What an area so wide leaves for columns.
fn available(width: u16) -> u16 {
    // Where there is room, figures at the right keep off the edge as all other text does.
    width.saturating_sub(GUTTER + u16::from(width >= ROOMY))
}

/// Which columns are drawn, where, how wide.
fn places(columns: &[Column], available: u16) -> Vec<(usize, Place)> {
    let mut chosen: Vec<(usize, &Column)> = columns.iter().enumerate().collect();
    let needed = |chosen: &[(usize, &Column)]| -> u16 {
        let gaps = GAP * u16::try_from(chosen.len().saturating_sub(1)).unwrap_or(0);
        chosen
            .iter()
            .map(|(_, column)| column.min)
            .fold(gaps, u16::saturating_add)
    };
    while needed(&chosen) > available {
        let least = chosen
            .iter()
            .enumerate()
            .filter(|(_, (_, column))| column.rank > 0)
            .max_by_key(|(at, (_, column))| (column.rank, *at))
            .map(|(at, _)| at);
        match least {
            Some(at) => drop(chosen.remove(at)),
            None => break,
        }
    }
    let gaps = u16::try_from(chosen.len().saturating_sub(1)).unwrap_or(0);
    let mut spare = available.saturating_sub(needed(&chosen));
    let gap = if spare >= gaps { GAP + 1 } else { GAP };
    spare = spare.saturating_sub((gap - GAP) * gaps);
    let mut x = 0;
    let mut places = Vec::with_capacity(chosen.len());
    for (index, column) in chosen {
        let grown = spare.min(column.max.saturating_sub(column.min));
        spare -= grown;
        let width = (column.min + grown).min(available.saturating_sub(x));
        if width > 0 {
            places.push((index, Place { x, width }));
        }
        x = x.saturating_add(width).saturating_add(gap);
    }
    places
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    x: u16,
    width: u16,
}

fn draw_cell(
    buffer: &mut Buffer,
    cell: &Cell<'_>,
    (x, y): (u16, u16),
    columns: u16,
    column: &Column,
    theme: &Theme,
) {
    let wanted = cell.spans.iter().map(|span| width(&span.content)).sum::<usize>();
    let mut left = usize::from(columns);
    let start = match column.align {
        Align::Left => 0,
        Align::Right => left.saturating_sub(wanted),
    };
    left -= start;
    let mut at = x.saturating_add(u16::try_from(start).unwrap_or(u16::MAX));
    for span in &cell.spans {
        if left == 0 {
            break;
        }
        let text = if column.keeps_end {
            fit_middle(&span.content, left, theme.glyphs.ellipsis)
        } else {
            fit(&span.content, left, theme.glyphs.ellipsis)
        };
        let (next, _) = buffer.set_stringn(at, y, &text, left, cell.style.patch(span.style));
        left = left.saturating_sub(usize::from(next.saturating_sub(at)));
        if text.len() < span.content.len() {
            break;
        }
        at = next;
    }
}

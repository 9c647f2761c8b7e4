//! Draws logs: margin, time, source, stream, and the text with its own colours and matches.
//! Builds visible rows only.

use std::ops::Range;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use regex::Regex;

use super::reading::Gutter;
use super::scroll::Page;
use super::shape::{self, Level, Part};
use super::sources::Scope;
use super::state::Logs;
use super::wrap;
use crate::app::{Model, PaneId};
use crate::domain::ids::HostName;
use crate::domain::logs::{LogLine, Stream};
use crate::domain::run::RunView;
use crate::ui::ansi::{after, clean, coloured, fit, fit_middle, pad};
use crate::ui::clock;
use crate::ui::theme::Theme;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let logs = &model.logs;
    let page = Page {
        rows: usize::from(area.height),
        columns: usize::from(area.width),
    };
    let buffer = frame.buffer_mut();
    let visible = logs.visible(page);
    if visible.is_empty() {
        draw_nothing(model, theme, buffer, area);
        return;
    }
    let drawing = Drawing {
        logs,
        theme,
        gutter: logs.gutter(page),
        columns: logs.text_columns(page),
        today: clock::Day::of(model.now.wall),
        focused: model.focus == PaneId::Logs,
    };
    let mut y = area.y;
    for (number, above) in visible {
        if let Some(line) = logs.ring().get(number) {
            y += drawing.line(
                buffer,
                Rect {
                    y,
                    height: (area.y + area.height).saturating_sub(y),
                    ..area
                },
                (number, line),
                above,
            );
        }
    }
}

fn draw_nothing(model: &Model, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let logs = &model.logs;
    let hidden = logs.patterns().hidden();
    let words = if logs.scope() == Some(&Scope::OwnLog) && hidden == 0 {
        "The log is empty.".to_owned()
    } else if let (Some(Scope::Run(part)), 0) = (logs.scope(), hidden) {
        let is_open = model.runs.get(&part.run).is_some_and(RunView::is_open);
        let so_far = if is_open { " so far" } else { "" };
        format!("No output here{so_far}; Esc goes back.")
    } else if logs.attention.due().is_some() {
        // In a moment.
        String::new()
    } else if logs.scope().is_none() {
        "No logs are open: press l on a container or a service.".to_owned()
    } else if logs.sources().is_empty() {
        "There is no container yet; its log appears when one is created.".to_owned()
    } else if hidden > 0 {
        format!("All {hidden} lines are hidden by the filter; Esc clears it.")
    } else if let Some(host) = lost(model) {
        format!("{host} is unreachable: its logs continue when it is back.")
    } else {
        format!(
            "No lines in this range ({}); > goes further back.",
            logs.range().word()
        )
    };
    let room = usize::from(area.width).saturating_sub(2);
    buffer.set_stringn(
        area.x + 1,
        area.y,
        fit(&words, room, theme.glyphs.ellipsis),
        room,
        theme.dim,
    );
}

/// A host that is not there, of what is read.
fn lost(model: &Model) -> Option<&HostName> {
    let mut sources = model.logs.sources().iter();
    let source = sources.find(|source| {
        let host = model.fleet.host(&source.key.host);
        host.is_none_or(|host| !host.link.is_live())
    })?;
    Some(&source.key.host)
}

struct Drawing<'a> {
    logs: &'a Logs,
    theme: &'a Theme,
    gutter: Gutter,
    /// Columns of the text.
    columns: usize,
    today: clock::Day,
    focused: bool,
}

impl Drawing<'_> {
    /// Rows that were drawn.
    fn line(&self, buffer: &mut Buffer, area: Rect, (number, line): (u64, &LogLine), above: usize) -> u16 {
        let is_cursor = self.logs.cursor() == Some(number);
        let text = self.text(line);
        let rows = if self.logs.shown().wrap && line.stream != Stream::Notice {
            wrap::rows(&text.plain, self.columns)
        } else {
            wrap::rows(&text.plain, usize::MAX)
        };
        let mut y = area.y;
        for (index, row) in rows
            .into_iter()
            .enumerate()
            .skip(above)
            .take(usize::from(area.height))
        {
            let place = Rect { y, height: 1, ..area };
            // Before the text: what was searched for keeps its own background.
            if is_cursor && self.focused {
                buffer.set_style(place, self.theme.selected);
            }
            if index == 0 {
                self.gutter(buffer, place, line, (number, is_cursor));
            } else {
                self.sign(buffer, place, line);
            }
            self.row(buffer, place, &text, row);
            y += 1;
        }
        y - area.y
    }

    fn gutter(&self, buffer: &mut Buffer, area: Rect, line: &LogLine, (number, is_cursor): (u64, bool)) {
        let glyphs = self.theme.glyphs;
        let margin = match (self.logs.is_marked(number), is_cursor) {
            (true, _) => glyphs.mark,
            (false, true) => glyphs.cursor,
            (false, false) => " ",
        };
        buffer.set_stringn(area.x, area.y, margin, 1, self.theme.accent);
        let mut x = area.x + 1;
        if self.gutter.time > 0 {
            let time = self.today.millis(line.at);
            buffer.set_stringn(x, area.y, &time, self.gutter.time, self.theme.dim);
            x = right(x, self.gutter.time + usize::from(self.gutter.label > 0));
        }
        if self.gutter.label > 0 && line.stream != Stream::Notice {
            let label = match self.logs.sources().get(&line.source) {
                Some(source) => clean(&source.label).into_owned(),
                None => line.source.id.short().to_owned(),
            };
            // The end tells replicas apart.
            let label = fit_middle(&label, self.gutter.label, glyphs.ellipsis);
            let label = pad(&label, self.gutter.label, glyphs.ellipsis);
            buffer.set_stringn(x, area.y, &label, self.gutter.label, self.theme.text);
        }
        self.sign(buffer, area, line);
    }

    /// What was written to stderr has a rule before it.
    fn sign(&self, buffer: &mut Buffer, area: Rect, line: &LogLine) {
        let x = right(area.x, self.gutter.all - 1);
        let sign = match line.stream {
            Stream::Err => self.theme.glyphs.rule,
            Stream::Out | Stream::Console | Stream::Notice => " ",
        };
        if x < area.x + area.width {
            buffer.set_stringn(x, area.y, sign, 1, self.theme.dim);
        }
    }

    fn row(&self, buffer: &mut Buffer, area: Rect, text: &Text, row: Range<usize>) {
        let mut x = right(area.x, self.gutter.all);
        let end = area.x + area.width;
        let mut gone = self.logs.shift();
        let mut at = 0;
        for (piece, style) in &text.pieces {
            let from = row.start.saturating_sub(at).min(piece.len());
            let to = row.end.saturating_sub(at).min(piece.len());
            at += piece.len();
            let Some(part) = piece.get(from..to).filter(|part| !part.is_empty()) else {
                continue;
            };
            let wide = crate::ui::ansi::width(part);
            if wide <= gone {
                gone -= wide;
                continue;
            }
            let shown = after(part, std::mem::take(&mut gone));
            if x >= end {
                break;
            }
            let room = usize::from(end - x);
            x = buffer.set_stringn(x, area.y, shown, room, *style).0;
        }
        let is_cut = crate::ui::ansi::width(text.plain.get(row).unwrap_or_default())
            > self.logs.shift() + usize::from(end.saturating_sub(right(area.x, self.gutter.all)));
        if is_cut && !self.logs.shown().wrap && end > area.x {
            buffer.set_stringn(end - 1, area.y, self.theme.glyphs.ellipsis, 1, self.theme.dim);
        }
    }

    fn text(&self, line: &LogLine) -> Text {
        if line.stream == Stream::Notice {
            let said = format!("{0}{0} {1} {0}{0}", self.theme.glyphs.line, clean(&line.text));
            return Text::new(vec![(said, self.theme.warn)]);
        }
        let json = self
            .logs
            .shown()
            .json
            .then(|| shape::json(&clean(&line.text)))
            .flatten();
        let mut text = match json {
            Some(parts) => Text::new(self.fields(&parts)),
            None => self.own_colours(&line.text),
        };
        if let Some(regex) = self.logs.patterns().highlight() {
            text.highlight(regex, self.theme.found);
        }
        text
    }

    fn fields(&self, parts: &[Part]) -> Vec<(String, Style)> {
        let mut pieces = Vec::new();
        for part in parts {
            if !pieces.is_empty() {
                pieces.push((" ".to_owned(), self.theme.text));
            }
            match part {
                Part::Level(level, word) => pieces.push((word.clone(), self.level(*level))),
                Part::Message(said) => pieces.push((said.clone(), self.theme.text)),
                Part::Field(key, value) => {
                    pieces.push((format!("{key}="), self.theme.dim));
                    pieces.push((value.clone(), self.theme.text));
                }
            }
        }
        pieces
    }

    /// The colours that the line brought; without any, its level's on the level's word.
    fn own_colours(&self, raw: &str) -> Text {
        let pieces: Vec<(String, Style)> = coloured(raw)
            .into_iter()
            .map(|span| (span.content.into_owned(), tamed(span.style, self.theme)))
            .collect();
        let is_plain = pieces.iter().all(|(_, style)| *style == Style::new());
        let mut text = Text::new(pieces);
        if is_plain && let Some((level, word)) = shape::level(&text.plain) {
            text.patch(std::iter::once(word), self.level(Some(level)));
        }
        text
    }

    fn level(&self, level: Option<Level>) -> Style {
        match level {
            Some(Level::Error) => self.theme.bad,
            Some(Level::Warning) => self.theme.warn,
            Some(Level::Debug) => self.theme.dim,
            Some(Level::Info) | None => self.theme.text,
        }
    }
}

/// A line's text in pieces of one style each.
struct Text {
    plain: String,
    pieces: Vec<(String, Style)>,
}

impl Text {
    fn new(pieces: Vec<(String, Style)>) -> Self {
        let plain = pieces.iter().map(|(text, _)| text.as_str()).collect();
        Self { plain, pieces }
    }

    fn highlight(&mut self, regex: &Regex, style: Style) {
        let plain = std::mem::take(&mut self.plain);
        let found = regex.find_iter(&plain).map(|found| found.range());
        self.patch(found.filter(|found| !found.is_empty()), style);
        self.plain = plain;
    }

    /// Ascending ranges of bytes get the style over their own.
    fn patch(&mut self, ranges: impl Iterator<Item = Range<usize>>, style: Style) {
        let mut ranges = ranges.peekable();
        let mut pieces = Vec::with_capacity(self.pieces.len());
        let mut start = 0;
        for (text, own) in self.pieces.drain(..) {
            let end = start + text.len();
            let mut at = start;
            while let Some(range) = ranges.peek().filter(|range| range.start < end) {
                let (from, to) = (range.start.max(at), range.end.min(end));
                push(&mut pieces, text.get(at - start..from - start), own);
                push(&mut pieces, text.get(from - start..to - start), own.patch(style));
                at = to;
                if range.end > end {
                    break;
                }
                ranges.next();
            }
            push(&mut pieces, text.get(at - start..), own);
            start = end;
        }
        self.pieces = pieces;
    }
}

fn push(pieces: &mut Vec<(String, Style)>, text: Option<&str>, style: Style) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        pieces.push((text.to_owned(), style));
    }
}

/// No colour where the theme has none, and none that the terminal may not have.
fn tamed(style: Style, theme: &Theme) -> Style {
    let rich = matches!(theme.bad.fg, Some(Color::Indexed(_)));
    let fg = style.fg.filter(|fg| match fg {
        Color::Indexed(_) | Color::Rgb(..) => rich,
        _ => theme.bad.fg.is_some(),
    });
    Style { fg, ..style }
}

fn right(x: u16, columns: usize) -> u16 {
    x.saturating_add(u16::try_from(columns).unwrap_or(u16::MAX))
}

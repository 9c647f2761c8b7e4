//! The last line: the available keys, or a line of input. Above it the newest notice.
//! Shows only commands that are available.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::ansi::{clean, fit, width};
use super::theme::Theme;
use crate::app::availability::availability;
use crate::app::layer::{Layer, Purpose};
use crate::app::notices::Tone;
use crate::app::{Command, Model, PaneId, help};
use crate::panes;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    if let Some(Layer::Line(edit)) = &model.layer {
        let prompt = match edit.purpose {
            Purpose::Filter(_) | Purpose::NoFilter => "/",
            Purpose::SaveLogs => "save to: ",
        };
        let why = match edit.purpose {
            Purpose::Filter(pane) => {
                panes::bad_pattern(model, pane).map(|why| format!("not a valid pattern: {}", clean(why)))
            }
            Purpose::NoFilter => availability(model, Command::Filter).err().map(|why| why.0),
            Purpose::SaveLogs => None,
        };
        let buffer = frame.buffer_mut();
        let (x, _) = buffer.set_stringn(area.x + 1, area.y, prompt, usize::from(area.width), theme.accent);
        let room = usize::from((area.x + area.width).saturating_sub(x));
        let (end, _) = buffer.set_stringn(x, area.y, clean(edit.line.text()), room, theme.text);
        if let Some(why) = why {
            let at = end.saturating_add(3);
            let room = usize::from((area.x + area.width).saturating_sub(at.saturating_add(1)));
            let words = fit(&why, room, theme.glyphs.ellipsis);
            buffer.set_stringn(at, area.y, words, room, theme.warn);
        }
        let cursor = u16::try_from(edit.line.cursor()).unwrap_or(0);
        frame.set_cursor_position(Position::new(
            x.saturating_add(cursor).min(area.x + area.width - 1),
            area.y,
        ));
        return;
    }
    keys(model, theme, frame.buffer_mut(), area);
}

fn keys(model: &Model, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    if let Some(layer) = &model.layer {
        let page = |top: usize, rows: usize| {
            let seen = usize::from(model.size.height.saturating_sub(2));
            if rows > seen {
                format!("   {} to {} of {rows}", top + 1, (top + seen).min(rows))
            } else {
                String::new()
            }
        };
        let closes = |position: String| format!("Up Down move   any other key closes{position}");
        let words = match layer {
            // It names its own.
            Layer::Question(_) | Layer::Line(_) => String::new(),
            Layer::Palette(_) => "Enter run   Esc leave".to_owned(),
            Layer::Promotions(_) => "Enter show the plan   Esc leave".to_owned(),
            Layer::Help { top } => closes(page(*top, help::rows(model).len())),
            Layer::Notices { top } => closes(page(*top, model.notices.iter().len())),
            Layer::Left { run, top } => {
                let position = page(*top, panes::pipeline::left::rows(model, run).len());
                format!("Up Down move   Enter output   X recover   Esc closes{position}")
            }
        };
        let room = usize::from(area.width).saturating_sub(2);
        let words = fit(&words, room, theme.glyphs.ellipsis);
        buffer.set_stringn(area.x + 1, area.y, words, room, theme.dim);
        return;
    }
    let pane = model.focus;
    let end = area.x + area.width;
    let mut at = area.x + 1;
    let always = [Command::Help];
    let reserved: u16 = 9;
    let words = panes::hints(pane)
        .iter()
        .filter(|command| availability(model, **command).is_ok())
        .filter_map(|command| Some((model.keymap.shown(pane, *command)?, word(model, *command))));
    for (key, word) in words {
        let wide = u16::try_from(width(&key) + 1 + width(word)).unwrap_or(u16::MAX);
        if at.saturating_add(wide).saturating_add(reserved) > end {
            continue;
        }
        at = entry(buffer, (at, area.y), &key, word, theme) + 2;
    }
    for command in always {
        if let Some(key) = model.keymap.shown(pane, command) {
            let wide = u16::try_from(width(&key) + 1 + width(command.short())).unwrap_or(u16::MAX);
            let x = end.saturating_sub(wide.saturating_add(1));
            if x >= at {
                entry(buffer, (x, area.y), &key, command.short(), theme);
            }
        }
    }
}

/// In running text `/` searches; of a run there is its output to open.
fn word(model: &Model, command: Command) -> &'static str {
    match (command, model.focus) {
        (Command::Filter, PaneId::Logs | PaneId::Detail) => "search",
        (Command::Open, PaneId::Pipeline) if panes::pipeline::opens_left(model) => "what is left",
        (Command::Open, PaneId::Pipeline) => "output",
        _ => command.short(),
    }
}

fn entry(buffer: &mut Buffer, (x, y): (u16, u16), key: &str, word: &str, theme: &Theme) -> u16 {
    let room = usize::from((buffer.area.x + buffer.area.width).saturating_sub(x));
    let (x, _) = buffer.set_stringn(x, y, key, room, theme.accent);
    let room = usize::from((buffer.area.x + buffer.area.width).saturating_sub(x));
    let (x, _) = buffer.set_stringn(x, y, format!(" {word}"), room, theme.dim);
    x
}

/// The newest notice that was not looked at.
pub fn draw_notice(model: &Model, theme: &Theme, buffer: &mut Buffer, area: Rect) {
    let Some((notice, more)) = model.notices.current() else {
        return;
    };
    let (sign, style) = match notice.tone {
        Tone::Answer => (" ", theme.warn),
        Tone::Done => (theme.glyphs.done, theme.ok),
        Tone::Bad => (theme.glyphs.failed, theme.bad),
    };
    let tail = match (more, notice.tone) {
        (_, Tone::Answer) => String::new(),
        (0, _) => "  Esc".to_owned(),
        (more, _) => format!("  +{more} Esc"),
    };
    let columns = usize::from(area.width).saturating_sub(2);
    let mut text = notice.text.clone();
    if let Some(hint) = &notice.hint {
        text.push_str(" (hint: ");
        text.push_str(hint);
        text.push(')');
    }
    let text = clean(&text).into_owned();
    let room = columns.saturating_sub(width(&tail) + 2);
    let (x, _) = buffer.set_stringn(area.x + 1, area.y, sign, 2, style);
    let (x, _) = buffer.set_stringn(
        x + 1,
        area.y,
        fit(&text, room, theme.glyphs.ellipsis),
        room,
        style,
    );
    buffer.set_stringn(x, area.y, &tail, width(&tail), theme.dim);
}

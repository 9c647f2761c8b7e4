//! Draws the whole screen from the model: status line, panes, key line, layer.
//! Reads only; the same model always gives the same screen.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::ansi::{clean, fit, width};
use super::theme::Theme;
use super::{ascii, key_line, overlay, status};
use crate::app::layout::{Area, Slot};
use crate::app::{Model, PaneId};
use crate::panes;

pub fn view(model: &Model, theme: &Theme, frame: &mut Frame<'_>) {
    let layout = model.layout();
    let whole = frame.area();
    let rect = |area: Area| rect(area).intersection(whole);
    status::draw(model, theme, frame.buffer_mut(), rect(layout.status));
    if let Some(rule) = layout.rule {
        let rule = rect(rule);
        for y in rule.y..rule.y + rule.height {
            frame
                .buffer_mut()
                .set_stringn(rule.x, y, theme.glyphs.rule, 1, theme.dim);
        }
    }
    for slot in &layout.slots {
        draw_title(model, theme, frame, slot, whole);
        draw_pane(model, theme, frame, slot.pane, rect(slot.body));
    }
    if let Some(notice) = layout.notice {
        key_line::draw_notice(model, theme, frame.buffer_mut(), rect(notice));
    }
    let between = Area {
        x: 0,
        y: 1,
        width: layout.keys.width,
        height: layout.keys.y.saturating_sub(1),
    };
    key_line::draw(model, theme, frame, rect(layout.keys));
    overlay::draw(model, theme, frame, rect(between));
    if theme.glyphs.is_ascii() {
        ascii::replace(frame.buffer_mut());
    }
}

#[must_use]
pub fn rect(area: Area) -> Rect {
    Rect::new(area.x, area.y, area.width, area.height)
}

/// Name left (focus is shown by its colour), note right.
fn draw_title(model: &Model, theme: &Theme, frame: &mut Frame<'_>, slot: &Slot, whole: Rect) {
    let Some(title) = slot.title else {
        return;
    };
    let area = rect(title).intersection(whole);
    let focused = model.focus == slot.pane;
    let style = if focused { theme.accent } else { theme.dim };
    let buffer = frame.buffer_mut();
    let columns = usize::from(area.width);
    let (x, _) = buffer.set_stringn(area.x + 1, area.y, slot.pane.title(), columns, style);
    let note = panes::note(model, slot.pane);
    let room = usize::from((area.x + area.width).saturating_sub(x)).saturating_sub(3);
    let note = clean(&note);
    let note = fit(&note, room, theme.glyphs.ellipsis);
    let at = (area.x + area.width).saturating_sub(u16::try_from(width(&note)).unwrap_or(0) + 1);
    buffer.set_stringn(at, area.y, &note, room, theme.dim);
}

fn draw_pane(model: &Model, theme: &Theme, frame: &mut Frame<'_>, pane: PaneId, area: Rect) {
    if area.is_empty() {
        return;
    }
    match pane {
        PaneId::Services => panes::services::view::draw(model, theme, frame, area),
        PaneId::Containers => panes::containers::view::draw(model, theme, frame, area),
        PaneId::Problems => panes::problems::view::draw(model, theme, frame, area),
        PaneId::Logs => panes::logs::view::draw(model, theme, frame, area),
        PaneId::Hosts => panes::hosts::view::draw(model, theme, frame, area),
        PaneId::Pipeline => panes::pipeline::view::draw(model, theme, frame, area),
        PaneId::Runs => panes::runs::view::draw(model, theme, frame, area),
        PaneId::Detail => panes::detail::view::draw(model, theme, frame, area),
        PaneId::Plan => panes::plan::view::draw(model, theme, frame, area),
    }
}

//! Draws a container's page, a scrolling page of text.
//! Reads only.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::Model;
use crate::panes::page;
use crate::ui::theme::Theme;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let rows = super::rows(model, theme.glyphs);
    page::view::draw(&rows, model.detail.reader(), theme, frame.buffer_mut(), area);
}

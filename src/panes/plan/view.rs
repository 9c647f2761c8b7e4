//! Draws the plan: a page of text above the question.
//! Reads only.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::Model;
use crate::app::layer::Layer;
use crate::panes::page;
use crate::ui::overlay::question_height;
use crate::ui::theme::Theme;

pub fn draw(model: &Model, theme: &Theme, frame: &mut Frame<'_>, area: Rect) {
    let rows = super::rows(model, usize::from(area.width));
    let question = u16::try_from(question_rows(model)).unwrap_or(0);
    let area = Rect {
        height: area.height.saturating_sub(question),
        ..area
    };
    page::view::draw(&rows, model.plan.reader(), theme, frame.buffer_mut(), area);
}

/// Rows of the page that the question at the bottom covers; the notice below the page is the first that it does.
#[must_use]
pub fn question_rows(model: &Model) -> usize {
    let notice = model
        .layout()
        .notice
        .map_or(0, |notice| usize::from(notice.height));
    match &model.layer {
        Some(Layer::Question(question)) => question_height(question, model.size.width).saturating_sub(notice),
        _ => 0,
    }
}

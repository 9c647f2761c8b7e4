//! Draws the plan: a page of text below the question.
//! Reads only.

use ratatui::Frame;
use ratatui::layout::Rect;

use crate::app::Model;
use crate::app::layer::Layer;
use crate::panes::page;
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

/// Rows at the bottom that the question takes: a line, its title, its details, its answer.
#[must_use]
pub fn question_rows(model: &Model) -> usize {
    match &model.layer {
        Some(Layer::Question(question)) => question.details.len() + 3,
        _ => 0,
    }
}

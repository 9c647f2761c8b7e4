//! The layer over the panes that receives keys first: a question, a page, the palette. At most one at a time.
//! Holds state only; `update` passes it its keys.

use super::input::Line;
use super::palette::Palette;
use super::place::PaneId;
use super::promote::Promotions;
use super::question::Question;

#[derive(Clone, Debug)]
pub enum Layer {
    Question(Box<Question>),
    Palette(Box<Palette>),
    /// The list of promotions.
    Promotions(Box<Promotions>),
    /// First row shown.
    Help {
        top: usize,
    },
    /// The notices of this session; first row shown.
    Notices {
        top: usize,
    },
    /// A line of input at the bottom; the pane stays visible.
    Line(Box<LineEdit>),
}

impl Layer {
    #[must_use]
    pub fn line(purpose: Purpose, text: &str) -> Self {
        let line = Line::new(text);
        Self::Line(Box::new(LineEdit { purpose, line }))
    }
}

#[derive(Clone, Debug)]
pub struct LineEdit {
    pub purpose: Purpose,
    pub line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Applied with every key; `Esc` discards it, `Enter` keeps it.
    Filter(PaneId),
    /// A file name for the logs shown; `Enter` saves.
    SaveLogs,
    /// Of a page without a filter: what is typed behind `/` must not be taken for commands.
    NoFilter,
}

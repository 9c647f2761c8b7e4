//! The layer over the panes that receives keys first: a question, a page, the palette. At most one at a time.
//! Holds state only; `update` passes it its keys.

use crokey::KeyCombination;

use super::cursor::Motion;
use super::input::Line;
use super::model::Model;
use super::palette::Palette;
use super::place::PaneId;
use super::promote::Promotions;
use super::question::Question;
use crate::domain::ids::RunId;

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
    /// What a run left that needs a human; first row shown.
    Left {
        run: RunId,
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

/// A page of text above everything: motions scroll it, any other key closes it.
#[must_use]
pub fn scrolled(model: &Model, pressed: KeyCombination, top: usize, rows: usize) -> Option<usize> {
    let motion = Motion::of(model.keymap.meaning(model.focus, pressed)?)?;
    let height = usize::from(model.size.height.saturating_sub(2));
    let last = rows.saturating_sub(height);
    Some(motion.from(top, last + 1, height))
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

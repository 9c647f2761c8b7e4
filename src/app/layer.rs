//! What lies over the panes and takes the keys first; at most one at a time.
//! Holds state only; `update` gives it its keys.

use super::input::Line;
use super::palette::Palette;
use super::place::PaneId;
use super::promote::Promotions;
use super::question::Question;

#[derive(Clone, Debug)]
pub enum Layer {
    Question(Box<Question>),
    Palette(Box<Palette>),
    /// From where to where a release is taken.
    Promotions(Box<Promotions>),
    /// First row shown.
    Help {
        top: usize,
    },
    /// The notices of this session; first row shown.
    Notices {
        top: usize,
    },
    /// A line typed at the bottom; the pane beneath stays to be seen.
    Line(Box<LineEdit>),
}

#[derive(Clone, Debug)]
pub struct LineEdit {
    pub purpose: Purpose,
    pub line: Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Applied with every key; `Esc` takes it back, `Enter` keeps it.
    Filter(PaneId),
    /// A file name for the logs shown; `Enter` saves.
    SaveLogs,
}

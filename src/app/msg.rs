//! Everything that can happen to the screen.
//! Data only: a session is a list of these with their times.

use crokey::KeyCombination;

use super::effect::Lend;
use super::layout::Size;
use crate::domain::event::Event;
use crate::domain::fault::Fault;

/// An input of `update`.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    Key(KeyCombination),
    /// Text pasted into the terminal (bracketed paste); it never answers a question.
    Paste(String),
    Resized(Size),
    Event(Event),
    /// Something failed that nobody ordered.
    Fault(Fault),
    /// The terminal is about to be another program's.
    Lent,
    /// It is ours again: that program has ended.
    Returned(Lend),
    /// Once a second, and when the model says so.
    Tick,
    /// A frame is about to be drawn: updates derived data, and requests what is visible.
    Frame,
}

//! Everything that can happen to the screen.
//! Data only: a session is a list of these with their times.

use crokey::KeyCombination;

use super::layout::Size;
use crate::domain::event::Event;

/// An input of `update`.
#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    Key(KeyCombination),
    /// Text pasted into the terminal (bracketed paste); it never answers a question.
    Paste(String),
    Resized(Size),
    Event(Event),
    /// Once a second.
    Tick,
    /// A frame is about to be drawn: updates derived data, and requests what is visible.
    Frame,
}

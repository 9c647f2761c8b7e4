//! Everything that can happen to the screen.
//! Data only: a session is a list of these with their times.

use crokey::KeyCombination;

use super::layout::Size;
use crate::domain::event::Event;

#[derive(Clone, Debug, PartialEq)]
pub enum Msg {
    Key(KeyCombination),
    /// Text pasted into the terminal (bracketed paste): never answers a question.
    Paste(String),
    Resized(Size),
    Event(Event),
    /// Once a second.
    Tick,
    /// A frame is about to be drawn: what is derived is brought up to date, and what is looked at is asked for.
    Frame,
}

//! One line of text input: filter, palette, or the name that confirms.
//! Only edits; the owner interprets the text.

use crokey::{KeyCombination, OneToThree};
use crossterm::event::{KeyCode, KeyModifiers};
use tui_input::{Input, InputRequest};

/// Longer than any sensible input; longer pastes are truncated.
const LONGEST: usize = 256;

#[derive(Clone, Debug, Default)]
pub struct Line(Input);

impl Line {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Input::new(text.to_owned()))
    }

    #[must_use]
    pub fn text(&self) -> &str {
        self.0.value()
    }

    /// Columns before the cursor.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.0.visual_cursor()
    }

    /// Whether the key was used by the line.
    pub fn key(&mut self, key: KeyCombination) -> bool {
        let Some(request) = request(key) else {
            return false;
        };
        let inserts = matches!(request, InputRequest::InsertChar(_));
        if !inserts || self.text().len() < LONGEST {
            self.0.handle(request);
        }
        true
    }

    /// Inserts pasted text without control characters.
    pub fn paste(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            if self.text().len() < LONGEST {
                self.0.handle(InputRequest::InsertChar(c));
            }
        }
    }
}

/// The editing keys, as in readline.
fn request(key: KeyCombination) -> Option<InputRequest> {
    let OneToThree::One(code) = key.codes else {
        return None;
    };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    Some(match (code, control, alt) {
        (KeyCode::Char(c), false, false) => InputRequest::InsertChar(c),
        (KeyCode::Backspace, false, false) | (KeyCode::Char('h'), true, false) => {
            InputRequest::DeletePrevChar
        }
        (KeyCode::Delete, false, false) | (KeyCode::Char('d'), true, false) => InputRequest::DeleteNextChar,
        (KeyCode::Left, false, false) | (KeyCode::Char('b'), true, false) => InputRequest::GoToPrevChar,
        (KeyCode::Right, false, false) | (KeyCode::Char('f'), true, false) => InputRequest::GoToNextChar,
        (KeyCode::Home, _, _) | (KeyCode::Char('a'), true, false) => InputRequest::GoToStart,
        (KeyCode::End, _, _) | (KeyCode::Char('e'), true, false) => InputRequest::GoToEnd,
        (KeyCode::Char('w'), true, false) | (KeyCode::Backspace, _, true) => InputRequest::DeletePrevWord,
        (KeyCode::Char('u'), true, false) => InputRequest::DeleteLine,
        (KeyCode::Char('k'), true, false) => InputRequest::DeleteTillEnd,
        (KeyCode::Left, true, _) | (KeyCode::Char('b'), false, true) => InputRequest::GoToPrevWord,
        (KeyCode::Right, true, _) | (KeyCode::Char('f'), false, true) => InputRequest::GoToNextWord,
        _ => return None,
    })
}

/// The character a key types, if it types one.
#[must_use]
pub fn typed(key: KeyCombination) -> Option<char> {
    match request(key) {
        Some(InputRequest::InsertChar(c)) => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crokey::key;

    #[test]
    fn typing_editing_and_pasting_make_one_line() {
        let mut line = Line::default();
        for key in [key!(s), key!(h), key!(shift - o), key!(backspace), key!(o)] {
            assert!(line.key(key));
        }
        line.paste("p\n\u{1b}1");
        assert_eq!(line.text(), "shop1");
        assert!(!line.key(key!(enter)));
        assert!(line.key(key!(ctrl - u)));
        assert_eq!(line.text(), "");
    }
}

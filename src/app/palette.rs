//! The command palette: finds commands by the letters typed.
//! Only finds; the chosen command is run exactly as by its key.

use super::command::Command;
use super::cursor::{Cursor, Motion};
use super::input::Line;

#[derive(Clone, Debug, Default)]
pub struct Palette {
    pub line: Line,
    pub cursor: Cursor<Command>,
}

impl Palette {
    /// Exact matches first, then names that begin with the text, then names that contain its letters in order.
    #[must_use]
    pub fn found(&self) -> Vec<Command> {
        let wanted = self.line.text().trim().to_lowercase();
        let mut found: Vec<(u8, Command)> = Command::ALL
            .iter()
            .filter_map(|command| Some((rank(*command, &wanted)?, *command)))
            .collect();
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().map(|(_, command)| command).collect()
    }

    /// The text has changed: select the best match.
    pub fn typed(&mut self, height: usize) {
        self.cursor = Cursor::default();
        self.cursor.settle(&self.found(), height);
    }

    pub fn step(&mut self, height: usize, motion: Motion) {
        let found = self.found();
        self.cursor.step(&found, height, motion);
    }
}

fn rank(command: Command, wanted: &str) -> Option<u8> {
    let name = command.name();
    if name == wanted {
        Some(0)
    } else if name.starts_with(wanted) {
        Some(1)
    } else if name.contains(wanted) || command.doc().to_lowercase().contains(wanted) {
        Some(2)
    } else {
        let mut letters = name.chars();
        wanted
            .chars()
            .all(|wanted| letters.any(|letter| letter == wanted))
            .then_some(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_beginning_first_then_by_its_letters() {
        let mut palette = Palette::default();
        palette.line.paste("dep");
        assert_eq!(palette.found().first(), Some(&Command::Deploy));
        palette.line = Line::new("log");
        assert_eq!(palette.found().first(), Some(&Command::OwnLog));
        palette.line = Line::new("rlbk");
        assert_eq!(palette.found().first(), Some(&Command::Rollback));
    }
}

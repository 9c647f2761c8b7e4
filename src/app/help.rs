//! The help page of a pane: every command that is available there, with its keys.
//! Generated from the command table.

use super::command::Command;
use super::model::Model;
use super::place::Place;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HelpRow {
    Heading(&'static str),
    Entry {
        keys: String,
        doc: &'static str,
        name: &'static str,
    },
}

/// Commands without a key here are left out; they are in the palette.
#[must_use]
pub fn rows(model: &Model) -> Vec<HelpRow> {
    let mut rows = Vec::new();
    for place in model.focus.places() {
        rows.push(HelpRow::Heading(heading(*place)));
        let of_place = Command::ALL
            .iter()
            .copied()
            .filter(|command| command.place() == *place);
        for command in of_place {
            let keys = model.keymap.keys_in(model.focus, command);
            if !keys.is_empty() {
                rows.push(HelpRow::Entry {
                    keys: keys.join(" "),
                    doc: command.doc(),
                    name: command.name(),
                });
            }
        }
    }
    rows
}

fn heading(place: Place) -> &'static str {
    place.title()
}

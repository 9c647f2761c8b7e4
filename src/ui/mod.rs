//! The drawing kit: theme, tables, fitted text, frame around the panes, and cleaning of text for the terminal.
//! Reads the model, never writes it.

pub mod ansi;
pub mod ascii;
pub mod clock;
pub mod theme;
pub mod table;
pub mod spark;
pub mod status;
pub mod key_line;
pub mod overlay;
pub mod screen;

//! The drawing kit: theme, tables, text that fits, what lies around the panes, and the gate before the terminal.
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

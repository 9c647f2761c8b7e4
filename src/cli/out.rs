//! Output for people and programs: aligned tables, JSON documents, messages.
//! A closed pipe (`| head`) ends the program quietly.

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

pub use crate::domain::exit::Exit;
use crate::domain::fault::Fault;
use crate::domain::units::Stamp;
use crate::ui::ansi;

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(u8::from(exit))
    }
}

/// One line of data to stdout, as it is: outside text is cleaned by whoever puts it into a line.
pub fn line(text: &str) {
    // Where nobody reads any more, the rest is for nobody.
    drop(written(text));
}

/// As [`line()`], for who stops when nobody reads any more.
pub fn written(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush())
}

/// One JSON document to stdout.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(error) => words(&format!("could not write JSON: {error}")),
    }
}

/// One JSON document on one line.
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    written(&serde_json::to_string(value)?)
}

/// A moment as RFC 3339 in UTC, to the millisecond.
#[must_use]
pub fn time(at: Stamp) -> String {
    let at = jiff::Timestamp::from_nanosecond(at.0.into()).unwrap_or_default();
    format!("{at:.3}")
}

/// A line of words to stderr, cleaned. Where even stderr is gone there is nobody to tell.
pub fn words(text: &str) {
    let cleaned: Vec<_> = text.lines().map(ansi::clean).collect();
    drop(writeln!(io::stderr().lock(), "{}", cleaned.join("\n")));
}

/// `could not …: why` and its hint, to stderr.
pub fn fault(fault: &Fault) {
    words(&fault.to_string());
    if let Some(hint) = &fault.hint {
        words(&format!("  hint: {hint}"));
    }
}

/// Rows under their headings, each column as wide as its widest cell; cells are cleaned here.
pub fn table<const COLUMNS: usize>(headings: [&str; COLUMNS], rows: &[[String; COLUMNS]]) {
    let rows: Vec<[String; COLUMNS]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| ansi::clean(cell).into_owned()))
        .collect();
    let mut widths = headings.map(UnicodeWidthStr::width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let row_written = |row: &[String; COLUMNS]| {
        let padded: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width()))))
            .collect();
        written(padded.join("  ").trim_end())
    };
    // Stops at the first line that nobody reads.
    drop(row_written(&headings.map(str::to_owned)).and_then(|()| rows.iter().try_for_each(row_written)));
}

/// A question to stderr, without a line end.
pub fn ask(question: &str) {
    let mut err = io::stderr().lock();
    drop(write!(err, "{}", ansi::clean(question)).and_then(|()| err.flush()));
}

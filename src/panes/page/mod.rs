//! A page of text that can be scrolled and searched; its rows are made by the pane that shows it.
//! Knows tones, not colours; colours are up to the view.

pub mod view;

use regex::Regex;

use crate::app::cursor::Motion;
use crate::panes::logs::index;

/// What words mean on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Text,
    Dim,
    Ok,
    Busy,
    Warn,
    Bad,
    Accent,
}

/// One row: words beside each other.
pub type Row = Vec<(Tone, String)>;

#[must_use]
pub fn row(tone: Tone, text: impl Into<String>) -> Row {
    vec![(tone, text.into())]
}

/// A name and what it is, the names under each other.
#[must_use]
pub fn entry(name: &str, columns: usize, tone: Tone, text: impl Into<String>) -> Row {
    vec![(Tone::Dim, format!("{name:<columns$}")), (tone, text.into())]
}

/// Where one is on the page.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    top: usize,
    search: Option<Regex>,
    bad: Option<String>,
    /// The row that the last search came to.
    found: Option<usize>,
}

impl Reader {
    #[must_use]
    pub fn top(&self, rows: usize, height: usize) -> usize {
        self.top.min(rows.saturating_sub(height))
    }

    #[must_use]
    pub fn pattern(&self) -> Option<&Regex> {
        self.search.as_ref()
    }

    #[must_use]
    pub fn bad(&self) -> Option<&str> {
        self.bad.as_deref()
    }

    pub fn step(&mut self, motion: Motion, rows: usize, height: usize) {
        let last = rows.saturating_sub(height);
        self.top = motion.from(self.top.min(last), last + 1, height);
        self.found = None;
    }

    /// As it is typed; without text nothing is searched for.
    pub fn search(&mut self, text: &str) {
        self.found = None;
        self.bad = None;
        match index::pattern(text) {
            _ if text.is_empty() => self.search = None,
            Ok(regex) => self.search = Some(regex),
            Err(why) => self.bad = Some(why),
        }
    }

    /// Was something searched for?
    pub fn clear(&mut self) -> bool {
        self.bad = None;
        self.search.take().is_some()
    }

    /// Goes to the next row that matches, or the one before; from either end on to the other.
    pub fn seek(&mut self, forward: bool, rows: &[Row], height: usize) -> bool {
        let Some(regex) = &self.search else {
            return false;
        };
        let matches = |at: &usize| rows.get(*at).is_some_and(|row| regex.is_match(&plain(row)));
        let top = self.top(rows.len(), height);
        let found = if forward {
            let from = self.found.map_or(top, |row| row + 1);
            (from..rows.len()).chain(0..from.min(rows.len())).find(matches)
        } else {
            let from = self.found.unwrap_or(top).min(rows.len());
            (0..from).rev().chain((from..rows.len()).rev()).find(matches)
        };
        if let Some(row) = found {
            let last = rows.len().saturating_sub(height);
            if !(top..top + height).contains(&row) {
                self.top = row.saturating_sub(height / 2).min(last);
            }
            self.found = found;
        }
        found.is_some()
    }
}

#[must_use]
pub fn plain(row: &Row) -> String {
    row.iter().map(|(_, text)| text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        (0..30)
            .map(|number| row(Tone::Text, format!("row {number}")))
            .collect()
    }

    #[test]
    fn a_page_ends_with_its_last_row_at_the_bottom() {
        let mut reader = Reader::default();
        reader.step(Motion::Bottom, 30, 10);
        assert_eq!(reader.top(30, 10), 20);
        reader.step(Motion::PageDown, 30, 10);
        assert_eq!(reader.top(30, 10), 20);
        assert_eq!(reader.top(5, 10), 0, "it became shorter");
    }

    #[test]
    fn a_search_goes_round() {
        let mut reader = Reader::default();
        reader.search("row 2");
        let rows = rows();
        let mut seen = Vec::new();
        for _ in 0..12 {
            assert!(reader.seek(true, &rows, 10));
            seen.push(reader.found.unwrap());
        }
        assert_eq!(seen, [2, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 2]);
        assert!(reader.seek(false, &rows, 10));
        assert_eq!(reader.found, Some(29));
        reader.search("(");
        assert_eq!(reader.bad(), Some("unclosed group"));
    }
}

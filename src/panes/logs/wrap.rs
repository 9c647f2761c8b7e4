//! Where long lines are broken into rows, used for counting and for drawing.
//! Breaks wherever a row is full, not at words.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// The byte ranges of a clean line's rows, each at most so many columns; an empty line is one empty row.
#[must_use]
pub fn rows(line: &str, columns: usize) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let (mut start, mut taken) = (0, 0);
    for (at, c) in line.char_indices() {
        let wide = c.width().unwrap_or(0);
        if taken + wide > columns && taken > 0 {
            rows.push(start..at);
            (start, taken) = (at, 0);
        }
        taken += wide;
    }
    rows.push(start..line.len());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_full_and_whole() {
        assert_eq!(rows("abcdefgh", 3), [0..3, 3..6, 6..8]);
        assert_eq!(rows("日本語", 4), [0..6, 6..9]);
        assert_eq!(rows("", 4).len(), 1);
        assert_eq!(rows("日本", 1), [0..3, 3..6]);
    }
}

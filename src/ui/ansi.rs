//! The last step before the terminal: makes text from outside safe, applies its SGR colours, truncates it to columns.
//! Truncates between characters; never exceeds the requested columns.

use std::borrow::Cow;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;
use unicode_width::UnicodeWidthChar;

use crate::domain::text::{self, Atom, Line, atoms};

/// The text as one safe line, without colours: for names, states, messages.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    text::plain(text)
}

/// Columns that a clean text takes. Joined glyphs count as their parts: too wide at worst, never too narrow.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// The longest beginning of a clean text that fits, with the columns it takes.
#[must_use]
pub fn cut(text: &str, most: usize) -> (&str, usize) {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        let wide = columns(c);
        if taken + wide > most {
            return (text.get(..at).unwrap_or_default(), taken);
        }
        taken += wide;
    }
    (text, taken)
}

/// What is left of a clean text after its first columns; a wide character that is cut through leaves a blank.
#[must_use]
pub fn after(text: &str, columns_gone: usize) -> Cow<'_, str> {
    let (head, taken) = cut(text, columns_gone);
    let rest = text.get(head.len()..).unwrap_or_default();
    let mut characters = rest.chars();
    match characters.next() {
        Some(c) if taken < columns_gone && columns(c) > 1 => Cow::Owned(format!(" {}", characters.as_str())),
        _ => Cow::Borrowed(rest),
    }
}

/// The clean text itself if it fits, otherwise its beginning and `more` (`…`, or its ASCII twin).
#[must_use]
pub fn fit<'a>(text: &'a str, most: usize, more: &str) -> Cow<'a, str> {
    if cut(text, most).0.len() == text.len() {
        return Cow::Borrowed(text);
    }
    let (mark, mark_width) = cut(more, most);
    let (head, _) = cut(text, most - mark_width);
    Cow::Owned(format!("{head}{mark}"))
}

/// The clean text itself if it fits, otherwise a little of its beginning, `more`, and its end: of names that begin
/// alike the end is what tells them apart.
#[must_use]
pub fn fit_middle<'a>(text: &'a str, most: usize, more: &str) -> Cow<'a, str> {
    let all = width(text);
    if all <= most {
        return Cow::Borrowed(text);
    }
    let room = most.saturating_sub(width(more));
    if room < 4 {
        return fit(text, most, more);
    }
    let (head, taken) = cut(text, room / 3);
    let tail = after(text, all - (room - taken));
    Cow::Owned(format!("{head}{more}{tail}"))
}

/// Exactly so many columns: cut with `more`, or blanks on the right.
#[must_use]
pub fn pad(text: &str, columns: usize, more: &str) -> String {
    let fitted = fit(text, columns, more);
    let blank = columns - width(&fitted).min(columns);
    format!("{fitted}{}", " ".repeat(blank))
}

/// Exactly so many columns: cut with `more`, or blanks on the left; for numbers.
#[must_use]
pub fn pad_left(text: &str, columns: usize, more: &str) -> String {
    let fitted = fit(text, columns, more);
    let blank = columns - width(&fitted).min(columns);
    format!("{}{fitted}", " ".repeat(blank))
}

/// A clean text in rows of at most so many columns, broken at blanks where that costs at most a third of the row.
#[must_use]
pub fn rows(text: &str, columns: usize) -> Vec<&str> {
    let mut rows = Vec::new();
    let mut rest = text;
    loop {
        let (mut row, _) = cut(rest, columns.max(1));
        if row.len() < rest.len() && !rest.get(row.len()..).is_some_and(|next| next.starts_with(' ')) {
            let floor = row.len() * 2 / 3;
            if let Some(blank) = row.rfind(' ').filter(|&at| at >= floor && at > 0) {
                row = row.get(..=blank).unwrap_or(row);
            }
        }
        if row.is_empty() && !rest.is_empty() {
            // A wide character in one column: it cannot be shown there.
            rest = rest
                .char_indices()
                .nth(1)
                .and_then(|(at, _)| rest.get(at..))
                .unwrap_or_default();
            continue;
        }
        rows.push(row.trim_end());
        rest = rest.get(row.len()..).unwrap_or_default();
        if rest.is_empty() {
            return rows;
        }
        rest = rest.strip_prefix(' ').unwrap_or(rest);
    }
}

/// A line of a log as safe text with the colours it brought. Backgrounds, blinking and concealment are left out, and
/// black and white stay the terminal's own colour: what was written can be read on any background.
#[must_use]
pub fn coloured(text: &str) -> Vec<Span<'static>> {
    let mut style = Style::new();
    let mut line = Line::new();
    for atom in atoms(text) {
        match atom {
            Atom::Sgr(codes) => style = after_codes(style, codes),
            other => line.push(other, style),
        }
    }
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (c, style) in line.into_characters() {
        match spans.last_mut() {
            Some(last) if last.style == style => last.content.to_mut().push(c),
            _ => spans.push(Span::styled(c.to_string(), style)),
        }
    }
    spans
}

/// ECMA-48 §8.3.117, with the indexed and direct colours of ITU T.416 in both spellings (`38;5;n`, `38:5:n`).
fn after_codes(mut style: Style, codes: &str) -> Style {
    let mut groups = codes.split(';');
    while let Some(group) = groups.next() {
        if let Some((code, parts)) = group.split_once(':') {
            style = match code {
                "4" if parts != "0" => style.add_modifier(Modifier::UNDERLINED),
                "38" => foreground(
                    style,
                    extended(&mut parts.split(':').filter(|part| !part.is_empty())),
                ),
                _ => style,
            };
            continue;
        }
        style = match group.parse::<u16>().unwrap_or(0) {
            0 if group.chars().all(|c| c == '0') => Style::new(),
            1 => style.add_modifier(Modifier::BOLD),
            2 => style.add_modifier(Modifier::DIM),
            3 => style.add_modifier(Modifier::ITALIC),
            4 => style.add_modifier(Modifier::UNDERLINED),
            7 => style.add_modifier(Modifier::REVERSED),
            9 => style.add_modifier(Modifier::CROSSED_OUT),
            22 => without(style, Modifier::BOLD | Modifier::DIM),
            23 => without(style, Modifier::ITALIC),
            24 => without(style, Modifier::UNDERLINED),
            27 => without(style, Modifier::REVERSED),
            29 => without(style, Modifier::CROSSED_OUT),
            code @ (30..=37 | 90..=97) => foreground(style, basic(code)),
            38 => foreground(style, extended(&mut groups)),
            48 | 58 => {
                extended(&mut groups);
                style
            }
            39 => foreground(style, None),
            _ => style,
        };
    }
    style
}

fn without(style: Style, modifier: Modifier) -> Style {
    Style {
        add_modifier: style.add_modifier - modifier,
        ..style
    }
}

fn foreground(style: Style, fg: Option<Color>) -> Style {
    Style { fg, ..style }
}

fn basic(code: u16) -> Option<Color> {
    match code {
        31 => Some(Color::Red),
        32 => Some(Color::Green),
        33 => Some(Color::Yellow),
        34 => Some(Color::Blue),
        35 => Some(Color::Magenta),
        36 => Some(Color::Cyan),
        90 => Some(Color::DarkGray),
        91 => Some(Color::LightRed),
        92 => Some(Color::LightGreen),
        93 => Some(Color::LightYellow),
        94 => Some(Color::LightBlue),
        95 => Some(Color::LightMagenta),
        96 => Some(Color::LightCyan),
        _ => None,
    }
}

fn extended<'a>(numbers: &mut impl Iterator<Item = &'a str>) -> Option<Color> {
    let mut byte = || numbers.next().and_then(|number| number.parse::<u8>().ok());
    match byte()? {
        5 => match byte()? {
            0 | 7 | 15 => None,
            index @ 1..=6 => basic(30 + u16::from(index)),
            index @ 8..=14 => basic(82 + u16::from(index)),
            index => Some(Color::Indexed(index)),
        },
        2 => {
            let (red, green, blue) = (byte()?, byte()?, byte()?);
            Some(Color::Rgb(red, green, blue))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(fit_middle("monitoring/grafana", 12, "…"), "mon…/grafana");
        assert_eq!(fit_middle("grafana", 12, "…"), "grafana");
        for most in 0..20 {
            assert!(width(&fit_middle("監視/日本語の名前", most, "…")) <= most);
        }
    }

    #[test]
    fn cutting_never_splits_a_wide_character() {
        assert_eq!(cut("日本語", 4), ("日本", 4));
        assert_eq!(cut("日本語", 5), ("日本", 4));
        assert_eq!(fit("日本語", 5, "…"), "日本…");
        assert_eq!(after("日本語", 1), " 本語");
        assert_eq!(pad("ab", 4, "…"), "ab  ");
        assert_eq!(pad_left("12 %", 6, "…"), "  12 %");
        assert_eq!(fit("abc", 0, "…"), "");
    }

    #[test]
    fn rows_break_at_blanks_where_that_is_near() {
        assert_eq!(rows("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(rows("abcdefghijkl", 5), ["abcde", "fghij", "kl"]);
        assert_eq!(rows("", 5), [""]);
        assert_eq!(rows("a 日", 1), ["a", ""]);
    }

    #[test]
    fn colours_come_along_and_what_would_hide_text_does_not() {
        let spans = coloured("a\u{1b}[1;31mb\u{1b}[38;5;208mc\u{1b}[0;30;40;8md\u{1b}[38;2;1;2;3me\u{1b}[mf");
        let shown: Vec<_> = spans
            .iter()
            .map(|span| (span.content.as_ref(), span.style.fg))
            .collect();
        assert_eq!(
            shown,
            [
                ("a", None),
                ("b", Some(Color::Red)),
                ("c", Some(Color::Indexed(208))),
                ("d", None),
                ("e", Some(Color::Rgb(1, 2, 3))),
                ("f", None),
            ]
        );
        assert_eq!(spans[1].style.add_modifier, Modifier::BOLD);
    }

    #[test]
    fn codes_that_make_no_sense_change_nothing() {
        for codes in ["38", "38;5", "38;2;1", "999999999", "48;5", "4:0"] {
            assert_eq!(after_codes(Style::new(), codes), Style::new(), "{codes}");
        }
        let colon = after_codes(Style::new(), "38:5:208");
        assert_eq!(colon.fg, Some(Color::Indexed(208)));
    }

    proptest! {
        #[test]
        fn no_control_character_comes_out_of_a_coloured_line(text in ".{0,40}|(\u{1b}\\[[0-9;]{0,9}m.){0,9}") {
            for span in coloured(&text) {
                prop_assert!(!span.content.chars().any(char::is_control));
            }
        }

        #[test]
        fn width_never_exceeds(text in "\\PC{0,40}", most in 0_usize..50) {
            let text = clean(&text);
            let by_ratatui = |part: &str| unicode_width::UnicodeWidthStr::width(part);
            prop_assert!(by_ratatui(cut(&text, most).0) <= most);
            prop_assert!(by_ratatui(&fit(&text, most, "…")) <= most);
            prop_assert_eq!(width(&pad(&text, most, "…")), most);
            for row in rows(&text, most) {
                prop_assert!(by_ratatui(row) <= most.max(1));
            }
        }
    }
}

//! Text from outside, split into what is shown, what colours it, and what would only act on a terminal.
//! Text that leaves here cannot move the cursor, reorder a line or hide a character.

use std::borrow::Cow;
use std::str::Chars;

/// Terminals show tabs so, and so do we.
const TAB: usize = 8;

/// More marks than this on one letter is not a language any more.
const MOST_MARKS: usize = 4;

/// One thing of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Atom<'a> {
    Char(char),
    /// `ESC [ … m`: the parameters, digits with `;` and `:`.
    Sgr(&'a str),
    /// What follows overwrites the line: `\r`, or the cursor sent to the first column.
    Return,
    /// Takes the character before it back.
    Backspace,
    Tab,
    /// A control character of no meaning here.
    Control,
}

/// The atoms of a text, escape sequences but SGR already left out.
#[derive(Clone, Debug)]
pub struct Atoms<'a> {
    rest: Chars<'a>,
    /// A search for a string's end failed once, so it fails for the whole rest: keeps hostile lines linear.
    endless: bool,
}

#[must_use]
pub fn atoms(text: &str) -> Atoms<'_> {
    Atoms {
        rest: text.chars(),
        endless: false,
    }
}

impl<'a> Iterator for Atoms<'a> {
    type Item = Atom<'a>;

    fn next(&mut self) -> Option<Atom<'a>> {
        loop {
            let atom = match self.rest.next()? {
                '\u{1b}' => self.escape(),
                '\u{9b}' => self.control_sequence(),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.skip_string(),
                '\r' => Some(Atom::Return),
                '\t' | '\n' => Some(Atom::Tab),
                '\u{8}' => Some(Atom::Backspace),
                c if c.is_control() => Some(Atom::Control),
                c if is_invisible(c) => None,
                c => Some(Atom::Char(c)),
            };
            if atom.is_some() {
                return atom;
            }
        }
    }
}

impl<'a> Atoms<'a> {
    /// After ESC (ECMA-48 §5.3, §5.6).
    fn escape(&mut self) -> Option<Atom<'a>> {
        match self.peek()? {
            '[' => {
                self.rest.next();
                self.control_sequence()
            }
            ']' | 'P' | 'X' | '^' | '_' => {
                self.rest.next();
                self.skip_string()
            }
            ' '..='/' => {
                self.skip_while(|c| matches!(c, ' '..='/'));
                if self.peek().is_some_and(|c| matches!(c, '0'..='~')) {
                    self.rest.next();
                }
                None
            }
            '0'..='~' => {
                self.rest.next();
                None
            }
            _ => None,
        }
    }

    /// After CSI: parameters, intermediates, one final. What breaks off is dropped as far as it went.
    fn control_sequence(&mut self) -> Option<Atom<'a>> {
        let parameters = self.skip_while(|c| matches!(c, '0'..='?'));
        let intermediates = self.skip_while(|c| matches!(c, ' '..='/'));
        let end = self.peek().filter(|c| matches!(c, '@'..='~'))?;
        self.rest.next();
        let plain = intermediates.is_empty()
            && parameters
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, ';' | ':'));
        match (end, parameters) {
            ('m', _) if plain => Some(Atom::Sgr(parameters)),
            ('G', "" | "0" | "1") if plain => Some(Atom::Return),
            _ => None,
        }
    }

    /// OSC, DCS and their kin up to their end. Without an end only the introducer goes, so that nobody hides the
    /// rest of a line with one.
    fn skip_string(&mut self) -> Option<Atom<'a>> {
        if self.endless {
            return None;
        }
        let mut ahead = self.rest.clone();
        while let Some(c) = ahead.next() {
            let ends = match c {
                '\u{7}' | '\u{9c}' => true,
                '\u{1b}' => ahead.as_str().starts_with('\\'),
                _ => false,
            };
            if ends {
                if c == '\u{1b}' {
                    ahead.next();
                }
                self.rest = ahead;
                return None;
            }
        }
        self.endless = true;
        None
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn skip_while(&mut self, takes: impl Fn(char) -> bool) -> &'a str {
        let whole = self.rest.as_str();
        while self.peek().is_some_and(&takes) {
            self.rest.next();
        }
        whole
            .get(..whole.len() - self.rest.as_str().len())
            .unwrap_or_default()
    }
}

/// Takes up no column, or changes the order or the width of what is beside it: joiners, bidi controls, variation
/// selectors, skin tones, tags, fillers.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A mark that sits on the letter before it.
fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}'
            | '\u{483}'..='\u{489}'
            | '\u{1ab0}'..='\u{1aff}'
            | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}'
            | '\u{fe20}'..='\u{fe2f}'
    )
}

/// Builds a line of text from atoms, with what a terminal would do to it: overwriting, backspace, tabs.
/// `S` is whatever goes with each character (its style; nothing).
#[derive(Clone, Debug, Default)]
pub struct Line<S> {
    characters: Vec<(char, S)>,
    overwritten: bool,
    marks: usize,
}

impl<S: Copy> Line<S> {
    #[must_use]
    pub fn new() -> Self {
        Self {
            characters: Vec::new(),
            overwritten: false,
            marks: 0,
        }
    }

    /// SGR is the caller's.
    pub fn push(&mut self, atom: Atom<'_>, with: S) {
        match atom {
            Atom::Char(c) => self.character(c, with),
            Atom::Tab => {
                let column = if self.overwritten {
                    0
                } else {
                    self.characters.len()
                };
                for _ in column % TAB..TAB {
                    self.character(' ', with);
                }
            }
            Atom::Control => self.character(char::REPLACEMENT_CHARACTER, with),
            Atom::Return => self.overwritten = true,
            Atom::Backspace => drop(self.characters.pop()),
            Atom::Sgr(_) => {}
        }
    }

    #[must_use]
    pub fn into_characters(self) -> Vec<(char, S)> {
        self.characters
    }

    fn character(&mut self, c: char, with: S) {
        if std::mem::take(&mut self.overwritten) {
            self.characters.clear();
        }
        if is_mark(c) {
            self.marks += 1;
            if self.marks > MOST_MARKS || self.characters.is_empty() {
                return;
            }
        } else {
            self.marks = 0;
        }
        self.characters.push((c, with));
    }
}

/// The text as one line that is safe to show, without its colours.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let untouched = |c: char| !c.is_control() && (c.is_ascii() || !(is_invisible(c) || is_mark(c)));
    if text.chars().all(untouched) {
        return Cow::Borrowed(text);
    }
    let mut line = Line::new();
    for atom in atoms(text) {
        line.push(atom, ());
    }
    line.into_characters().into_iter().map(|(c, ())| c).collect()
}

/// The beginning of a sentence.
#[must_use]
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, shown: &str) {
        assert_eq!(plain(text), shown);
    }

    #[test]
    fn plain_text_passes_untouched() {
        assert!(matches!(plain("web-1 listening on :80 – ok"), Cow::Borrowed(_)));
        check("naïve 日本語 🙂", "naïve 日本語 🙂");
    }

    #[test]
    fn escape_sequences_of_every_kind_are_left_out() {
        check("\u{1b}[31mred\u{1b}[0m", "red");
        check("\u{1b}[2J\u{1b}[10;10Hgone", "gone");
        check("a\u{1b}]0;title\u{7}b\u{1b}]52;c;aGk=\u{1b}\\c", "abc");
        check("a\u{1b}P1$r0m\u{1b}\\b\u{1b}_x\u{9c}c\u{1b}^y\u{7}d", "abcd");
        check("a\u{1b}(Bb\u{1b}cc\u{1b}#8d", "abcd");
        check("\u{9b}31mred \u{9d}0;title\u{9c}end", "red end");
        check("\u{1b}[?1049hx\u{1b}[>4;2my\u{1b}[ qz", "xyz");
    }

    #[test]
    fn what_breaks_off_hides_nothing_that_follows() {
        check("\u{1b}]0;never closed", "0;never closed");
        check("\u{1b}[31", "");
        check("\u{1b}[3\u{e9}t\u{e9}", "\u{e9}t\u{e9}");
        check("end\u{1b}", "end");
    }

    #[test]
    fn control_characters_are_seen_but_do_nothing() {
        check(
            "a\0b\u{7}c\u{7f}d\u{85}e",
            "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e",
        );
    }

    #[test]
    fn text_cannot_be_reordered_or_joined() {
        check("user\u{202e}nimda\u{2066}\u{200b}\u{200d}\u{feff}", "usernimda");
        check("👩\u{200d}🚀 ❤\u{fe0f} 👍\u{1f3fd}", "👩🚀 ❤ 👍");
    }

    #[test]
    fn a_progress_line_shows_its_last_state() {
        check("10 %\r50 %\r100 %", "100 %");
        check("dos line\r", "dos line");
        check("10 %\u{1b}[1G\u{1b}[K100 %", "100 %");
        check("abd\u{8}c", "abc");
    }

    #[test]
    fn tabs_become_spaces_up_to_the_next_stop() {
        check("a\tb", "a       b");
        check("12345678\tb", "12345678        b");
    }

    #[test]
    fn marks_without_end_are_cut_short() {
        let tall = format!("a{}b", "\u{301}".repeat(500));
        assert_eq!(plain(&tall).chars().count(), 2 + MOST_MARKS);
        check("\u{301}a", "a");
    }

    #[test]
    fn a_hostile_line_takes_linear_time() {
        let line = "\u{1b}]".repeat(200_000);
        assert_eq!(plain(&line), "");
    }

    /// Text rich in what matters here.
    fn outside() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\u{1b}[".to_owned()),
            Just("\u{1b}]".to_owned()),
            Just("\u{1b}".to_owned()),
            Just("\u{9b}".to_owned()),
            Just("\u{7}".to_owned()),
            Just("\r".to_owned()),
            Just("\u{202e}".to_owned()),
            "[0-9;:]{0,4}[mKHG]",
            "[\\x00-\\x1f\\x7f\\u{80}-\\u{9f}]",
            "\\PC{0,6}",
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_control_character_ever_comes_out(text in outside()) {
            let shown = plain(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_invisible(c)), "{shown:?}");
        }

        #[test]
        fn cleaning_twice_changes_nothing_more(text in outside()) {
            let once = plain(&text).into_owned();
            prop_assert_eq!(plain(&once), once.as_str());
        }
    }
}

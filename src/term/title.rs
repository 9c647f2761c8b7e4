//! Output to the terminal besides the screen: title, bell, notification. Plain text only.
//! Terminals that would print it get nothing.

use crate::config::Notify;
use crate::domain::text;

/// Windows and tabs show no more.
const LONGEST: usize = 120;

/// Keeps the title that is there (XTWINOPS 22), to be brought back.
pub const KEEP: &str = "\x1b[22;2t";
/// Ours goes; where a title was kept, it comes back (XTWINOPS 23).
pub const RESTORE: &str = "\x1b]2;\x07\x1b[23;2t";

/// Does this kind of terminal understand OSC? Those that do not would show its text.
#[must_use]
pub fn is_understood(term: Option<&str>) -> bool {
    const NOT: [&str; 8] = [
        "dumb", "linux", "cons25", "vt52", "vt100", "vt102", "vt220", "unknown",
    ];
    match term {
        None | Some("") => false,
        Some(term) => !NOT.contains(&term) && !term.starts_with("sun") && !term.starts_with("emacs"),
    }
}

#[must_use]
pub fn set(words: &str) -> String {
    format!("\x1b]2;{}\x07", plain(words))
}

/// Nothing where nobody asked for it.
#[must_use]
pub fn notify(how: Notify, words: &str) -> String {
    match how {
        Notify::Off => String::new(),
        Notify::Bell => "\x07".to_owned(),
        Notify::Osc9 => format!("\x1b]9;{}\x07", plain(words)),
    }
}

/// No control character gets out of it, and it begins with no digit: `OSC 9 ; 4` is a progress bar to some.
fn plain(words: &str) -> String {
    let text = text::plain(words);
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_ends_no_sequence_and_begins_none() {
        let evil = "shop\x07\x1b]52;c;Zg==\x07\u{9c}\u{9d}8;;http://x\x1b\\ done\n";
        let sent = set(evil);
        let inner = sent
            .strip_prefix("\x1b]2;")
            .unwrap()
            .strip_suffix('\x07')
            .unwrap();
        assert!(!inner.chars().any(char::is_control), "{inner:?}");
        assert!(inner.starts_with("shop"), "{inner:?}");
        assert_eq!(notify(Notify::Osc9, "4;1;50"), "\x1b]9;\x07");
        assert_eq!(notify(Notify::Bell, "x"), "\x07");
        assert_eq!(notify(Notify::Off, "x"), "");
    }

    #[test]
    fn terminals_without_titles_are_told_nothing() {
        for term in [None, Some(""), Some("dumb"), Some("linux"), Some("vt100")] {
            assert!(!is_understood(term), "{term:?}");
        }
        for term in ["xterm-256color", "tmux-256color", "screen", "foot", "xterm-kitty"] {
            assert!(is_understood(Some(term)), "{term}");
        }
    }
}

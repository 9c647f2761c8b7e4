//! Copies text to the clipboard of the user's terminal, also over ssh (OSC 52).
//! The terminal does not confirm it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// GNU screen passes on strings of at most 768 bytes, older ones of 256.
const SCREEN_PART: usize = 200;

/// What stands between us and the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    Nothing,
    Tmux,
    Screen,
}

impl Inside {
    /// By what they tell those who run in them. Of both, tmux is taken for the inner one.
    #[must_use]
    pub fn of(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
        match (is_set("TMUX"), is_set("STY")) {
            (true, _) => Self::Tmux,
            (false, true) => Self::Screen,
            (false, false) => Self::Nothing,
        }
    }
}

/// The bytes to write. Inside tmux in two ways, since none may work: as they are, for tmux itself (`set-clipboard on`: its
/// own buffer and the terminal's clipboard), and wrapped, for the terminal around it (`allow-passthrough on`, off since 3.3).
/// screen knows no clipboard: for the terminal around it, in parts, which arrive as one.
#[must_use]
pub fn copy(text: &str, inside: Inside) -> Vec<u8> {
    let digits = STANDARD.encode(text);
    let osc = format!("\x1b]52;c;{digits}\x1b\\");
    let bytes = match inside {
        Inside::Nothing => osc,
        Inside::Tmux => {
            let doubled = osc.replace('\x1b', "\x1b\x1b");
            format!("{osc}\x1bPtmux;{doubled}\x1b\\")
        }
        Inside::Screen => {
            // Ended by BEL: the other end would end what screen passes on.
            let osc = format!("\x1b]52;c;{digits}\x07");
            let parts = osc.as_bytes().chunks(SCREEN_PART);
            let parts = parts.map(|part| format!("\x1bP{}\x1b\\", String::from_utf8_lossy(part)));
            parts.collect()
        }
    };
    bytes.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_tmux_the_sequence_is_written_for_tmux_and_wrapped_for_the_terminal_around_it() {
        assert_eq!(copy("f", Inside::Nothing), b"\x1b]52;c;Zg==\x1b\\");
        let both = b"\x1b]52;c;Zg==\x1b\\\x1bPtmux;\x1b\x1b]52;c;Zg==\x1b\x1b\\\x1b\\";
        assert_eq!(copy("f", Inside::Tmux), both);
    }

    #[test]
    fn inside_screen_it_is_passed_on_in_parts_that_are_one_sequence() {
        assert_eq!(copy("f", Inside::Screen), b"\x1bP\x1b]52;c;Zg==\x07\x1b\\");
        let long = String::from_utf8(copy(&"f".repeat(900), Inside::Screen)).unwrap();
        let parts: Vec<&str> = long.split_terminator("\x1b\\").collect();
        assert!(
            parts.iter().all(|part| part.len() <= SCREEN_PART + 2),
            "{parts:?}"
        );
        let whole: String = parts
            .iter()
            .map(|part| part.strip_prefix("\x1bP").unwrap())
            .collect();
        assert_eq!(whole, format!("\x1b]52;c;{}\x07", "ZmZm".repeat(300)));
        let env = |set: &'static str| move |name: &str| (name == set).then(|| "x".to_owned());
        assert_eq!(Inside::of(&env("STY")), Inside::Screen);
        assert_eq!(Inside::of(&env("TMUX")), Inside::Tmux);
        assert_eq!(Inside::of(&env("TERM")), Inside::Nothing);
    }
}

//! Parses the terminal's input: bytes to keys and pastes.
//! Reads nothing itself; joins escape sequences that arrive in parts.

use crokey::KeyCombination;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Key(KeyCombination),
    Paste(String),
}

/// A longer sequence is none of a key.
const LONGEST_SEQUENCE: usize = 32;
/// What is pasted beyond it is dropped: it goes into one line of input.
const LONGEST_PASTE: usize = 64 * 1024;
const PASTE_END: &[u8] = b"\x1b[201~";

#[derive(Debug, Default)]
pub struct Parser {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// The first bytes of a character, and how many it has.
    Character(Vec<u8>, usize),
    Escape,
    /// `ESC O`
    Shifted,
    /// `ESC [` and what followed.
    Sequence(Vec<u8>),
    Paste(Vec<u8>),
}

impl Parser {
    pub fn feed(&mut self, bytes: &[u8], found: &mut impl Extend<Input>) {
        for byte in bytes {
            found.extend(self.byte(*byte));
        }
    }

    /// Is a sequence begun that may as well be the Escape key alone?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !matches!(self.state, State::Ground | State::Paste(_))
    }

    /// Nothing more came: what was begun is all there is.
    pub fn give_up(&mut self) -> Option<Input> {
        match std::mem::take(&mut self.state) {
            State::Escape => Some(key(KeyCode::Esc, KeyModifiers::NONE)),
            State::Shifted => Some(key(KeyCode::Char('O'), KeyModifiers::ALT)),
            State::Sequence(seen) if seen.is_empty() => Some(key(KeyCode::Char('['), KeyModifiers::ALT)),
            State::Ground | State::Character(..) | State::Sequence(_) | State::Paste(_) => None,
        }
    }

    fn byte(&mut self, byte: u8) -> Option<Input> {
        match std::mem::take(&mut self.state) {
            State::Ground => self.ground(byte, KeyModifiers::NONE),
            State::Character(mut seen, length) => {
                seen.push(byte);
                if byte & 0xc0 != 0x80 {
                    // It was no character; this byte begins anew.
                    return self.ground(byte, KeyModifiers::NONE);
                }
                if seen.len() < length {
                    self.state = State::Character(seen, length);
                    return None;
                }
                let c = std::str::from_utf8(&seen).ok()?.chars().next()?;
                Some(key(KeyCode::Char(c), KeyModifiers::NONE))
            }
            State::Escape => match byte {
                b'[' => {
                    self.state = State::Sequence(Vec::new());
                    None
                }
                b'O' => {
                    self.state = State::Shifted;
                    None
                }
                0x1b => {
                    self.state = State::Escape;
                    Some(key(KeyCode::Esc, KeyModifiers::NONE))
                }
                byte => self.ground(byte, KeyModifiers::ALT),
            },
            State::Shifted => named(byte, KeyModifiers::NONE),
            State::Sequence(seen) => self.sequence(seen, byte),
            State::Paste(mut text) => {
                text.push(byte);
                if text.ends_with(PASTE_END) {
                    text.truncate(text.len() - PASTE_END.len());
                    return Some(Input::Paste(String::from_utf8_lossy(&text).into_owned()));
                }
                if text.len() > LONGEST_PASTE + PASTE_END.len() {
                    // Keeps the beginning, and the end that may be the mark's.
                    text.remove(LONGEST_PASTE);
                }
                self.state = State::Paste(text);
                None
            }
        }
    }

    fn ground(&mut self, byte: u8, modifiers: KeyModifiers) -> Option<Input> {
        let control = modifiers | KeyModifiers::CONTROL;
        match byte {
            0x1b => {
                self.state = State::Escape;
                None
            }
            b'\r' | b'\n' => Some(key(KeyCode::Enter, modifiers)),
            b'\t' => Some(key(KeyCode::Tab, modifiers)),
            0x7f | 0x08 => Some(key(KeyCode::Backspace, modifiers)),
            0 => Some(key(KeyCode::Char(' '), control)),
            0x01..=0x1a => Some(key(KeyCode::Char(char::from(byte - 1 + b'a')), control)),
            0x1c..=0x1f => Some(key(KeyCode::Char(char::from(byte - 0x1c + b'4')), control)),
            0x20..=0x7e => Some(key(KeyCode::Char(char::from(byte)), modifiers)),
            0xc2..=0xdf => self.begin(byte, 2),
            0xe0..=0xef => self.begin(byte, 3),
            0xf0..=0xf4 => self.begin(byte, 4),
            0x80..=0xc1 | 0xf5..=0xff => None,
        }
    }

    fn begin(&mut self, byte: u8, length: usize) -> Option<Input> {
        self.state = State::Character(vec![byte], length);
        None
    }

    fn sequence(&mut self, mut seen: Vec<u8>, byte: u8) -> Option<Input> {
        // The Linux console's function keys: `ESC [ [ A`.
        if seen == b"[" {
            let number = byte.checked_sub(b'A').filter(|number| *number < 5)?;
            return Some(key(KeyCode::F(number + 1), KeyModifiers::NONE));
        }
        let is_final = (0x40..=0x7e).contains(&byte) && !(seen.is_empty() && byte == b'[');
        if !is_final {
            if byte == 0x1b {
                self.state = State::Escape;
            } else if seen.len() < LONGEST_SEQUENCE {
                seen.push(byte);
                self.state = State::Sequence(seen);
            }
            return None;
        }
        let text = String::from_utf8_lossy(&seen).into_owned();
        let mut numbers = text.split(';').map(|part| {
            part.split(':')
                .next()
                .unwrap_or_default()
                .parse::<u32>()
                .unwrap_or(1)
        });
        let first = numbers.next().unwrap_or(1);
        let modifiers = modifiers(numbers.next().unwrap_or(1));
        match (byte, first) {
            (b'~', 200) => {
                self.state = State::Paste(Vec::new());
                None
            }
            (b'~', number) => Some(key(numbered(number)?, modifiers)),
            (b'u', code) => Some(key(KeyCode::Char(char::from_u32(code)?), modifiers)),
            _ => named(byte, modifiers),
        }
    }
}

/// xterm: one more than the bits of Shift, Alt and Control.
fn modifiers(number: u32) -> KeyModifiers {
    let bits = number.saturating_sub(1);
    [
        (1, KeyModifiers::SHIFT),
        (2, KeyModifiers::ALT),
        (4, KeyModifiers::CONTROL),
    ]
    .into_iter()
    .filter(|(bit, _)| bits & bit != 0)
    .fold(KeyModifiers::NONE, |all, (_, modifier)| all | modifier)
}

fn named(byte: u8, modifiers: KeyModifiers) -> Option<Input> {
    let code = match byte {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'H' => KeyCode::Home,
        b'F' => KeyCode::End,
        b'P' => KeyCode::F(1),
        b'Q' => KeyCode::F(2),
        b'R' => KeyCode::F(3),
        b'S' => KeyCode::F(4),
        b'M' => KeyCode::Enter,
        b'Z' => return Some(key(KeyCode::BackTab, modifiers | KeyModifiers::SHIFT)),
        _ => return None,
    };
    Some(key(code, modifiers))
}

fn numbered(number: u32) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(u8::try_from(number - 10).ok()?),
        17..=21 => KeyCode::F(u8::try_from(number - 11).ok()?),
        23 | 24 => KeyCode::F(u8::try_from(number - 12).ok()?),
        _ => return None,
    })
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> Input {
    Input::Key(KeyCombination::from(KeyEvent::new(code, modifiers)).normalized())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crokey::key;

    fn read(pieces: &[&[u8]]) -> Vec<Input> {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for piece in pieces {
            parser.feed(piece, &mut found);
        }
        found.extend(parser.give_up());
        found
    }

    fn keys(bytes: &[u8]) -> Vec<KeyCombination> {
        read(&[bytes])
            .into_iter()
            .map(|input| match input {
                Input::Key(key) => key,
                Input::Paste(text) => panic!("pasted {text:?}"),
            })
            .collect()
    }

    #[test]
    fn letters_control_keys_and_arrows_are_what_the_keymap_calls_them() {
        assert_eq!(
            keys(b"dR\x03\x1a\r\t "),
            [
                key!(d),
                key!(shift - r),
                key!(ctrl - c),
                key!(ctrl - z),
                key!(enter),
                key!(tab),
                key!(space)
            ]
        );
        assert_eq!(
            keys(b"\x1b[A\x1bOB\x1b[5~\x1b[Z\x1b[1;5C\x7f"),
            [
                key!(up),
                key!(down),
                key!(pageup),
                key!(shift - backtab),
                key!(ctrl - right),
                key!(backspace)
            ]
        );
        assert_eq!(keys("é漢".as_bytes()), [key!('é'), key!('漢')]);
        assert_eq!(
            keys(b"\x1b[[A\x1bOP\x1b[15~\x1b[24~"),
            [key!(f1), key!(f1), key!(f5), key!(f12)]
        );
    }

    #[test]
    fn a_lone_escape_is_the_key_and_one_before_a_letter_is_alt() {
        assert_eq!(keys(b"\x1b"), [key!(esc)]);
        assert_eq!(keys(b"\x1b\x1b"), [key!(esc), key!(esc)]);
        assert_eq!(keys(b"\x1bb"), [key!(alt - b)]);
    }

    #[test]
    fn a_sequence_cut_in_two_is_one_key() {
        assert_eq!(read(&[b"\x1b", b"[", b"6", b"~"]), [Input::Key(key!(pagedown))]);
        assert_eq!(read(&[&[0xe6, 0xbc], &[0xa2]]), [Input::Key(key!('漢'))]);
    }

    #[test]
    fn a_paste_is_one_thing_and_bounded() {
        assert_eq!(
            read(&[b"\x1b[200~y\r", b"n\x1b[20", b"1~x"]),
            [Input::Paste("y\rn".into()), Input::Key(key!(x))]
        );
        let long = [b"\x1b[200~".as_slice(), &vec![b'a'; 2 * LONGEST_PASTE], PASTE_END].concat();
        assert!(
            matches!(&read(&[&long])[..], [Input::Paste(text)] if text.len() <= LONGEST_PASTE + PASTE_END.len())
        );
    }

    #[test]
    fn nonsense_is_survived() {
        let mut parser = Parser::default();
        let mut found = Vec::new();
        for seed in 0..20_000_u32 {
            let byte = seed.wrapping_mul(2_654_435_761).to_be_bytes()[0];
            parser.feed(&[byte], &mut found);
        }
    }
}

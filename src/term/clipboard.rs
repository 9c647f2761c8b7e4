//! Text to the clipboard of the person's own terminal, however far away that is (OSC 52).
//! Whether it arrived is never known: the terminal does not answer.

/// The bytes to write. Inside tmux in two ways, since none may work: as they are, for tmux itself (`set-clipboard on`: its
/// own buffer and the terminal's clipboard), and wrapped, for the terminal around it (`allow-passthrough on`, off since 3.3).
#[must_use]
pub fn copy(text: &str, in_tmux: bool) -> Vec<u8> {
    let mut osc = format!("\x1b]52;c;{}\x1b\\", base64(text.as_bytes()));
    if in_tmux {
        let wrapped = format!("\x1bPtmux;{}\x1b\\", osc.replace('\x1b', "\x1b\x1b"));
        osc.push_str(&wrapped);
    }
    osc.into_bytes()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = usize::try_from(word >> (18 - 6 * place) & 63).unwrap_or(0);
            match DIGITS.get(digit) {
                Some(digit) if place <= chunk.len() => text.push(char::from(*digit)),
                _ => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_rfc_4648_has_it() {
        let written = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(
            written,
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
        );
    }

    #[test]
    fn inside_tmux_the_sequence_is_written_for_tmux_and_wrapped_for_the_terminal_around_it() {
        assert_eq!(copy("f", false), b"\x1b]52;c;Zg==\x1b\\");
        let both = b"\x1b]52;c;Zg==\x1b\\\x1bPtmux;\x1b\x1b]52;c;Zg==\x1b\x1b\\\x1b\\";
        assert_eq!(copy("f", true), both);
    }
}

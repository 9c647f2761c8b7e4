//! Copies text to the terminal's clipboard (OSC 52) and builds the notice about it.
//! A terminal does not confirm a copy, so the notice states what was sent, not what arrived.

use super::effect::Effect;
use super::model::Model;
use crate::domain::units::Bytes;

/// Terminals cut or refuse longer ones (tmux: 1 MiB, many: 100 000 bytes of base64).
const LONGEST: usize = 74_000;
/// Characters that a notice shows as they are: a name, an id, a short line.
const SHOWN: usize = 60;

#[must_use]
pub(super) fn copy(model: &mut Model) -> Vec<Effect> {
    let text = crate::panes::copied(model);
    let sent = beginning(&text).to_owned();
    model.say(words(&text, &sent));
    vec![Effect::Copy(sent)]
}

fn words(text: &str, sent: &str) -> String {
    let bytes = |text: &str| Bytes(u64::try_from(text.len()).unwrap_or(u64::MAX));
    let lines = sent.lines().count();
    if sent.len() < text.len() {
        let (sent, all) = (bytes(sent), bytes(text));
        format!("copied the first {sent} of {all}, the most that a terminal accepts")
    } else if lines > 1 {
        format!("copied {lines} lines")
    } else if text.chars().count() > SHOWN {
        "copied one line".to_owned()
    } else {
        format!("copied {text}")
    }
}

/// As much of it as fits, cut between characters.
fn beginning(text: &str) -> &str {
    let end = (0..=text.len().min(LONGEST))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_that_is_said() {
        let long = "é".repeat(LONGEST);
        let sent = beginning(&long);
        assert!(sent.len() <= LONGEST && sent.len() >= LONGEST - 1);
        assert!(
            words(&long, sent).starts_with("copied the first "),
            "{}",
            words(&long, sent)
        );
    }

    #[test]
    fn lines_are_counted_and_a_name_is_shown() {
        assert_eq!(words("shop.r42.1", "shop.r42.1"), "copied shop.r42.1");
        assert_eq!(words("a\nb\nc", "a\nb\nc"), "copied 3 lines");
        let line = "x".repeat(SHOWN + 1);
        assert_eq!(words(&line, &line), "copied one line");
    }
}

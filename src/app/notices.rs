//! Messages to the user: answers to keys, results, faults.
//! A result stays until it was seen; an answer to a key disappears with the next key.

use std::collections::VecDeque;

use crate::domain::fault::Fault;
use crate::domain::units::Stamp;

/// Older ones are in Pilothouse's own log.
const KEPT: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Why a key has no effect now.
    Answer,
    Done,
    Bad,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub at: Stamp,
    pub tone: Tone,
    pub text: String,
    pub hint: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Notices {
    /// Oldest first.
    kept: VecDeque<Notice>,
    /// How many of the newest are unread.
    unread: usize,
}

impl Notices {
    pub fn answer(&mut self, at: Stamp, text: impl Into<String>) {
        self.push(at, Tone::Answer, text.into(), None);
    }

    pub fn done(&mut self, at: Stamp, text: impl Into<String>) {
        self.push(at, Tone::Done, text.into(), None);
    }

    pub fn fault(&mut self, at: Stamp, fault: &Fault) {
        self.push(at, Tone::Bad, fault.to_string(), fault.hint.clone());
    }

    fn push(&mut self, at: Stamp, tone: Tone, text: String, hint: Option<String>) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(Notice { at, tone, text, hint });
        self.unread = (self.unread + 1).min(self.kept.len());
    }

    /// The newest unread notice, and the number of further ones.
    #[must_use]
    pub fn current(&self) -> Option<(&Notice, usize)> {
        let more = self.unread.checked_sub(1)?;
        self.kept.back().map(|notice| (notice, more))
    }

    /// Removes the answer to the previous key.
    pub fn key_pressed(&mut self) {
        while self.unread > 0 && self.kept.back().is_some_and(|notice| notice.tone == Tone::Answer) {
            self.kept.pop_back();
            self.unread -= 1;
        }
    }

    /// Marks all as read; returns whether there were any.
    pub fn dismiss(&mut self) -> bool {
        std::mem::take(&mut self.unread) > 0
    }

    /// Newest first.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Notice> {
        self.kept.iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_with_the_next_key_and_a_result_stays_until_dismissed() {
        let mut notices = Notices::default();
        notices.done(Stamp(0), "stopped api");
        notices.answer(Stamp(1), "select a container first");
        notices.key_pressed();
        assert_eq!(
            notices.current().map(|(notice, _)| notice.text.as_str()),
            Some("stopped api")
        );
        assert!(notices.dismiss());
        assert!(notices.current().is_none());
        assert_eq!(notices.iter().len(), 1);
    }
}

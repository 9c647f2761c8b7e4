//! The steps of a run: what is done on a daemon, one file each.
//! A step does and verifies; whether and when it is taken is decided elsewhere.

pub mod ignore;
mod context;
pub mod git;
pub mod build;
pub mod test;
pub mod image;
mod answer;
mod archive;
mod shell;
pub mod replicas;
pub mod survey;
pub mod lock;
pub mod ledger;
pub mod create;
pub mod carry;
pub mod gate;
pub mod command;

use crate::domain::fault::Fault;

/// What a step tells while it works.
pub trait Progress: Send {
    /// What it does now, in a few words; replaces what was said before.
    fn text(&mut self, now: &str);
    /// A line of output, as it came: kept, bounded by whoever keeps it.
    fn line(&mut self, line: &str);
}

/// `could not build shop:3f2a91c on builder: it was cancelled`
fn cancelled(what: &str) -> Fault {
    Fault::new(what, "it was cancelled")
}

/// Gathers output into lines; a line without an end is handed on in pieces.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Docker's own pieces: what is longer was not written for people.
    const LONGEST: usize = 16 << 10;

    fn push(&mut self, bytes: &[u8], progress: &mut dyn Progress) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = Self::LONGEST.saturating_sub(self.rest.len());
            if piece.len() > room {
                self.finish(progress);
            }
            for part in piece.chunks(Self::LONGEST) {
                self.rest.extend_from_slice(part);
                if part.ends_with(b"\n") || part.len() == Self::LONGEST {
                    self.finish(progress);
                }
            }
        }
    }

    /// Hands on what has no line end yet.
    fn finish(&mut self, progress: &mut dyn Progress) {
        if self.rest.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&self.rest);
        progress.line(text.trim_end_matches(['\n', '\r']));
        self.rest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Progress for Vec<String> {
        fn text(&mut self, _now: &str) {}

        fn line(&mut self, line: &str) {
            self.push(line.to_owned());
        }
    }

    #[test]
    fn pieces_become_lines_and_a_line_without_end_is_handed_on_bounded() {
        let mut lines = Lines::default();
        let mut told: Vec<String> = Vec::new();
        lines.push(b"one\r\ntw", &mut told);
        lines.push(b"o\n\nthree", &mut told);
        lines.finish(&mut told);
        assert_eq!(told, ["one", "two", "", "three"]);
        told.clear();
        for _ in 0..100 {
            lines.push(&[b'x'; 1000], &mut told);
        }
        lines.finish(&mut told);
        assert_eq!(told.iter().map(String::len).sum::<usize>(), 100_000);
        assert!(told.iter().all(|line| line.len() <= Lines::LONGEST));
    }
}

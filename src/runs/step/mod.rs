//! The steps of a run: what is done on a daemon, one file each.
//! A step acts and verifies; whether and when it is run is decided elsewhere.

pub mod ignore;
mod context;
pub mod git;
pub mod build;
pub mod test;
pub mod image;
pub mod lent;
mod registry;
pub mod space;
pub mod push;
pub mod pull;
pub(in crate::runs) mod answer;
mod archive;
mod files;
mod shell;
pub mod replicas;
pub mod survey;
pub mod adopt;
mod found;
pub mod fence;
pub mod lease;
pub mod lock;
pub mod ledger;
pub mod create;
pub mod carry;
pub mod under_way;
pub mod gate;
pub mod probe;
pub mod spent;
pub mod command;
pub mod orphans;

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

/// Gathers output into lines. Of a line without an end the beginning is handed on, and later how much of it was left out:
/// pieces of it could hold half a secret each.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
    /// Bytes of the present line that were left out; absent while it is short.
    left_out: Option<u64>,
}

impl Lines {
    /// Docker's own pieces: what is longer was not written for people.
    const LONGEST: usize = 16 << 10;

    fn push(&mut self, bytes: &[u8], progress: &mut dyn Progress) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (line, ends) = match piece.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (piece, false),
            };
            let room = match self.left_out {
                Some(_) => 0,
                None => Self::LONGEST.saturating_sub(self.rest.len()),
            };
            let (kept, out) = line.split_at_checked(room).unwrap_or((line, &[]));
            self.rest.extend_from_slice(kept);
            if !out.is_empty() {
                self.hand_on(progress);
                let before = self.left_out.unwrap_or(0);
                self.left_out = Some(before.saturating_add(out.len() as u64));
            }
            if ends {
                self.end(progress);
            }
        }
    }

    /// Hands on what has no line end yet.
    fn finish(&mut self, progress: &mut dyn Progress) {
        if !self.rest.is_empty() || self.left_out.is_some() {
            self.end(progress);
        }
    }

    fn end(&mut self, progress: &mut dyn Progress) {
        match self.left_out.take() {
            Some(bytes) => progress.line(&format!("… {bytes} bytes of this line are left out")),
            None => self.hand_on(progress),
        }
    }

    /// The beginning of a line, once.
    fn hand_on(&mut self, progress: &mut dyn Progress) {
        if self.left_out.is_none() {
            progress.line(String::from_utf8_lossy(&self.rest).trim_end_matches('\r'));
            self.rest.clear();
        }
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
        lines.push(b"\nnext\n", &mut told);
        assert_eq!(told[0].len(), Lines::LONGEST);
        let left_out = format!("… {} bytes of this line are left out", 100_000 - Lines::LONGEST);
        assert_eq!(told[1..], [left_out, "next".to_owned()]);
    }
}

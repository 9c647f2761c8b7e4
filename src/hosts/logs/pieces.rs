//! Joins pieces of output to lines, each with the daemon's timestamp.
//! A line longer than 16 KiB arrives in pieces with a timestamp each; a line without an end is truncated and marked.

use crate::domain::logs::Stream;
use crate::domain::units::Stamp;

/// Longer lines are truncated, to bound memory.
const LONGEST_LINE: usize = 1 << 20;
/// Docker splits output into pieces of this size (moby `daemon/logger/copier.go`).
const PIECE: usize = 16 << 10;
/// `2026-11-21T09:00:00.123456789+01:00 ` is the longest.
const LONGEST_MOMENT: usize = 40;

/// One line, joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Stamp,
    pub(super) stream: Stream,
    pub(super) text: Box<str>,
}

/// Incomplete lines, one per stream.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    out: Part,
    err: Part,
    console: Part,
    notice: Part,
}

#[derive(Debug, Default)]
struct Part {
    at: Option<Stamp>,
    text: Vec<u8>,
    /// Bytes dropped because the line is too long.
    cut: usize,
    /// Length of the current piece; only used for TTY streams.
    piece: usize,
    /// Bytes of an incomplete timestamp; only used for TTY streams.
    moment: Vec<u8>,
}

impl Pieces {
    /// Adds one frame; it begins with a timestamp.
    pub(super) fn framed(&mut self, stream: Stream, frame: &[u8], lines: &mut Vec<Line>) {
        let part = match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
            Stream::Console => &mut self.console,
            Stream::Notice => &mut self.notice,
        };
        for piece in frame.split_inclusive(|&byte| byte == b'\n') {
            let (at, text) = split_moment(piece);
            if part.at.is_none() {
                part.at = at;
            }
            match text.strip_suffix(b"\n") {
                Some(text) => {
                    part.add(text);
                    part.finish(stream, lines);
                }
                None => part.add(text),
            }
        }
    }

    /// Adds bytes of a TTY stream, split anywhere. Each line and each piece begins with a timestamp.
    pub(super) fn raw(&mut self, bytes: &[u8], lines: &mut Vec<Line>) {
        let part = &mut self.console;
        let mut rest = bytes;
        while let Some((&first, after)) = rest.split_first() {
            if part.piece == 0 || part.piece > PIECE {
                // In the moment before a line or a piece.
                rest = after;
                part.moment.push(first);
                if first == b' ' || first == b'\n' || part.moment.len() > LONGEST_MOMENT {
                    let moment = std::mem::take(&mut part.moment);
                    let (at, text) = split_moment(&moment);
                    if part.at.is_none() {
                        part.at = at;
                    }
                    part.piece = 1;
                    if first == b'\n' {
                        part.add(text.strip_suffix(b"\n").unwrap_or(text));
                        part.finish(Stream::Console, lines);
                        part.piece = 0;
                    } else {
                        part.add(text);
                        part.piece += text.len();
                    }
                }
                continue;
            }
            let room = PIECE + 1 - part.piece;
            let end = rest.iter().take(room).position(|&byte| byte == b'\n');
            let (text, after) = rest.split_at(end.unwrap_or(room.min(rest.len())));
            part.add(text);
            part.piece += text.len();
            rest = after;
            if let Some((b'\n', after)) = rest.split_first().map(|(first, after)| (*first, after)) {
                part.finish(Stream::Console, lines);
                part.piece = 0;
                rest = after;
            }
        }
    }

    /// Ends the stream; an incomplete line becomes a line.
    pub(super) fn end(&mut self, lines: &mut Vec<Line>) {
        for (part, stream) in [
            (&mut self.out, Stream::Out),
            (&mut self.err, Stream::Err),
            (&mut self.console, Stream::Console),
            (&mut self.notice, Stream::Notice),
        ] {
            if !part.text.is_empty() {
                part.finish(stream, lines);
            }
        }
    }
}

impl Part {
    fn add(&mut self, text: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.text.len());
        let (kept, cut) = text.split_at(room.min(text.len()));
        self.text.extend_from_slice(kept);
        self.cut += cut.len();
    }

    fn finish(&mut self, stream: Stream, lines: &mut Vec<Line>) {
        while self.text.last() == Some(&b'\r') {
            self.text.pop();
        }
        let mut text = String::from_utf8_lossy(&self.text).into_owned();
        if self.cut > 0 {
            text.push_str(" … (the line is longer: ");
            text.push_str(&self.cut.to_string());
            text.push_str(" bytes left out)");
        }
        // Keeps its room for the next line unless this one was extraordinary.
        if self.text.capacity() > PIECE * 2 {
            self.text = Vec::new();
        } else {
            self.text.clear();
        }
        self.cut = 0;
        lines.push(Line {
            at: self.at.take().unwrap_or_default(),
            stream,
            text: text.into_boxed_str(),
        });
    }
}

/// `2026-11-21T09:00:00.123456789Z text` → the moment and the text; without a moment, all of it.
fn split_moment(piece: &[u8]) -> (Option<Stamp>, &[u8]) {
    let head = piece.get(..piece.len().min(LONGEST_MOMENT)).unwrap_or_default();
    // A line of nothing may come without the blank.
    let end = head
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\n' | b'\r'))
        .unwrap_or(head.len());
    let (moment, rest) = piece.split_at(end);
    let at = std::str::from_utf8(moment)
        .ok()
        .and_then(|moment| moment.parse::<jiff::Timestamp>().ok())
        .and_then(|at| i64::try_from(at.as_nanosecond()).ok());
    match at {
        Some(nanos) => (Some(Stamp(nanos)), rest.strip_prefix(b" ").unwrap_or(rest)),
        None => (None, piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1970-01-01T00:00:01.000000001Z ";
    const TWO: &str = "1970-01-01T00:00:02.000000000Z ";

    fn texts(lines: &[Line]) -> Vec<(i64, Stream, &str)> {
        lines
            .iter()
            .map(|line| (line.at.0, line.stream, &*line.text))
            .collect()
    }

    #[test]
    fn pieces_are_joined_until_the_line_end_and_keep_the_first_moment() {
        let (mut pieces, mut lines) = (Pieces::default(), Vec::new());
        pieces.framed(Stream::Out, format!("{ONE}abc").as_bytes(), &mut lines);
        pieces.framed(Stream::Err, format!("{TWO}err\n").as_bytes(), &mut lines);
        pieces.framed(Stream::Out, format!("{TWO}def\n").as_bytes(), &mut lines);
        assert_eq!(
            texts(&lines),
            [
                (2_000_000_000, Stream::Err, "err"),
                (1_000_000_001, Stream::Out, "abcdef")
            ]
        );
    }

    #[test]
    fn a_line_of_nothing_and_a_line_of_blanks_stay_what_they_are() {
        let (mut pieces, mut lines) = (Pieces::default(), Vec::new());
        pieces.framed(Stream::Out, format!("{ONE}\n").as_bytes(), &mut lines);
        pieces.framed(Stream::Out, format!("{ONE}  x\r\n").as_bytes(), &mut lines);
        assert_eq!(
            texts(&lines).iter().map(|line| line.2).collect::<Vec<_>>(),
            ["", "  x"]
        );
    }

    #[test]
    fn a_terminals_stream_is_the_same_wherever_it_is_cut() {
        let long = "x".repeat(PIECE);
        let all = format!("{ONE}short\r\n{TWO}{long}{TWO}tail\r\n{TWO}\r\n");
        for cut in [1, 7, 100, 20_000] {
            let (mut pieces, mut lines) = (Pieces::default(), Vec::new());
            for chunk in all.as_bytes().chunks(cut) {
                pieces.raw(chunk, &mut lines);
            }
            let expected = format!("{long}tail");
            assert_eq!(
                texts(&lines),
                [
                    (1_000_000_001, Stream::Console, "short"),
                    (2_000_000_000, Stream::Console, expected.as_str()),
                    (2_000_000_000, Stream::Console, ""),
                ],
                "cut every {cut} bytes"
            );
        }
    }

    #[test]
    fn a_line_that_never_ends_is_cut_and_said() {
        let (mut pieces, mut lines) = (Pieces::default(), Vec::new());
        let piece = format!("{ONE}{}", "y".repeat(PIECE));
        for _ in 0..70 {
            pieces.framed(Stream::Out, piece.as_bytes(), &mut lines);
        }
        pieces.framed(Stream::Out, format!("{ONE}\n").as_bytes(), &mut lines);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].text.len() < LONGEST_LINE + 100);
        assert!(lines[0].text.ends_with("98304 bytes left out)"));
    }
}

//! Removes the framing of a log stream, which tells stdout and stderr apart.
//! With a TTY there are no frames and everything is console output. Holds at most one frame.

use bytes::{Buf, Bytes, BytesMut};

use crate::domain::logs::Stream;

/// Daemons write pieces of 16 KiB; anything near this is not a log stream.
const LARGEST_FRAME: usize = 4 << 20;
const HEADER: usize = 8;

/// The data is not a log stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// Docker API, "Stream format": a byte for the stream, three zeros, the payload's length as big-endian `u32`.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Received data that is not parsed yet.
    ahead: BytesMut,
}

impl Frames {
    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.ahead.extend_from_slice(chunk);
    }

    pub(super) fn next(&mut self) -> Result<Option<(Stream, Bytes)>, Garbled> {
        let Some(&[kind, 0, 0, 0, a, b, c, d]) = self.ahead.first_chunk::<HEADER>() else {
            return if self.ahead.len() < HEADER {
                Ok(None)
            } else {
                Err(Garbled)
            };
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let stream = match kind {
            0 | 1 => Stream::Out,
            2 => Stream::Err,
            // The daemon's own words about the stream.
            3 => Stream::Notice,
            _ => return Err(Garbled),
        };
        if length > LARGEST_FRAME {
            return Err(Garbled);
        }
        if self.ahead.len() < HEADER + length {
            return Ok(None);
        }
        self.ahead.advance(HEADER);
        Ok(Some((stream, self.ahead.split_to(length).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.bytes());
        bytes
    }

    #[test]
    fn frames_cut_anywhere_come_out_whole() {
        let all = [frame(1, "one\n"), frame(2, "two\n"), frame(1, "")].concat();
        let mut frames = Frames::default();
        let mut seen = Vec::new();
        for byte in all {
            frames.push(&[byte]);
            while let Some((stream, text)) = frames.next().unwrap() {
                seen.push((stream, String::from_utf8(text.to_vec()).unwrap()));
            }
        }
        assert_eq!(
            seen,
            [
                (Stream::Out, "one\n".into()),
                (Stream::Err, "two\n".into()),
                (Stream::Out, String::new())
            ]
        );
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut frames = Frames::default();
        frames.push(b"<html><body>");
        assert_eq!(frames.next(), Err(Garbled));
    }
}

//! From the bytes that the engine sends as a container's output to pieces of lines with their times. No I/O, and no more memory
//! than the bytes at hand.
//!
//! Without a terminal the engine sends frames (eight bytes: the stream, three zeros, the length), each with a time and a line or a
//! part of a long one. With a terminal it sends a time before each line, and lines end in CR LF.

use bytes::{Buf, Bytes};
use ecep_proto::api::container::LogStream;

use crate::{clock::parse_rfc3339_nanos, engine::OutputPiece};

/// Bytes of a frame's head.
const HEAD: usize = 8;
/// A time is no longer than this; whatever is, is none.
const MAX_TIME: usize = 64;

/// Takes bytes as they come.
pub(super) struct Pieces {
    tty: bool,
    head: Vec<u8>,
    /// Bytes of the frame that are still to come.
    left: usize,
    stream: LogStream,
    /// The time before a text, as far as it has come; none within the text.
    time: Option<Vec<u8>>,
    /// When the last text of the stream was written, and whether its line is still open: of stdout, of stderr.
    lines: [(u64, bool); 2],
}

impl Pieces {
    pub(super) fn new(tty: bool) -> Self {
        Self {
            tty,
            head: Vec::with_capacity(HEAD),
            left: 0,
            stream: LogStream::Stdout,
            time: Some(Vec::new()),
            lines: [(0, false); 2],
        }
    }

    /// The pieces in the next bytes.
    pub(super) fn push(&mut self, mut bytes: Bytes, out: &mut impl Extend<OutputPiece>) {
        if self.tty {
            self.text(bytes, out);
            return;
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                let taken = bytes.len().min(HEAD - self.head.len());
                self.head.extend_from_slice(&bytes.split_to(taken));
                if self.head.len() == HEAD {
                    let is_stderr = self.head[0] == 2;
                    self.stream = if is_stderr { LogStream::Stderr } else { LogStream::Stdout };
                    let length = [self.head[4], self.head[5], self.head[6], self.head[7]];
                    self.left = u32::from_be_bytes(length) as usize;
                    self.head.clear();
                    self.time = Some(Vec::new());
                }
                continue;
            }
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            self.text(bytes.split_to(taken), out);
        }
    }

    fn text(&mut self, mut bytes: Bytes, out: &mut impl Extend<OutputPiece>) {
        let stream = self.stream;
        while !bytes.is_empty() {
            let line = &mut self.lines[usize::from(stream == LogStream::Stderr)];
            if let Some(time) = &mut self.time {
                let end = bytes.iter().position(|byte| *byte == b' ');
                let room = MAX_TIME - time.len();
                let taken = end.unwrap_or(bytes.len()).min(room);
                time.extend_from_slice(&bytes.split_to(taken));
                if end.is_some_and(|end| end <= room) {
                    bytes.advance(1);
                } else if time.len() < MAX_TIME {
                    continue;
                }
                let told = std::str::from_utf8(time).ok().and_then(parse_rfc3339_nanos);
                line.0 = told.unwrap_or(line.0);
                self.time = None;
                continue;
            }
            let (at, was_open) = *line;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let mut text = bytes.split_to(end.unwrap_or(bytes.len()));
            if end.is_some() {
                bytes.advance(1);
                if self.tty {
                    if text.ends_with(b"\r") {
                        text.truncate(text.len() - 1);
                    }
                    self.time = Some(Vec::new());
                }
            }
            line.1 = end.is_none();
            out.extend([OutputPiece { at, stream, begins: !was_open, ends: end.is_some(), text }]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    /// Whole lines out of pieces: time, stream, text.
    fn lines(tty: bool, parts: &[&[u8]]) -> Vec<(u64, LogStream, String)> {
        let (mut pieces, mut out) = (Pieces::new(tty), Vec::new());
        parts.iter().for_each(|part| pieces.push(Bytes::copy_from_slice(part), &mut out));
        let mut lines: Vec<(u64, LogStream, String)> = Vec::new();
        for piece in out {
            let text = String::from_utf8_lossy(&piece.text).into_owned();
            if piece.begins {
                lines.push((piece.at, piece.stream, text));
            } else {
                let open = lines.iter_mut().rfind(|line| line.1 == piece.stream).unwrap();
                open.2.push_str(&text);
            }
        }
        lines
    }

    fn sample() -> Vec<u8> {
        [
            frame(1, "1970-01-01T00:00:01.000000000Z a long "),
            frame(2, "1970-01-01T00:00:02.000000001Z oops\n"),
            frame(1, "1970-01-01T00:00:03.000000000Z line\n"),
            frame(1, "1970-01-01T00:00:04.000000000Z \n"),
        ]
        .concat()
    }

    proptest! {
        /// However the bytes are cut on their way, no text is lost, doubled or swapped.
        #[test]
        fn lines_come_whole_out_of_any_parts(cuts in proptest::collection::vec(0usize..200, 0..8)) {
            let whole = sample();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(whole.len())).collect();
            cuts.extend([0, whole.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &whole[pair[0]..pair[1]]).collect();
            let second = 1_000_000_000;
            prop_assert_eq!(lines(false, &parts), vec![
                (second, LogStream::Stdout, "a long line".to_owned()),
                (2 * second + 1, LogStream::Stderr, "oops".to_owned()),
                (4 * second, LogStream::Stdout, String::new()),
            ]);
        }

        /// No bytes may panic it.
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..300), tty in any::<bool>()) {
            lines(tty, &[&bytes]);
        }
    }

    /// A terminal's output has no frames, and ends its lines in CR LF.
    #[test]
    fn a_terminals_output_is_read_too() {
        let told = lines(true, &[b"1970-01-01T00:00:01Z a b\r", b"\n1970-01-01T00:00:02Z ", b"c\r\n"]);
        let texts: Vec<&str> = told.iter().map(|line| line.2.as_str()).collect();
        assert_eq!(texts, ["a b\r", "c"], "a CR that came before its LF stays, it does no harm");
        assert_eq!(told[1].0, 2_000_000_000);
    }
}

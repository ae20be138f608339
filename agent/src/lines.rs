//! From pieces of output to lines that a person reads, each within a bound, and to a text with a time before each line. No I/O.

use ecep_channel::output::MAX_LINE_BYTES;
use ecep_proto::api::container::{LogLine, LogStream};

use crate::{clock::format_rfc3339, engine::OutputPiece};

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;

/// Puts pieces together; what is longer than a line may be is cut, and the line says so.
#[derive(Default)]
pub(crate) struct Lines {
    open: [Option<Open>; 2],
}

struct Open {
    at: u64,
    text: Vec<u8>,
    cut: bool,
}

impl Lines {
    /// The line that ends with this piece, if one does.
    pub(crate) fn push(&mut self, piece: &OutputPiece) -> Option<LogLine> {
        let stream = piece.stream;
        let slot = &mut self.open[usize::from(stream == LogStream::Stderr)];
        let open = slot.get_or_insert_with(|| Open { at: piece.at, text: Vec::new(), cut: false });
        let room = MAX_LINE_BYTES - open.text.len();
        open.text.extend_from_slice(&piece.text[..piece.text.len().min(room)]);
        open.cut |= piece.text.len() > room;
        if piece.ends { slot.take().map(|open| open.line(stream)) } else { None }
    }

    /// Lines that have no end yet.
    pub(crate) fn finish(&mut self) -> impl Iterator<Item = LogLine> {
        let streams = [LogStream::Stdout, LogStream::Stderr];
        let open = std::mem::take(&mut self.open);
        streams.into_iter().zip(open).filter_map(|(stream, open)| Some(open?.line(stream)))
    }
}

impl Open {
    fn line(self, stream: LogStream) -> LogLine {
        let text = String::from_utf8_lossy(&self.text).into_owned();
        LogLine { at: self.at / MILLISECOND, stream, text, cut: self.cut }
    }
}

/// Writes pieces as a text. Nothing is cut, and nothing is kept.
#[derive(Default)]
pub(crate) struct Text {
    /// Whose line is open in the text.
    within: Option<LogStream>,
}

impl Text {
    pub(crate) fn push(&mut self, piece: &OutputPiece, out: &mut Vec<u8>) {
        if piece.begins || self.within != Some(piece.stream) {
            if self.within.is_some() {
                out.push(b'\n');
            }
            out.extend_from_slice(format_rfc3339(piece.at).as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(&piece.text);
        self.within = Some(piece.stream);
        if piece.ends {
            out.push(b'\n');
            self.within = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: LogStream, begins: bool, ends: bool, text: &str) -> OutputPiece {
        OutputPiece { at: 1_500_000_000, stream, begins, ends, text: text.to_owned().into() }
    }

    /// A line without an end must not fill the memory, and whoever reads must learn that something is left off.
    #[test]
    fn a_long_line_is_cut_and_says_so() {
        let mut lines = Lines::default();
        let part = "x".repeat(MAX_LINE_BYTES / 2 + 1);
        for begins in [true, false, false] {
            assert!(lines.push(&piece(LogStream::Stdout, begins, false, &part)).is_none());
        }
        let short = lines.push(&piece(LogStream::Stderr, true, true, "short")).unwrap();
        assert_eq!((short.at, short.text.as_str(), short.cut), (1_500, "short", false));
        let long = lines.push(&piece(LogStream::Stdout, false, true, "")).unwrap();
        assert_eq!((long.text.len(), long.cut), (MAX_LINE_BYTES, true));
        lines.push(&piece(LogStream::Stdout, true, false, "open"));
        assert_eq!(lines.finish().map(|line| line.text).collect::<Vec<_>>(), ["open"]);
        assert_eq!(lines.finish().count(), 0);
    }

    /// Two streams that write parts of lines in turn give a text in which each part has its time.
    #[test]
    fn the_text_has_a_time_before_each_line() {
        let (mut text, mut out) = (Text::default(), Vec::new());
        for piece in [
            piece(LogStream::Stdout, true, false, "a "),
            piece(LogStream::Stdout, false, false, "long "),
            piece(LogStream::Stderr, true, true, "oops"),
            piece(LogStream::Stdout, false, true, "line"),
            piece(LogStream::Stdout, true, true, ""),
        ] {
            text.push(&piece, &mut out);
        }
        let time = "1970-01-01T00:00:01.5Z";
        let wanted = format!("{time} a long \n{time} oops\n{time} line\n{time} \n");
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
}

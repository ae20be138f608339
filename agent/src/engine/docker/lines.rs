//! From pieces of output to whole lines with their times, within a bounded size. No I/O.
//!
//! The engine puts a time before each line; long lines come in several pieces, each with a time. With a
//! terminal there is one stream, and lines end in CR LF.

use std::collections::VecDeque;

use bollard::container::LogOutput;
use ecep_proto::api::container::{LogLine, LogLines, LogStream};

use crate::{clock::parse_rfc3339, engine::LogWindow};

/// Longest line that is passed on; the rest of it is left off.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// What a line costs beside its text, on the wire.
const LINE_OVERHEAD: usize = 64;

pub(super) struct LineCollector {
    window: LogWindow,
    tty: bool,
    lines: VecDeque<LogLine>,
    bytes: usize,
    truncated: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl LineCollector {
    pub(super) fn new(window: LogWindow, tty: bool) -> Self {
        let (stdout, stderr) = (Vec::new(), Vec::new());
        Self { window, tty, lines: VecDeque::new(), bytes: 0, truncated: false, stdout, stderr }
    }

    pub(super) fn push(&mut self, piece: LogOutput) {
        let stream = match piece {
            LogOutput::StdErr { .. } => LogStream::Stderr,
            _ => LogStream::Stdout,
        };
        for part in piece.as_ref().split_inclusive(|byte| *byte == b'\n') {
            let pending = match stream {
                LogStream::Stdout => &mut self.stdout,
                LogStream::Stderr => &mut self.stderr,
            };
            // A later piece of the same line brings its own time, which is not part of the text.
            let continued = !pending.is_empty() && !self.tty;
            let part = if continued { split_time(part).map_or(part, |(_, text)| text) } else { part };
            let room = (2 * MAX_LINE_BYTES).saturating_sub(pending.len());
            let ends = part.ends_with(b"\n");
            self.truncated |= part.len() > room;
            pending.extend_from_slice(&part[..part.len().min(room)]);
            if ends {
                let line = std::mem::take(pending);
                self.line(stream, &line);
            }
        }
    }

    pub(super) fn finish(mut self) -> LogLines {
        for (stream, rest) in [
            (LogStream::Stdout, std::mem::take(&mut self.stdout)),
            (LogStream::Stderr, std::mem::take(&mut self.stderr)),
        ] {
            if !rest.is_empty() {
                self.line(stream, &rest);
            }
        }
        LogLines { lines: self.lines.into(), truncated: self.truncated }
    }

    fn line(&mut self, stream: LogStream, line: &[u8]) {
        let Some((at, text)) = split_time(line) else { return };
        if self.window.since.is_some_and(|since| at < since) {
            return;
        }
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let cut = text.len() > MAX_LINE_BYTES;
        self.truncated |= cut;
        let text = String::from_utf8_lossy(&text[..text.len().min(MAX_LINE_BYTES)]).into_owned();
        self.bytes += text.len() + LINE_OVERHEAD;
        self.lines.push_back(LogLine { at, stream, text, cut });
        let most = usize::try_from(self.window.tail).unwrap_or(usize::MAX);
        while self.bytes > self.window.max_bytes || self.lines.len() > most {
            self.truncated |= self.bytes > self.window.max_bytes;
            match self.lines.pop_front() {
                Some(oldest) => self.bytes -= oldest.text.len() + LINE_OVERHEAD,
                None => break,
            }
        }
    }
}

fn split_time(line: &[u8]) -> Option<(u64, &[u8])> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let at = parse_rfc3339(std::str::from_utf8(&line[..space]).ok()?)?;
    Some((at, &line[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: LogWindow = LogWindow { tail: 100, since: None, max_bytes: 10_000 };

    fn stdout(text: &str) -> LogOutput {
        LogOutput::StdOut { message: text.to_owned().into() }
    }

    fn texts(lines: &LogLines) -> Vec<&str> {
        lines.lines.iter().map(|line| line.text.as_str()).collect()
    }

    /// A long line comes in pieces, and the streams come mixed; no text may be lost, doubled or swapped.
    #[test]
    fn pieces_become_whole_lines() {
        let mut collector = LineCollector::new(WINDOW, false);
        collector.push(stdout("1970-01-01T00:00:01.000000000Z first "));
        collector.push(LogOutput::StdErr { message: "1970-01-01T00:00:02Z oops\n".into() });
        collector.push(stdout("1970-01-01T00:00:03Z half\n"));
        collector.push(stdout("1970-01-01T00:00:04Z no end"));
        let lines = collector.finish();
        assert_eq!(texts(&lines), ["oops", "first half", "no end"]);
        assert_eq!((lines.lines[0].at, lines.lines[0].stream), (2_000, LogStream::Stderr));
        assert_eq!(lines.lines[1].at, 1_000);
        assert!(!lines.truncated);
    }

    /// A terminal's lines end in CR LF, and may hold what is no UTF-8.
    #[test]
    fn a_terminals_output_is_read_too() {
        let mut collector = LineCollector::new(WINDOW, true);
        collector.push(LogOutput::Console { message: b"1970-01-01T00:00:01Z a\xffb\r\n".to_vec().into() });
        assert_eq!(texts(&collector.finish()), ["a\u{fffd}b"]);
    }

    /// A talker must not make an answer that no router passes on; the newest lines are what is wanted.
    #[test]
    fn the_oldest_lines_give_way_to_the_size() {
        let mut collector = LineCollector::new(LogWindow { max_bytes: 300, ..WINDOW }, false);
        for second in 0..10 {
            collector.push(stdout(&format!("1970-01-01T00:00:0{second}Z {}\n", "x".repeat(30))));
        }
        let lines = collector.finish();
        assert!(lines.truncated);
        assert_eq!(lines.lines.len(), 3);
        assert_eq!(lines.lines[2].at, 9_000);
    }

    /// `since` counts milliseconds; the engine knows only seconds.
    #[test]
    fn lines_before_since_are_left_out() {
        let mut collector = LineCollector::new(LogWindow { since: Some(1_500), ..WINDOW }, false);
        collector.push(stdout("1970-01-01T00:00:01.400Z early\n1970-01-01T00:00:01.500Z late\n"));
        assert_eq!(texts(&collector.finish()), ["late"]);
    }
}

//! The last lines of what a build or a container has said, for the error that somebody must act on. No I/O.

use std::collections::VecDeque;

/// Lines that are kept.
const LINES: usize = 40;
/// Bytes of a line that are kept.
const LINE_BYTES: usize = 400;

/// The last lines.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    open: String,
    bytes: u64,
}

impl Tail {
    /// More was said.
    pub(crate) fn push(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        for piece in text.split_inclusive('\n') {
            let line = piece.trim_end_matches(['\n', '\r']);
            let room = LINE_BYTES.saturating_sub(self.open.len());
            let mut is_in_escape = false;
            let text = line.chars().filter(|c| {
                // Colours and moves of a terminal's cursor, such as ESC [ 31 m, are left out.
                let is_part = is_in_escape || *c == '\u{1b}';
                is_in_escape = is_part && !c.is_ascii_alphabetic();
                !is_part && (!c.is_control() || *c == '\t')
            });
            self.open.extend(text.take(room));
            if piece.ends_with('\n') {
                self.end_line();
            }
        }
    }

    /// Bytes that were said in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is left of it.
    pub(crate) fn into_text(mut self) -> String {
        self.end_line();
        Vec::from(self.lines).join("\n")
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.open);
        if line.trim().is_empty() {
            return;
        }
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A build that talks for hours must not fill memory, and its end is what tells why it failed.
    #[test]
    fn the_end_is_kept_and_no_more() {
        let mut tail = Tail::default();
        (0..1000).for_each(|number| tail.push(&format!("step {number}\n")));
        tail.push(&"x".repeat(10_000));
        tail.push("\nthe\u{1b}[31m end");
        let text = tail.into_text();
        assert!(text.ends_with("the end") && text.contains("step 999\n") && !text.contains("step 900"));
        assert!(text.len() < LINES * (LINE_BYTES + 1));
    }
}

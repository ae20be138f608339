//! Where the frames of a WebSocket begin and end: the library does not tell what it holds, so their headers are read
//! beside it. Must not judge them: what is wrong is for the library to say.

/// The longest header: two bytes, eight of length, four of mask (RFC 6455, section 5.2).
const HEADER_BYTES: usize = 14;

/// How far a client's frames have come.
#[derive(Debug, Default)]
pub(super) struct FrameEnds {
    /// What has come of a header.
    header: [u8; HEADER_BYTES],
    header_length: usize,
    /// The content of the frame, and what is missing of it.
    length: u64,
    missing: u64,
    /// The frame is a part of a message, not a control frame; and it is the last part.
    is_data: bool,
    is_last: bool,
    /// The content of a message's frames that are complete, if there are more to come.
    fragments: Option<u64>,
}

impl FrameEnds {
    /// Goes on by what was read.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.missing == 0 {
                let wanted = self.header_wants();
                let (more, rest) = bytes.split_at(wanted.min(bytes.len()));
                self.header[self.header_length..][..more.len()].copy_from_slice(more);
                self.header_length += more.len();
                bytes = rest;
                if self.header_wants() > 0 {
                    continue;
                }
                self.begin();
            } else {
                let passed = self.missing.min(bytes.len() as u64);
                self.missing -= passed;
                bytes = &bytes[passed as usize..];
            }
            if self.missing == 0 {
                self.end();
            }
        }
    }

    /// How many bytes of the header are missing, as far as is known.
    fn header_wants(&self) -> usize {
        let [_, second, ..] = self.header;
        let whole = match self.header_length {
            0 | 1 => 2,
            _ => {
                let length = match second & 0x7f {
                    126 => 2,
                    127 => 8,
                    _ => 0,
                };
                2 + length + if second & 0x80 == 0 { 0 } else { 4 }
            }
        };
        whole - self.header_length
    }

    fn begin(&mut self) {
        let [first, second, long @ ..] = self.header;
        let [a, b, c, d, e, f, g, h, ..] = long;
        self.length = match second & 0x7f {
            126 => u16::from_be_bytes([a, b]).into(),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            short => short.into(),
        };
        self.missing = self.length;
        self.is_data = first & 0x08 == 0;
        self.is_last = first & 0x80 != 0;
        self.header_length = 0;
    }

    fn end(&mut self) {
        if !self.is_data {
            return;
        }
        let fragments = self.fragments.unwrap_or(0).saturating_add(self.length);
        self.fragments = (!self.is_last).then_some(fragments);
    }

    /// Nothing has come in part: neither a frame nor a message.
    pub(super) fn is_whole(&self) -> bool {
        self.header_length == 0 && self.missing == 0 && self.fragments.is_none()
    }

    /// How much memory what has come in part takes when its frame is complete. The library copies fragments into one
    /// buffer, which grows to twice of what is in it; in powers of two, so that it is not asked for with each of them.
    pub(super) fn needs(&self) -> usize {
        let frame = if self.missing > 0 { self.length } else { 0 };
        let bytes = match self.fragments {
            Some(fragments) => fragments.saturating_mul(2).saturating_add(frame).checked_next_power_of_two(),
            None => Some(frame),
        };
        bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes come, the ends of frames are where they are: headers longer than they need be, fragments and
    /// control frames between them.
    #[test]
    fn ends_are_found() {
        let mut wire = Vec::new();
        let mut ends = Vec::new();
        let mut add = |header: &[u8], length: usize, whole: bool| {
            wire.extend_from_slice(header);
            wire.extend(std::iter::repeat_n(0, 4 + length));
            if whole {
                ends.push(wire.len());
            }
        };
        add(&[0x81, 0x83], 3, true);
        add(&[0x82, 0xfe, 0, 3], 3, true);
        add(&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 3], 3, true);
        add(&[0x01, 0x83], 3, false);
        add(&[0x89, 0x81], 1, false);
        add(&[0x00, 0x80], 0, false);
        add(&[0x80, 0xfe, 1, 0], 256, true);
        add(&[0x8a, 0x80], 0, true);
        for step in [1, 2, 7, 100] {
            let (mut frames, mut passed) = (FrameEnds::default(), 0);
            for bytes in wire.chunks(step) {
                frames.pass(bytes);
                passed += bytes.len();
                assert_eq!(
                    frames.is_whole(),
                    ends.contains(&passed),
                    "after {passed} bytes in steps of {step}"
                );
                assert!(!frames.is_whole() || frames.needs() == 0);
            }
            assert!(frames.is_whole());
        }
    }

    /// What a message will take is known from its header, and fragments add up.
    #[test]
    fn lengths_are_known_early() {
        let mut frames = FrameEnds::default();
        frames.pass(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(frames.needs(), 0, "the header is not complete");
        frames.pass(&[0; 4]);
        assert_eq!(frames.needs(), 1 << 16);
        frames.pass(&vec![0; 1 << 16]);
        assert!(frames.is_whole());
        frames.pass(&[0x02, 0xfe, 0x40, 0, 0, 0, 0, 0]);
        frames.pass(&vec![0; 1 << 14]);
        assert!(!frames.is_whole());
        assert_eq!(frames.needs(), 1 << 15, "a fragment of 16 KiB, in the library's buffer");
        frames.pass(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(frames.needs(), usize::MAX);
    }
}

//! Writing.

use std::io::Write;

use super::Encoding;

/// Writes one message to the end of a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    encoding: Encoding,
    bytes: &'a mut Vec<u8>,
    /// In JSON: the next element has one before it.
    follows: bool,
}

impl<'a> Writer<'a> {
    /// Adds to `bytes`.
    pub fn new(encoding: Encoding, bytes: &'a mut Vec<u8>) -> Self {
        Self { encoding, bytes, follows: false }
    }

    /// Begins a list of so many elements.
    pub fn list(&mut self, count: u64) {
        self.begin(b'[', (0x90, 15, 0xdc), 4, count);
    }

    /// Ends it.
    pub fn end_list(&mut self) {
        self.end(b']');
    }

    /// Begins a dictionary of so many pairs of a key and a value.
    pub fn map(&mut self, count: u64) {
        self.begin(b'{', (0x80, 15, 0xde), 5, count);
    }

    /// Ends it.
    pub fn end_map(&mut self) {
        self.end(b'}');
    }

    /// The key of the value that comes next.
    pub fn key(&mut self, key: &str) {
        self.text(key.as_bytes());
        if self.encoding == Encoding::Json {
            self.bytes.push(b':');
            self.follows = false;
        }
    }

    /// A whole number.
    pub fn number(&mut self, number: u64) {
        match self.encoding {
            Encoding::Json => {
                self.separate();
                // Only a failing writer can fail; a Vec does not.
                let _ = write!(self.bytes, "{number}");
            }
            Encoding::Cbor => self.cbor(0, number),
            Encoding::MsgPack => match number {
                0..0x80 => self.bytes.push(number as u8),
                0x80..=0xff => self.bytes.extend([0xcc, number as u8]),
                0x100..=0xffff => self.widened(0xcd, &(number as u16).to_be_bytes()),
                0x1_0000..=0xffff_ffff => self.widened(0xce, &(number as u32).to_be_bytes()),
                _ => self.widened(0xcf, &number.to_be_bytes()),
            },
        }
    }

    /// Text that needs no escapes in JSON.
    pub fn text(&mut self, text: &[u8]) {
        let length = text.len() as u64;
        match self.encoding {
            Encoding::Json => {
                self.separate();
                self.bytes.push(b'"');
            }
            Encoding::Cbor => self.cbor(3, length),
            Encoding::MsgPack => match length {
                0..32 => self.bytes.push(0xa0 | length as u8),
                32..=0xff => self.bytes.extend([0xd9, length as u8]),
                0x100..=0xffff => self.widened(0xda, &(length as u16).to_be_bytes()),
                _ => self.widened(0xdb, &(length as u32).to_be_bytes()),
            },
        }
        self.bytes.extend_from_slice(text);
        if self.encoding == Encoding::Json {
            self.bytes.push(b'"');
        }
    }

    /// True or false.
    pub fn flag(&mut self, flag: bool) {
        match self.encoding {
            Encoding::Json => {
                self.separate();
                self.bytes.extend_from_slice(if flag { b"true" } else { b"false" });
            }
            Encoding::Cbor => self.bytes.push(0xf4 | u8::from(flag)),
            Encoding::MsgPack => self.bytes.push(0xc2 | u8::from(flag)),
        }
    }

    fn begin(&mut self, json: u8, (short, most, long): (u8, u64, u8), major: u8, count: u64) {
        match self.encoding {
            Encoding::Json => {
                self.separate();
                self.bytes.push(json);
                self.follows = false;
            }
            Encoding::Cbor => self.cbor(major, count),
            Encoding::MsgPack if count <= most => self.bytes.push(short | count as u8),
            Encoding::MsgPack => self.widened(long, &(count as u16).to_be_bytes()),
        }
    }

    fn end(&mut self, json: u8) {
        if self.encoding == Encoding::Json {
            self.bytes.push(json);
            self.follows = true;
        }
    }

    fn separate(&mut self) {
        if self.follows {
            self.bytes.push(b',');
        }
        self.follows = true;
    }

    fn widened(&mut self, kind: u8, number: &[u8]) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(number);
    }

    fn cbor(&mut self, major: u8, number: u64) {
        let major = major << 5;
        match number {
            0..24 => self.bytes.push(major | number as u8),
            24..=0xff => self.bytes.extend([major | 24, number as u8]),
            0x100..=0xffff => self.widened(major | 25, &(number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.widened(major | 26, &(number as u32).to_be_bytes()),
            _ => self.widened(major | 27, &number.to_be_bytes()),
        }
    }
}

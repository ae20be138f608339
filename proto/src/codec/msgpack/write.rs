//! Writes MessagePack, each number and length in as few bytes as it takes.

use super::super::Serializer;
use super::super::sink::Sink;
use super::super::write::{Lengths, Write};

pub(in super::super) struct Writer {
    out: Vec<u8>,
    lengths: Lengths,
}

impl Writer {
    /// A marker, and a number in the bytes that it announces.
    fn marked<const N: usize>(&mut self, marker: u8, number: [u8; N]) {
        self.out.push(marker);
        self.out.extend_from_slice(&number);
    }

    /// The head of a list, a dictionary or a text: `fix` with the length in it up to a limit; else the marker for a
    /// length of two bytes, or the next one for four.
    fn head(&mut self, fix: u8, limit: usize, wide: u8, length: usize) {
        if length < limit {
            self.out.push(fix | length as u8);
        } else if let Ok(length) = u16::try_from(length) {
            self.marked(wide, length.to_be_bytes());
        } else {
            // No message is as long as 4 GiB.
            self.marked(wide + 1, (length as u32).to_be_bytes());
        }
    }

    fn string(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(length) if length >= 32 => self.marked(0xd9, [length]),
            _ => self.head(0xa0, 32, 0xda, text.len()),
        }
        self.out.extend_from_slice(text.as_bytes());
    }
}

impl Write for Writer {
    const SERIALIZER: Serializer = Serializer::MsgPack;

    fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), lengths: Lengths::default() }
    }

    fn lengths(&mut self, lengths: Lengths) {
        self.lengths = lengths;
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

impl Sink for Writer {
    fn null(&mut self) {
        self.out.push(0xc0);
    }
    fn boolean(&mut self, flag: bool) {
        self.out.push(0xc2 | u8::from(flag));
    }
    fn signed(&mut self, number: i64) {
        if let Ok(number) = u64::try_from(number) {
            self.unsigned(number);
        } else if number >= -32 {
            self.out.push(number as u8);
        } else if let Ok(number) = i8::try_from(number) {
            self.marked(0xd0, number.to_be_bytes());
        } else if let Ok(number) = i16::try_from(number) {
            self.marked(0xd1, number.to_be_bytes());
        } else if let Ok(number) = i32::try_from(number) {
            self.marked(0xd2, number.to_be_bytes());
        } else {
            self.marked(0xd3, number.to_be_bytes());
        }
    }
    fn unsigned(&mut self, number: u64) {
        if number < 0x80 {
            self.out.push(number as u8);
        } else if let Ok(number) = u8::try_from(number) {
            self.marked(0xcc, [number]);
        } else if let Ok(number) = u16::try_from(number) {
            self.marked(0xcd, number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.marked(0xce, number.to_be_bytes());
        } else {
            self.marked(0xcf, number.to_be_bytes());
        }
    }
    fn float(&mut self, number: f64) {
        self.marked(0xcb, number.to_be_bytes());
    }
    fn text(&mut self, text: &str) {
        self.string(text);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        match u8::try_from(bytes.len()) {
            Ok(length) => self.marked(0xc4, [length]),
            Err(_) => self.head(0, 0, 0xc5, bytes.len()),
        }
        self.out.extend_from_slice(bytes);
    }
    fn list(&mut self, length: Option<usize>) {
        let length = self.lengths.known(length);
        self.head(0x90, 16, 0xdc, length);
    }
    fn end_list(&mut self) {}
    fn map(&mut self, length: Option<usize>) {
        let length = self.lengths.known(length);
        self.head(0x80, 16, 0xde, length);
    }
    fn key(&mut self, key: &str) {
        self.string(key);
    }
    fn end_map(&mut self) {}
}

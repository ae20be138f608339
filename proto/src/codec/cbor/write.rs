//! Writes CBOR: numbers and lengths in as few bytes as they take, floats in eight, nothing without its length.

use super::super::Serializer;
use super::super::sink::Sink;
use super::super::write::{Lengths, Write};
use super::major;

pub(in super::super) struct Writer {
    out: Vec<u8>,
    lengths: Lengths,
}

impl Writer {
    fn head(&mut self, kind: u8, number: u64) {
        let kind = kind << 5;
        if number < 24 {
            self.out.push(kind | number as u8);
        } else if let Ok(number) = u8::try_from(number) {
            self.out.extend_from_slice(&[kind | 24, number]);
        } else if let Ok(number) = u16::try_from(number) {
            self.out.push(kind | 25);
            self.out.extend_from_slice(&number.to_be_bytes());
        } else if let Ok(number) = u32::try_from(number) {
            self.out.push(kind | 26);
            self.out.extend_from_slice(&number.to_be_bytes());
        } else {
            self.out.push(kind | 27);
            self.out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn string(&mut self, kind: u8, bytes: &[u8]) {
        self.head(kind, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }
}

impl Write for Writer {
    const SERIALIZER: Serializer = Serializer::Cbor;

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
        self.out.push(0xf6);
    }
    fn boolean(&mut self, flag: bool) {
        self.out.push(0xf4 | u8::from(flag));
    }
    fn signed(&mut self, number: i64) {
        match u64::try_from(number) {
            Ok(number) => self.unsigned(number),
            // -1 is written as 0, -2 as 1: all bits the other way.
            Err(_) => self.head(major::NEGATIVE, !number as u64),
        }
    }
    fn unsigned(&mut self, number: u64) {
        self.head(major::UNSIGNED, number);
    }
    fn float(&mut self, number: f64) {
        self.out.push(0xfb);
        self.out.extend_from_slice(&number.to_be_bytes());
    }
    fn text(&mut self, text: &str) {
        self.string(major::TEXT, text.as_bytes());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.string(major::BYTES, bytes);
    }
    fn list(&mut self, length: Option<usize>) {
        let length = self.lengths.known(length);
        self.head(major::LIST, length as u64);
    }
    fn end_list(&mut self) {}
    fn map(&mut self, length: Option<usize>) {
        let length = self.lengths.known(length);
        self.head(major::MAP, length as u64);
    }
    fn key(&mut self, key: &str) {
        self.text(key);
    }
    fn end_map(&mut self) {}
}

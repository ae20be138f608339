//! Writes JSON, as compact as it gets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use super::super::Serializer;
use super::super::sink::Sink;
use super::super::write::{Lengths, Write};

pub(in super::super) struct Writer {
    out: Vec<u8>,
    /// Something came before, in the same list or dictionary.
    comma: bool,
}

impl Writer {
    fn separate(&mut self) {
        if std::mem::replace(&mut self.comma, true) {
            self.out.push(b',');
        }
    }

    /// Numbers and strings, as `serde_json` writes them.
    fn scalar<T: Serialize + ?Sized>(&mut self, value: &T) {
        self.separate();
        // Only a failing writer or a failing `Serialize` can fail here; there is none.
        let written = serde_json::to_writer(&mut self.out, value);
        debug_assert!(written.is_ok(), "{written:?}");
    }

    fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }
}

impl Write for Writer {
    const SERIALIZER: Serializer = Serializer::Json;

    fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), comma: false }
    }

    fn lengths(&mut self, _: Lengths) {}

    fn raw(&mut self, bytes: &[u8]) {
        self.separate();
        self.out.extend_from_slice(bytes);
    }

    fn into_bytes(self) -> Vec<u8> {
        self.out
    }
}

impl Sink for Writer {
    fn null(&mut self) {
        self.raw(b"null");
    }
    fn boolean(&mut self, flag: bool) {
        self.raw(if flag { b"true" } else { b"false" });
    }
    fn signed(&mut self, number: i64) {
        self.scalar(&number);
    }
    fn unsigned(&mut self, number: u64) {
        self.scalar(&number);
    }
    /// Floats that JSON lacks (NaN, infinities) become null.
    fn float(&mut self, number: f64) {
        self.scalar(&number);
    }
    fn text(&mut self, text: &str) {
        self.scalar(text);
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.raw(b"\"\\u0000");
        let begin = self.out.len();
        self.out.resize(begin + bytes.len().div_ceil(3) * 4, 0);
        // The room is what Base64 with padding takes.
        let encoded = BASE64.encode_slice(bytes, &mut self.out[begin..]);
        debug_assert_eq!(encoded.ok(), Some(self.out.len() - begin));
        self.out.push(b'"');
    }
    fn list(&mut self, _: Option<usize>) {
        self.open(b'[');
    }
    fn end_list(&mut self) {
        self.close(b']');
    }
    fn map(&mut self, _: Option<usize>) {
        self.open(b'{');
    }
    fn key(&mut self, key: &str) {
        self.scalar(key);
        self.out.push(b':');
        self.comma = false;
    }
    fn end_map(&mut self) {
        self.close(b'}');
    }
}

//! Walks over JSON. What passes here, `serde_json` reads as well: strings are valid, numbers are in range.

use std::borrow::Cow;

use super::super::Serializer;
use super::super::sink::Sink;
use super::super::source::{Bounds, Source, malformed};
use crate::error::DecodeError;
use crate::value::bytes_in_json;

/// Numbers of so few digits, and without an exponent, are in the range of a double.
const SURELY_FINITE: usize = 300;

#[derive(Clone)]
pub(in super::super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    bounds: Bounds,
    /// Inside the message's list, after its first element.
    comma: bool,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Source<'a> for Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => return malformed(Serializer::Json, error.valid_up_to(), "no UTF-8"),
        };
        Ok(Self { text, at: 0, bounds: Bounds::new(Serializer::Json), comma: false })
    }

    fn begin(&mut self) -> Result<()> {
        match self.peek() {
            Some(b'[') => {
                self.at += 1;
                Ok(())
            }
            // Whatever else it is: as JSON it may be right or wrong, as a message it is wrong.
            Some(_) => Err(DecodeError::NotAMessage),
            None => self.wrong("nothing"),
        }
    }

    fn more(&mut self) -> Result<bool> {
        let first = !std::mem::replace(&mut self.comma, true);
        self.another(b']', first)
    }

    fn element<S: Sink>(&mut self, sink: &mut S) -> Result<()> {
        // The message's own list is the first level.
        self.value(sink, 1)
    }

    fn position(&self) -> usize {
        self.at
    }

    fn finish(mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(DecodeError::Trailing(self.text.len() - self.at)),
        }
    }
}

impl<'a> Reader<'a> {
    fn wrong<T>(&self, what: &str) -> Result<T> {
        malformed(Serializer::Json, self.at, what)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space; the reader then stands at it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Whether a list or dictionary goes on; if so, the reader stands at what comes next.
    #[inline]
    fn another(&mut self, close: u8, first: bool) -> Result<bool> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                self.peek();
                Ok(true)
            }
            Some(_) if first => Ok(true),
            Some(_) => self.wrong("neither a comma nor the end of the list or dictionary"),
            None => self.wrong("the end of the text, inside of a list or dictionary,"),
        }
    }

    fn value<S: Sink>(&mut self, sink: &mut S, depth: usize) -> Result<()> {
        self.bounds.value(self.at)?;
        match self.peek() {
            Some(b'"') => {
                let text = self.string::<S>()?;
                match bytes_in_json(&text) {
                    Some(bytes) => sink.bytes(&bytes),
                    None => sink.text(&text),
                }
            }
            Some(b'-' | b'0'..=b'9') => self.number(sink)?,
            Some(b'[') => {
                let depth = self.bounds.deeper(depth, self.at)?;
                self.at += 1;
                sink.list(None);
                let mut first = true;
                while self.another(b']', first)? {
                    self.value(sink, depth)?;
                    first = false;
                }
                sink.end_list();
            }
            Some(b'{') => {
                let depth = self.bounds.deeper(depth, self.at)?;
                self.at += 1;
                sink.map(None);
                let mut first = true;
                while self.another(b'}', first)? {
                    if self.byte() != Some(b'"') {
                        return self.wrong("a key that is no string");
                    }
                    sink.key(&self.string::<S>()?);
                    if self.peek() != Some(b':') {
                        return self.wrong("no colon after a key");
                    }
                    self.at += 1;
                    self.value(sink, depth)?;
                    first = false;
                }
                sink.end_map();
            }
            Some(b't') => {
                self.word("true")?;
                sink.boolean(true);
            }
            Some(b'f') => {
                self.word("false")?;
                sink.boolean(false);
            }
            Some(b'n') => {
                self.word("null")?;
                sink.null();
            }
            Some(_) => return self.wrong("no value"),
            None => return self.wrong("the end of the text, where a value belongs,"),
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<()> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.wrong("no value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads the string that begins here; what it says, if the sink wants to know.
    fn string<S: Sink>(&mut self) -> Result<Cow<'a, str>> {
        let begin = self.at;
        self.at += 1;
        let mut plain = true;
        loop {
            self.at += plain_length(&self.text.as_bytes()[self.at..]);
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    plain = false;
                    self.escape()?;
                }
                Some(_) => return self.wrong("a control character that is not escaped"),
                None => return self.wrong("the end of the text, inside of a string,"),
            }
        }
        self.at += 1;
        if plain || !S::READS {
            return Ok(Cow::Borrowed(&self.text[begin + 1..self.at - 1]));
        }
        match serde_json::from_str(&self.text[begin..self.at]) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => malformed(Serializer::Json, begin, "a wrong escape in a string"),
        }
    }

    /// Skips one escape, or two that make up one character.
    fn escape(&mut self) -> Result<()> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let second = match self.unit(self.at)? {
                    0xd800..0xdc00 => Some(self.unit(self.at + 6)?),
                    0xdc00..0xe000 => return self.wrong("the second half of a character without its first"),
                    _ => None,
                };
                self.at += 6;
                if let Some(second) = second {
                    if !(0xdc00..0xe000).contains(&second) {
                        return self.wrong("no second half of a character");
                    }
                    self.at += 6;
                }
            }
            _ => return self.wrong("a wrong escape"),
        }
        Ok(())
    }

    /// The number in an escape of the form `\uXXXX`.
    fn unit(&self, at: usize) -> Result<u32> {
        let digits = self.text.as_bytes().get(at..at + 6).and_then(|escape| escape.strip_prefix(b"\\u"));
        let unit = digits.and_then(|digits| {
            digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
        });
        unit.map_or_else(|| self.wrong("a wrong escape"), Ok)
    }

    fn digits(&mut self) -> Result<()> {
        let begin = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == begin { self.wrong("no digit where one belongs,") } else { Ok(()) }
    }

    fn number<S: Sink>(&mut self, sink: &mut S) -> Result<()> {
        let begin = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let leading = self.at;
        self.digits()?;
        if self.text.as_bytes()[leading] == b'0' && self.at > leading + 1 {
            return self.wrong("a number that begins with 0");
        }
        let whole = self.at;
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mantissa = self.at;
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[begin..self.at];
        if !S::READS && self.at == mantissa && text.len() < SURELY_FINITE {
            if self.at == whole {
                sink.signed(0)
            } else {
                sink.float(0.0)
            }
            return Ok(());
        }
        // There is no -0 among the integers.
        if self.at == whole && text != "-0" {
            if let Ok(number) = text.parse() {
                sink.signed(number);
                return Ok(());
            }
            if let Ok(number) = text.parse() {
                sink.unsigned(number);
                return Ok(());
            }
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                sink.float(number);
                Ok(())
            }
            _ => malformed(Serializer::Json, begin, "a number out of range"),
        }
    }
}

/// How many bytes come before a quote, a backslash or a control character. Most texts are short: the first words are looked
/// at one by one, and only then four at a time, with one branch for all of them.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const BLOCK: usize = 4;
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let found = special(*word);
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
        at += 1;
        if at == BLOCK {
            let (blocks, _) = words[at..].as_chunks::<BLOCK>();
            let is_plain =
                |block: &&[[u8; 8]; BLOCK]| block.iter().fold(0, |found, word| found | special(*word)) == 0;
            at += blocks.iter().take_while(is_plain).count() * BLOCK;
        }
    }
    let rest = bytes[at * 8..].iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20));
    rest.map_or(bytes.len(), |found| at * 8 + found)
}

/// The high bit of the first byte that is a quote, a backslash or a control character. It may be high in others as well, but
/// only after that one; it is in none if there is no such byte.
#[inline]
fn special(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let word = u64::from_le_bytes(word);
    let quote = zeros(word ^ (ONES * u64::from(b'"')));
    let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGH
}

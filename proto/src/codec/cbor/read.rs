//! Walks over CBOR.

use std::borrow::Cow;

use super::super::Serializer;
use super::super::binary::Cursor;
use super::super::sink::Sink;
use super::super::source::{Bounds, Source};
use super::{BREAK, major};
use crate::error::DecodeError;

/// Tags of integers that fit no 64 bits.
const BIG_POSITIVE: u64 = 2;
const BIG_NEGATIVE: u64 = 3;

#[derive(Clone)]
pub(in super::super) struct Reader<'a> {
    cursor: Cursor<'a>,
    bounds: Bounds,
    /// How many elements of the message's list are still to come.
    left: Length,
}

type Result<T> = std::result::Result<T, DecodeError>;

/// How many items there are; none if a break ends them.
type Length = Option<usize>;

impl<'a> Source<'a> for Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let cursor = Cursor::new(Serializer::Cbor, bytes);
        Ok(Self { cursor, bounds: Bounds::new(Serializer::Cbor), left: Some(0) })
    }

    fn begin(&mut self) -> Result<()> {
        let (kind, info) = self.untagged()?.0;
        if kind != major::LIST {
            return Err(DecodeError::NotAMessage);
        }
        self.left = self.length(info)?;
        Ok(())
    }

    fn more(&mut self) -> Result<bool> {
        another(&mut self.cursor, &mut self.left)
    }

    fn element<S: Sink>(&mut self, sink: &mut S) -> Result<()> {
        // The message's own list is the first level.
        self.value(sink, 1)
    }

    fn position(&self) -> usize {
        self.cursor.at
    }

    fn finish(self) -> Result<()> {
        self.cursor.finish()
    }
}

/// Whether there is another item.
fn another(cursor: &mut Cursor, left: &mut Length) -> Result<bool> {
    match left {
        Some(0) => Ok(false),
        Some(left) => {
            *left -= 1;
            Ok(true)
        }
        None => {
            let more = cursor.peek()? != BREAK;
            if !more {
                cursor.at += 1;
                *left = Some(0);
            }
            Ok(more)
        }
    }
}

impl<'a> Reader<'a> {
    /// The kind of the next item, and the five bits that say more.
    fn head(&mut self) -> Result<(u8, u8)> {
        let byte = self.cursor.byte()?;
        Ok((byte >> 5, byte & 0x1f))
    }

    /// The same of the next item that is no tag, and the tag before it.
    fn untagged(&mut self) -> Result<((u8, u8), Option<u64>)> {
        let mut tag = None;
        loop {
            let head @ (kind, info) = self.head()?;
            if kind != major::TAG {
                return Ok((head, tag));
            }
            tag = Some(self.number(info)?);
        }
    }

    fn number(&mut self, info: u8) -> Result<u64> {
        match info {
            0..=23 => Ok(u64::from(info)),
            24 => self.cursor.number::<1>(),
            25 => self.cursor.number::<2>(),
            26 => self.cursor.number::<4>(),
            27 => self.cursor.number::<8>(),
            _ => self.cursor.wrong("an item that is not well-formed, before"),
        }
    }

    fn length(&mut self, info: u8) -> Result<Length> {
        if info == 31 {
            return Ok(None);
        }
        let number = self.number(info)?;
        usize::try_from(number)
            .map_or_else(|_| self.cursor.wrong("a length beyond all bounds"), |length| Ok(Some(length)))
    }

    fn value<S: Sink>(&mut self, sink: &mut S, depth: usize) -> Result<()> {
        self.bounds.value(self.cursor.at)?;
        let ((kind, info), tag) = self.untagged()?;
        match kind {
            major::UNSIGNED => sink.unsigned(self.number(info)?),
            major::NEGATIVE => negative(self.number(info)?, sink),
            major::BYTES => {
                let bytes = self.string(major::BYTES, info)?;
                match tag {
                    Some(BIG_POSITIVE) => match big(&bytes) {
                        Big::Whole(number) => sink.unsigned(number),
                        Big::Near(number) => sink.float(number),
                    },
                    Some(BIG_NEGATIVE) => match big(&bytes) {
                        Big::Whole(number) => negative(number, sink),
                        Big::Near(number) => sink.float(-1.0 - number),
                    },
                    _ => sink.bytes(&bytes),
                }
            }
            major::TEXT => sink.text(&self.text(info)?),
            major::LIST => {
                let depth = self.bounds.deeper(depth, self.cursor.at)?;
                let mut left = self.length(info)?;
                self.cursor.has(left.unwrap_or(0))?;
                sink.list(left);
                while another(&mut self.cursor, &mut left)? {
                    self.value(sink, depth)?;
                }
                sink.end_list();
            }
            major::MAP => {
                let depth = self.bounds.deeper(depth, self.cursor.at)?;
                let mut left = self.length(info)?;
                // A key and a value each.
                self.cursor.has(left.unwrap_or(0).saturating_mul(2))?;
                sink.map(left);
                while another(&mut self.cursor, &mut left)? {
                    let (kind, info) = self.head()?;
                    if kind != major::TEXT {
                        return self.cursor.wrong("a key that is no string, before");
                    }
                    sink.key(&self.text(info)?);
                    self.value(sink, depth)?;
                }
                sink.end_map();
            }
            _ => self.simple(sink, info)?,
        }
        Ok(())
    }

    fn simple<S: Sink>(&mut self, sink: &mut S, info: u8) -> Result<()> {
        match info {
            20 => sink.boolean(false),
            21 => sink.boolean(true),
            22 | 23 => sink.null(),
            25 => sink.float(half(u16::from_be_bytes(self.cursor.array()?))),
            26 => sink.float(f64::from(f32::from_be_bytes(self.cursor.array()?))),
            27 => sink.float(f64::from_be_bytes(self.cursor.array()?)),
            31 => return self.cursor.wrong("a break that ends nothing, before"),
            _ => return self.cursor.wrong("a simple value that has no meaning in WAMP, before"),
        }
        Ok(())
    }

    /// A string, in one piece or in several.
    fn string(&mut self, kind: u8, info: u8) -> Result<Cow<'a, [u8]>> {
        if let Some(length) = self.length(info)? {
            return Ok(Cow::Borrowed(self.cursor.take(length)?));
        }
        let mut whole = Vec::new();
        while another(&mut self.cursor, &mut None)? {
            let (of, info) = self.head()?;
            let length = if of == kind { self.length(info)? } else { None };
            let Some(length) = length else {
                return self.cursor.wrong("a piece of a string that is none, before");
            };
            let piece = self.cursor.take(length)?;
            // Each piece must be right for itself.
            if kind == major::TEXT && std::str::from_utf8(piece).is_err() {
                return self.cursor.wrong("a string that is no UTF-8, before");
            }
            whole.extend_from_slice(piece);
        }
        Ok(Cow::Owned(whole))
    }

    fn text(&mut self, info: u8) -> Result<Cow<'a, str>> {
        let text = match self.string(major::TEXT, info)? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        text.map_or_else(|| self.cursor.wrong("a string that is no UTF-8, before"), Ok)
    }
}

/// The negative number that CBOR writes as this one.
fn negative<S: Sink>(number: u64, sink: &mut S) {
    match i64::try_from(number) {
        Ok(number) => sink.signed(-1 - number),
        Err(_) => sink.float((-1 - i128::from(number)) as f64),
    }
}

/// What a big number is.
enum Big {
    /// It is not big after all.
    Whole(u64),
    /// As near as a float comes.
    Near(f64),
}

/// The bytes of a big number. One that is not big means what it would mean without its tag (RFC 8949, section 3.4.3).
fn big(bytes: &[u8]) -> Big {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[zeros..];
    if digits.len() <= size_of::<u64>() {
        return Big::Whole(digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
    }
    Big::Near(digits.iter().fold(0.0, |number, byte| number * 256.0 + f64::from(*byte)))
}

/// A float of 16 bits.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match bits >> 10 & 0x1f {
        0 => fraction * 2_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(i32::from(exponent) - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

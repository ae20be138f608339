//! Walks over MessagePack.

use super::super::Serializer;
use super::super::binary::Cursor;
use super::super::sink::Sink;
use super::super::source::{Bounds, Source};
use crate::error::DecodeError;

#[derive(Clone)]
pub(in super::super) struct Reader<'a> {
    cursor: Cursor<'a>,
    bounds: Bounds,
    /// How many elements of the message's list are still to come.
    left: usize,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Source<'a> for Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let cursor = Cursor::new(Serializer::MsgPack, bytes);
        Ok(Self { cursor, bounds: Bounds::new(Serializer::MsgPack), left: 0 })
    }

    fn begin(&mut self) -> Result<()> {
        self.left = match self.cursor.byte()? {
            marker @ 0x90..=0x9f => usize::from(marker & 0x0f),
            0xdc => self.cursor.length::<2>()?,
            0xdd => self.cursor.length::<4>()?,
            _ => return Err(DecodeError::NotAMessage),
        };
        Ok(())
    }

    fn more(&mut self) -> Result<bool> {
        let more = self.left > 0;
        self.left = self.left.saturating_sub(1);
        Ok(more)
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

impl Reader<'_> {
    fn value<S: Sink>(&mut self, sink: &mut S, depth: usize) -> Result<()> {
        self.bounds.value(self.cursor.at)?;
        let cursor = &mut self.cursor;
        match cursor.byte()? {
            number @ 0x00..=0x7f => sink.signed(i64::from(number)),
            marker @ 0x80..=0x8f => self.map(sink, usize::from(marker & 0x0f), depth)?,
            marker @ 0x90..=0x9f => self.list(sink, usize::from(marker & 0x0f), depth)?,
            marker @ 0xa0..=0xbf => sink.text(cursor.text(usize::from(marker & 0x1f))?),
            0xc0 => sink.null(),
            0xc2 => sink.boolean(false),
            0xc3 => sink.boolean(true),
            marker @ 0xc4..=0xc6 => {
                let length = cursor.sized_length(marker - 0xc4)?;
                sink.bytes(cursor.take(length)?);
            }
            marker @ 0xc7..=0xc9 => {
                let length = cursor.sized_length(marker - 0xc7)?;
                self.extension(sink, length)?;
            }
            0xca => sink.float(f64::from(f32::from_be_bytes(cursor.array()?))),
            0xcb => sink.float(f64::from_be_bytes(cursor.array()?)),
            0xcc => sink.unsigned(u64::from(cursor.byte()?)),
            0xcd => sink.unsigned(u64::from(u16::from_be_bytes(cursor.array()?))),
            0xce => sink.unsigned(u64::from(u32::from_be_bytes(cursor.array()?))),
            0xcf => sink.unsigned(u64::from_be_bytes(cursor.array()?)),
            0xd0 => sink.signed(i64::from(i8::from_be_bytes(cursor.array()?))),
            0xd1 => sink.signed(i64::from(i16::from_be_bytes(cursor.array()?))),
            0xd2 => sink.signed(i64::from(i32::from_be_bytes(cursor.array()?))),
            0xd3 => sink.signed(i64::from_be_bytes(cursor.array()?)),
            marker @ 0xd4..=0xd8 => self.extension(sink, 1 << (marker - 0xd4))?,
            marker @ 0xd9..=0xdb => {
                let length = cursor.sized_length(marker - 0xd9)?;
                sink.text(cursor.text(length)?);
            }
            0xdc => {
                let length = cursor.length::<2>()?;
                self.list(sink, length, depth)?;
            }
            0xdd => {
                let length = cursor.length::<4>()?;
                self.list(sink, length, depth)?;
            }
            0xde => {
                let length = cursor.length::<2>()?;
                self.map(sink, length, depth)?;
            }
            0xdf => {
                let length = cursor.length::<4>()?;
                self.map(sink, length, depth)?;
            }
            number @ 0xe0.. => sink.signed(i64::from(number as i8)),
            0xc1 => return cursor.wrong("c1, which is never used,"),
        }
        Ok(())
    }

    fn list<S: Sink>(&mut self, sink: &mut S, length: usize, depth: usize) -> Result<()> {
        let depth = self.bounds.deeper(depth, self.cursor.at)?;
        self.cursor.has(length)?;
        sink.list(Some(length));
        for _ in 0..length {
            self.value(sink, depth)?;
        }
        sink.end_list();
        Ok(())
    }

    fn map<S: Sink>(&mut self, sink: &mut S, length: usize, depth: usize) -> Result<()> {
        let depth = self.bounds.deeper(depth, self.cursor.at)?;
        // A key and a value each.
        self.cursor.has(length.saturating_mul(2))?;
        sink.map(Some(length));
        for _ in 0..length {
            let length = match self.cursor.byte()? {
                marker @ 0xa0..=0xbf => usize::from(marker & 0x1f),
                marker @ 0xd9..=0xdb => self.cursor.sized_length(marker - 0xd9)?,
                _ => return self.cursor.wrong("a key that is no string"),
            };
            sink.key(self.cursor.text(length)?);
            self.value(sink, depth)?;
        }
        sink.end_map();
        Ok(())
    }

    /// JavaScript clients send an extension for `undefined`, in options that they leave out; the others have no
    /// meaning in WAMP.
    fn extension<S: Sink>(&mut self, sink: &mut S, length: usize) -> Result<()> {
        let kind = self.cursor.byte()? as i8;
        match (kind, self.cursor.take(length)?) {
            (0, [0]) => {
                sink.null();
                Ok(())
            }
            _ => self.cursor.wrong(&format!("extension type {kind} has no meaning in WAMP,")),
        }
    }
}

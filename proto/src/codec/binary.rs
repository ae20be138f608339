//! Reading big-endian bytes: what the binary codecs have in common.

use super::Serializer;
use super::source::malformed;
use crate::error::DecodeError;

#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    serializer: Serializer,
    bytes: &'a [u8],
    pub(crate) at: usize,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Cursor<'a> {
    pub(crate) const fn new(serializer: Serializer, bytes: &'a [u8]) -> Self {
        Self { serializer, bytes, at: 0 }
    }

    pub(crate) fn wrong<T>(&self, what: &str) -> Result<T> {
        malformed(self.serializer, self.at, what)
    }

    /// That as many bytes are there.
    #[inline]
    pub(crate) fn has(&self, length: usize) -> Result<()> {
        if length > self.bytes.len() - self.at { self.wrong("the end, inside of a value,") } else { Ok(()) }
    }

    #[inline]
    pub(crate) fn peek(&self) -> Result<u8> {
        self.bytes
            .get(self.at)
            .map_or_else(|| self.wrong("the end, where a value belongs,"), |byte| Ok(*byte))
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        self.has(length)?;
        let bytes = &self.bytes[self.at..self.at + length];
        self.at += length;
        Ok(bytes)
    }

    #[inline]
    pub(crate) fn text(&mut self, length: usize) -> Result<&'a str> {
        std::str::from_utf8(self.take(length)?).or_else(|_| self.wrong("a string that is no UTF-8, before"))
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.bytes[self.at..].first_chunk() {
            Some(array) => {
                self.at += N;
                Ok(*array)
            }
            None => self.wrong("the end, inside of a value,"),
        }
    }

    /// A number of so many bytes.
    #[inline]
    pub(crate) fn number<const N: usize>(&mut self) -> Result<u64> {
        Ok(self.array::<N>()?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A length of so many bytes.
    #[inline]
    pub(crate) fn length<const N: usize>(&mut self) -> Result<usize> {
        let length = self.number::<N>()?;
        usize::try_from(length).or_else(|_| self.wrong("a length beyond all bounds"))
    }

    /// A length of 1, 2 or 4 bytes, as 0, 1 or 2 says.
    #[inline]
    pub(crate) fn sized_length(&mut self, size: u8) -> Result<usize> {
        match size {
            0 => self.length::<1>(),
            1 => self.length::<2>(),
            _ => self.length::<4>(),
        }
    }

    pub(crate) fn finish(self) -> Result<()> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            trailing => Err(DecodeError::Trailing(trailing)),
        }
    }
}

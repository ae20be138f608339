//! What the codecs' readers have in common: a message is a list that is read element by element, within bounds.

use super::Serializer;
use super::sink::Sink;
use crate::error::DecodeError;
use crate::value::{MAX_DEPTH, MAX_VALUES};

/// Reads the elements of a message's list, or the parts of one that was read before.
pub(crate) trait Source<'a>: Clone {
    /// Before the first byte.
    fn new(bytes: &'a [u8]) -> Result<Self, DecodeError>;

    /// Enters the message's list.
    fn begin(&mut self) -> Result<(), DecodeError>;

    /// Whether the list has another element, which is to be read next.
    fn more(&mut self) -> Result<bool, DecodeError>;

    /// Reads one value, of the list or on its own.
    fn element<S: Sink>(&mut self, sink: &mut S) -> Result<(), DecodeError>;

    /// Where the reader is, in bytes; between elements, where the next one begins.
    fn position(&self) -> usize;

    /// Makes sure that nothing follows.
    fn finish(self) -> Result<(), DecodeError>;
}

/// Something is wrong with the bytes.
#[cold]
pub(crate) fn malformed<T>(serializer: Serializer, at: usize, what: &str) -> Result<T, DecodeError> {
    Err(DecodeError::Malformed { serializer: serializer.name(), reason: format!("{what} at byte {at}") })
}

/// What is left of a message's bounds.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    serializer: Serializer,
    values: usize,
}

impl Bounds {
    pub(crate) const fn new(serializer: Serializer) -> Self {
        Self { serializer, values: MAX_VALUES }
    }

    /// One more value.
    #[inline]
    pub(crate) fn value(&mut self, at: usize) -> Result<(), DecodeError> {
        if self.values == 0 {
            return malformed(self.serializer, at, &format!("more than {MAX_VALUES} values in one message,"));
        }
        self.values -= 1;
        Ok(())
    }

    /// One level deeper.
    #[inline]
    pub(crate) fn deeper(&self, depth: usize, at: usize) -> Result<usize, DecodeError> {
        if depth >= MAX_DEPTH {
            let text = format!("lists and dictionaries nest deeper than {MAX_DEPTH}");
            return malformed(self.serializer, at, &text);
        }
        Ok(depth + 1)
    }
}

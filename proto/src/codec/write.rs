//! What the codecs' writers have in common, and how a value goes from one codec to another.

use super::sink::{Counter, Sink};
use super::source::Source;
use super::{Serializer, cbor, json, msgpack};
use crate::error::DecodeError;

/// Writes values, one after the other.
pub(crate) trait Write: Sink {
    /// What is written.
    const SERIALIZER: Serializer;

    /// With room for so many bytes.
    fn with_capacity(bytes: usize) -> Self;

    /// How long the lists and dictionaries will be that begin without saying so.
    fn lengths(&mut self, lengths: Lengths);

    /// A value that is written already.
    fn raw(&mut self, bytes: &[u8]);

    fn into_bytes(self) -> Vec<u8>;
}

/// The lengths of lists and dictionaries, in the order in which they begin.
#[derive(Debug, Default)]
pub(crate) struct Lengths(std::vec::IntoIter<u32>);

impl Lengths {
    /// The length of the list or dictionary that begins.
    pub(crate) fn known(&mut self, said: Option<usize>) -> usize {
        // Where they were counted, all of them were.
        let counted = self.0.next().map(|counted| counted as usize);
        counted.or(said).unwrap_or_default()
    }
}

/// Reads one value that was read before, in this codec.
pub(crate) fn walk<S: Sink>(from: Serializer, bytes: &[u8], sink: &mut S) {
    fn one<'a, R: Source<'a>, S: Sink>(bytes: &'a [u8], sink: &mut S) -> Result<(), DecodeError> {
        R::new(bytes)?.element(sink)
    }
    let walked = match from {
        Serializer::Json => one::<json::Reader, S>(bytes, sink),
        Serializer::MsgPack => one::<msgpack::Reader, S>(bytes, sink),
        Serializer::Cbor => one::<cbor::Reader, S>(bytes, sink),
    };
    debug_assert!(walked.is_ok(), "what was read once can be read again: {walked:?}");
}

/// Writes a value that was read before, in whatever codec.
pub(crate) fn transcode<W: Write>(from: Serializer, bytes: &[u8], to: &mut W) {
    fn one<'a, R: Source<'a>, W: Write>(
        bytes: &'a [u8],
        counts: bool,
        to: &mut W,
    ) -> Result<(), DecodeError> {
        let mut reader = R::new(bytes)?;
        if counts {
            let mut counter = Counter::default();
            reader.clone().element(&mut counter)?;
            to.lengths(Lengths(counter.into_counts().into_iter()));
        }
        reader.element(to)
    }
    if from == W::SERIALIZER {
        to.raw(bytes);
        return;
    }
    let counts = W::SERIALIZER != Serializer::Json && from != Serializer::MsgPack;
    let walked = match from {
        Serializer::Json => one::<json::Reader, W>(bytes, counts, to),
        Serializer::MsgPack => one::<msgpack::Reader, W>(bytes, counts, to),
        Serializer::Cbor => one::<cbor::Reader, W>(bytes, counts, to),
    };
    debug_assert!(walked.is_ok(), "what was read once can be read again: {walked:?}");
}

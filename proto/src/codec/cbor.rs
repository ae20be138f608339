//! CBOR (RFC 8949). Text is `text string`, bytes are `byte string`. What WAMP has no use for is made into something
//! that it has: a tag is dropped and its content taken, numbers that are too big become floats, `undefined` becomes null.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::Writer;

/// The kinds of items, in the first three bits.
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const NEGATIVE: u8 = 1;
    pub(super) const BYTES: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const LIST: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
}

/// Ends what began without a length.
const BREAK: u8 = 0xff;

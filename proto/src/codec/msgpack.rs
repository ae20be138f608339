//! MessagePack. Text is `str`, bytes are `bin`; extension types are refused, but for JavaScript's `undefined`.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::Writer;

//! JSON. Bytes travel by the convention of the WAMP specification ("Binary Conversion of JSON Strings"): as a text
//! that starts with U+0000, followed by standard Base64.

mod read;
mod write;

pub(super) use read::Reader;
pub(super) use write::Writer;

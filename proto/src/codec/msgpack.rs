//! MessagePack. Text is `str`, bytes are `bin`; extension types are refused, but for JavaScript's `undefined`.

use serde::Deserialize;

use crate::error::DecodeError;
use crate::message::Message;
use crate::value::{MAX_DEPTH, Value};

pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // Only a failing writer or a failing `Serialize` can fail here; there is none.
    let written = rmp_serde::encode::write(&mut bytes, message);
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    // A little more than our own bound, so that ours speaks first; the default overflows a small stack.
    deserializer.set_max_depth(MAX_DEPTH + 2);
    let value = Value::deserialize(&mut deserializer)
        .map_err(|error| DecodeError::Malformed { serializer: "MessagePack", reason: error.to_string() })?;
    match rest.len() {
        0 => Ok(value),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}

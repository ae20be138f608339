//! JSON. Bytes travel by the convention in `value`.

use crate::error::DecodeError;
use crate::message::Message;
use crate::value::Value;

pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // Only a failing writer, a map key that is no string or a failing `Serialize` can fail here; there is none.
    let written = serde_json::to_writer(&mut bytes, message);
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(bytes)
        .map_err(|error| DecodeError::Malformed { serializer: "JSON", reason: error.to_string() })
}

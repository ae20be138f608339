//! About how much memory values take, for limits on what is kept.

use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

/// What an entry of a dictionary takes besides its key's text and its value's contents: two words of 24 bytes, and
/// its share of a node.
const ENTRY: usize = 64;

/// The bytes of a payload. One that came in a frame is that frame; it is not read for this.
pub(crate) fn of_payload(payload: &Payload) -> usize {
    if let Some(bytes) = payload.frame_bytes() {
        return bytes;
    }
    let args: usize = payload.args().iter().map(of_value).sum();
    args + payload.kwargs().map_or(0, of_dict)
}

/// The bytes of a dictionary.
pub(crate) fn of_dict(dict: &Dict) -> usize {
    dict.iter().map(|(key, value)| ENTRY + key.len() + of_value(value)).sum()
}

fn of_value(value: &Value) -> usize {
    let contents = match value {
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.iter().map(of_value).sum(),
        Value::Map(map) => of_dict(map),
        _ => 0,
    };
    size_of::<Value>() + contents
}

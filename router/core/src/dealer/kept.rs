//! What is kept of a CALL so that INVOCATIONs can be made from it later: while it waits for a callee, while another
//! callee may have to take it over, and while more of it is to come.

use std::collections::VecDeque;

use ecep_proto::payload::Payload;
use ecep_proto::value::{Dict, Value};

/// What the caller asked for. It holds for the whole call, however many pieces it comes in.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) disclose_me: bool,
    /// The caller takes the result in pieces.
    pub(super) receive_progress: bool,
    /// The call comes in pieces, and this is not the last of them.
    pub(super) progress: bool,
    /// The procedure that was called; empty if nobody needs to know.
    pub(super) called: String,
    /// The callee must be told which procedure was called.
    pub(super) by_pattern: bool,
    /// The options of a payload that the router does not look into.
    pub(super) passthru: Dict,
}

/// A wish, and the payloads that have not been delivered for good.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) wish: Wish,
    /// More than one only while a call that comes in pieces waits for its callee.
    pub(super) payloads: VecDeque<Payload>,
    /// The weight of them all.
    pub(super) weight: usize,
}

/// About how many bytes of memory a payload takes.
pub(super) fn weight(payload: &Payload) -> usize {
    let args: usize = payload.args().iter().map(of_value).sum();
    size_of::<Payload>() + args + payload.kwargs().map_or(0, of_dict)
}

fn of_dict(dict: &Dict) -> usize {
    dict.iter().map(|(key, value)| size_of::<String>() + key.len() + of_value(value)).sum()
}

fn of_value(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Str(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.iter().map(of_value).sum(),
            Value::Map(map) => of_dict(map),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Float(_) => 0,
        }
}

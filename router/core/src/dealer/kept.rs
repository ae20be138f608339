//! What is kept of a CALL so that INVOCATIONs can be made from it later: while it waits for a callee, while another
//! callee may have to take it over, and while more of it is to come.

use std::collections::VecDeque;

use ecep_proto::payload::Payload;
use ecep_proto::value::Dict;

use crate::permissions::Disclosure;
use crate::size;

/// What the caller asked for. It holds for the whole call, however many pieces it comes in.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    /// Whether the callee learns who calls.
    pub(super) disclosure: Disclosure,
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

/// What keeping a payload costs, with its place in the table.
pub(super) fn weight(payload: &Payload) -> usize {
    size_of::<Kept>() + size::of_payload(payload)
}

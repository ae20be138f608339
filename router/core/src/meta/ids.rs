//! Answers of meta procedures that are ids, of whatever kind.

use ecep_proto::error::NO_SUCH_SESSION;
use ecep_proto::payload::Payload;
use ecep_proto::uri::Match;
use ecep_proto::value::Value;

use crate::options::Failure;

/// A list of ids.
pub(super) fn list(ids: impl IntoIterator<Item = u64>) -> Value {
    Value::List(ids.into_iter().map(Value::from).collect())
}

/// A list of ids for each way of matching, by its name.
pub(super) fn by_match<I: IntoIterator<Item = u64>>(of_kind: impl Fn(Match) -> I) -> Payload {
    let lists =
        [Match::Exact, Match::Prefix, Match::Wildcard].map(|kind| (kind.name().into(), list(of_kind(kind))));
    Payload::of(Value::Map(lists.into()))
}

/// An id, or null if there is none.
pub(super) fn one_or_null(id: Option<u64>) -> Payload {
    Payload::of(id.map_or(Value::Null, Value::from))
}

/// The session is no subscriber or callee of it.
pub(super) fn no_part(session: u64, what: &str, id: u64) -> Failure {
    Failure::refused(NO_SUCH_SESSION, format!("session {session} has no part in {what} {id}"))
}

//! The compatibility profile for clients that use the crate `wamp_async`, which hides who called, can't choose an
//! error's URI and drops the arguments of errors. The one file that reads and changes payloads.
//!
//! For sessions whose role has [`Profile::WampAsync`]:
//! - an INVOCATION carries the caller in its keyword arguments, under [`CALLER_KEY`];
//! - a YIELD whose only argument is the keyword `ok` or `error` is unfolded into a RESULT or a true ERROR;
//! - an ERROR sent to them repeats its message and details in the Details dictionary, as text;
//! - a REGISTER takes over what the same authid had registered before (done in `dealer`).
//!
//! Details dictionaries hold text and ids only: a float or a negative integer in one ends the crate's session.

use ecep_proto::api::reply::CALLER_KEY;
use ecep_proto::error::RUNTIME_ERROR;
use ecep_proto::message::Error;
use ecep_proto::payload::Payload;
use ecep_proto::uri::{Strictness, Uri};
use ecep_proto::value::{Dict, Value};

use crate::permissions::Disclosure;
use crate::session::Session;

/// How the router speaks to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// As the WAMP specification says.
    #[default]
    Standard,
    /// As `wamp_async` needs it.
    WampAsync,
}

/// What a YIELD means.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Result(Payload),
    Error { uri: String, payload: Payload },
}

/// Tells the callee who called, unless the caller's role has it stay unknown. Whatever the caller itself put there
/// does not get through.
pub(crate) fn with_caller(payload: Payload, caller: &Session) -> Payload {
    let (args, mut kwargs) = payload.into_parts();
    let facts = Dict::from([
        ("session".into(), Value::from(caller.id.get())),
        ("authid".into(), Value::from(caller.identity.authid.as_str())),
        ("authrole".into(), Value::from(caller.identity.authrole.as_str())),
    ]);
    if caller.role().disclose_caller == Disclosure::Never {
        kwargs.remove(CALLER_KEY);
    } else {
        kwargs.insert(CALLER_KEY.into(), Value::Map(facts));
    }
    Payload::new(args, kwargs)
}

/// Unfolds a `Reply` envelope; any other payload is an ordinary result.
pub(crate) fn unfold(payload: Payload) -> Outcome {
    let envelope = payload.args().is_empty() && payload.kwargs().is_some_and(|kwargs| kwargs.len() == 1);
    if !envelope {
        return Outcome::Result(payload);
    }
    let (args, mut kwargs) = payload.into_parts();
    if let Some(value) = kwargs.remove("ok") {
        return Outcome::Result(Payload::new(vec![value], Dict::new()));
    }
    match kwargs.remove("error") {
        Some(Value::Map(error)) => error_outcome(error),
        Some(other) => Outcome::Result(Payload::new(args, Dict::from([("error".into(), other)]))),
        None => Outcome::Result(Payload::new(args, kwargs)),
    }
}

fn error_outcome(mut error: Dict) -> Outcome {
    let uri = match error.remove("uri") {
        Some(Value::Str(text)) => Uri::parse(text, Strictness::Loose).ok(),
        _ => None,
    };
    let uri = uri.map_or_else(|| RUNTIME_ERROR.to_owned(), Uri::into_string);
    let args = error.remove("message").into_iter().collect();
    let kwargs = match error.remove("details") {
        Some(Value::Map(details)) => details,
        _ => Dict::new(),
    };
    Outcome::Error { uri, payload: Payload::new(args, kwargs) }
}

/// Repeats an error's arguments where `wamp_async` can see them: the message as text, the keyword arguments as
/// one text of JSON.
pub(crate) fn repeat_in_details(error: &mut Error) {
    if let Some(message) = error.payload.args().first().and_then(Value::as_str) {
        error.details.insert("message".into(), Value::from(message));
    }
    if let Some(kwargs) = error.payload.kwargs().filter(|kwargs| !kwargs.is_empty())
        && let Some(json) = ecep_proto::codec::dict_to_json(kwargs)
    {
        error.details.insert("details".into(), Value::from(json));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kwargs(entries: &[(&str, Value)]) -> Payload {
        Payload::new(vec![], entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    /// Only an envelope is unfolded; whatever else a callee yields reaches its caller untouched.
    #[test]
    fn other_results_pass() {
        for payload in [
            Payload::default(),
            Payload::of(1_i64),
            kwargs(&[("ok", Value::Null), ("more", Value::Null)]),
            kwargs(&[("error", Value::from("text"))]),
            kwargs(&[("other", Value::Null)]),
            Payload::new(vec![Value::Null], Dict::from([("ok".into(), Value::Null)])),
        ] {
            assert_eq!(unfold(payload.clone()), Outcome::Result(payload));
        }
    }

    /// A callee's error keeps its URI, message and details; one without a usable URI is still an error.
    #[test]
    fn envelopes_are_unfolded() {
        assert_eq!(unfold(kwargs(&[("ok", Value::Null)])), Outcome::Result(Payload::of(Value::Null)));
        let details = Dict::from([("id".into(), Value::from(7_i64))]);
        let error = Dict::from([
            ("uri".into(), Value::from("com.gone")),
            ("message".into(), Value::from("it is gone")),
            ("details".into(), Value::Map(details.clone())),
        ]);
        assert_eq!(
            unfold(kwargs(&[("error", Value::Map(error))])),
            Outcome::Error {
                uri: "com.gone".into(),
                payload: Payload::new(vec![Value::from("it is gone")], details)
            }
        );
        let bad = Dict::from([("uri".into(), Value::from("not a uri"))]);
        assert_eq!(
            unfold(kwargs(&[("error", Value::Map(bad))])),
            Outcome::Error { uri: RUNTIME_ERROR.into(), payload: Payload::default() }
        );
    }
}

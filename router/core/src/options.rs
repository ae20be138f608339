//! Reading option dictionaries, and how a request can fail.

use ecep_proto::uri::{Match, Strictness, Uri};
use ecep_proto::value::{Dict, Value};

use ecep_proto::error::INVALID_URI;
use ecep_proto::meta::RESERVED_PREFIX;

/// Why a request is not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The requester gets an ERROR.
    Refused {
        /// The error's URI.
        error: &'static str,
        /// A sentence for people.
        message: String,
    },
    /// The session is ended with ABORT `wamp.error.protocol_violation`.
    Violation(String),
}

impl Failure {
    pub(crate) fn refused(error: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { error, message: message.into() }
    }
}

/// A boolean option; false if it is not there.
pub(crate) fn flag(options: &Dict, name: &str) -> Result<bool, Failure> {
    flag_or(options, name, false)
}

/// A boolean option with its default.
pub(crate) fn flag_or(options: &Dict, name: &str, default: bool) -> Result<bool, Failure> {
    match options.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(wrong(name, "a boolean", other.kind())),
    }
}

/// The options of links between routers and of notaries, which are not offered: ignored, if they are what they should be.
pub(crate) fn not_offered(options: &Dict) -> Result<(), Failure> {
    match options.get("forward_for") {
        None | Some(Value::Null | Value::List(_)) => {}
        Some(other) => return Err(wrong("forward_for", "a list", other.kind())),
    }
    match options.get("transaction_hash") {
        None | Some(Value::Null | Value::Str(_)) => Ok(()),
        Some(other) => Err(wrong("transaction_hash", "a string", other.kind())),
    }
}

/// An option that is an integer of 0 or more.
pub(crate) fn number(options: &Dict, name: &str) -> Result<Option<u64>, Failure> {
    match options.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_u64().map(Some).ok_or_else(|| wrong(name, "an integer of 0 or more", value.kind()))
        }
    }
}

/// The option `match`.
pub(crate) fn matching(options: &Dict) -> Result<Match, Failure> {
    match options.get("match") {
        None | Some(Value::Null) => Ok(Match::Exact),
        Some(Value::Str(name)) => Match::from_name(name).ok_or_else(|| {
            Failure::Violation(format!("option match must be exact, prefix or wildcard, not {name:?}"))
        }),
        Some(other) => Err(wrong("match", "a string", other.kind())),
    }
}

/// The option is something else than it should be.
pub(crate) fn wrong(name: &str, expected: &str, found: &str) -> Failure {
    Failure::Violation(format!("option {name} must be {expected}, not {found}"))
}

/// Checks a topic, procedure or pattern.
pub(crate) fn uri(text: String, kind: Match, strictness: Strictness) -> Result<Uri, Failure> {
    Uri::pattern(text, kind, strictness).map_err(|error| Failure::refused(INVALID_URI, error.to_string()))
}

/// Checks a topic or procedure.
pub(crate) fn check_uri(text: &str, strictness: Strictness) -> Result<(), Failure> {
    uri(text.to_owned(), Match::Exact, strictness).map(drop)
}

/// Checks a URI that only the router may use if it begins with `wamp.`.
pub(crate) fn unreserved(uri: &Uri) -> Result<(), Failure> {
    if uri.as_str().starts_with(RESERVED_PREFIX) {
        let message = format!("{uri}: URIs that begin with {RESERVED_PREFIX} are the router's own");
        return Err(Failure::refused(INVALID_URI, message));
    }
    Ok(())
}

/// The options of a payload that the router does not look into (specification, "Payload Passthru Mode"): what they
/// say is between the peers. Without a scheme there are none.
pub(crate) fn passthru(options: &Dict) -> Result<Dict, Failure> {
    let mut passthru = Dict::new();
    for name in ["ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid"] {
        match options.get(name) {
            None | Some(Value::Null) => {}
            Some(text @ Value::Str(_)) => {
                passthru.insert(name.to_owned(), text.clone());
            }
            Some(other) => return Err(wrong(name, "a string", other.kind())),
        }
    }
    let has_scheme =
        passthru.get("ppt_scheme").and_then(Value::as_str).is_some_and(|scheme| !scheme.is_empty());
    Ok(if has_scheme { passthru } else { Dict::new() })
}

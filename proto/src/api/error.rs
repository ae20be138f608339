//! What can go wrong for a caller: a URI to act on by program, and a sentence to act on by a person.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The kinds of error, each with its URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
pub enum ErrorKind {
    /// No such thing here (or not of this tenant, which looks the same).
    #[serde(rename = "ecep.error.not_found")]
    NotFound,
    /// It stands against the present state: the name is taken, the container runs, the image is in use.
    #[serde(rename = "ecep.error.conflict")]
    Conflict,
    /// The request itself is wrong.
    #[serde(rename = "ecep.error.invalid_argument")]
    InvalidArgument,
    /// Not now: the engine, the device or the control plane is out of reach. Trying again may help.
    #[serde(rename = "ecep.error.unavailable")]
    Unavailable,
    /// The role or the device's policy does not allow it.
    #[serde(rename = "ecep.error.forbidden")]
    Forbidden,
    /// The engine refused or failed.
    #[serde(rename = "ecep.error.engine")]
    Engine,
    /// A pre-flight check failed; the details list what, and how to mend it.
    #[serde(rename = "ecep.error.preflight")]
    Preflight,
    /// A limit of the device or the tenant is reached.
    #[serde(rename = "ecep.error.limit")]
    Limit,
}

impl ErrorKind {
    /// Each of them.
    pub const ALL: [ErrorKind; 8] = [
        ErrorKind::NotFound,
        ErrorKind::Conflict,
        ErrorKind::InvalidArgument,
        ErrorKind::Unavailable,
        ErrorKind::Forbidden,
        ErrorKind::Engine,
        ErrorKind::Preflight,
        ErrorKind::Limit,
    ];

    /// The URI on the wire.
    pub fn uri(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "ecep.error.not_found",
            ErrorKind::Conflict => "ecep.error.conflict",
            ErrorKind::InvalidArgument => "ecep.error.invalid_argument",
            ErrorKind::Unavailable => "ecep.error.unavailable",
            ErrorKind::Forbidden => "ecep.error.forbidden",
            ErrorKind::Engine => "ecep.error.engine",
            ErrorKind::Preflight => "ecep.error.preflight",
            ErrorKind::Limit => "ecep.error.limit",
        }
    }
}

/// An error as a caller gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema, TS, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Which kind; its URI is the URI of the WAMP ERROR.
    pub uri: ErrorKind,
    /// A sentence that says what is wrong and what to do.
    pub message: String,
    /// Particulars by key; an object, empty where there are none.
    #[serde(default)]
    #[ts(type = "Record<string, unknown>")]
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl ApiError {
    /// An error without particulars.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { uri: kind, message: message.into(), details: serde_json::Map::new() }
    }

    /// Adds one particular.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// The text of a deserializer's error without the strings that it quotes as values: they may be a secret in the wrong place.
pub fn without_values(text: &str) -> String {
    // As serde's `Unexpected` writes them.
    const QUOTED: &str = "string \"";
    const AFTER: &str = "\", expected ";
    let Some(begin) = text.find(QUOTED) else { return text.to_owned() };
    let end = text.rfind(AFTER).map_or(text.len(), |end| end + 1);
    format!("{}a string{}", &text[..begin], text.get(end.max(begin)..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where somebody puts a password into a field of another type, the error must not repeat it, whatever is in it.
    #[test]
    fn errors_repeat_no_values() {
        #[derive(Debug, Deserialize)]
        struct Form {
            #[expect(dead_code, reason = "it is never read")]
            number: u64,
        }
        for secret in ["hunter2", "a\", expected b", "x\\\"y", "string \"z"] {
            let error = serde_json::from_value::<Form>(serde_json::json!({ "number": secret })).unwrap_err();
            let told = without_values(&error.to_string());
            assert_eq!(told, "invalid type: a string, expected u64");
        }
        assert_eq!(without_values("missing field `x`"), "missing field `x`");
    }

    /// The URI a program sees in JSON and the one `uri()` gives must be the same.
    #[test]
    fn the_two_spellings_of_a_uri_agree() {
        for kind in ErrorKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.uri());
        }
    }
}

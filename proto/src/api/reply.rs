//! The `Reply` envelope in which callees that use `wamp_async` answer, since that crate cannot choose an
//! error URI. The router unfolds it: everybody else sees an ordinary RESULT or ERROR.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::error::ApiError;

/// No arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct Nothing {}

/// The keyword arguments of a YIELD from a `wamp_async` callee: exactly one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Becomes RESULT with this one positional argument.
    Ok(serde_json::Value),
    /// Becomes ERROR with that URI, the message as the one argument and the details as keyword arguments.
    Error(ApiError),
}

/// The key under which the router tells a `wamp_async` callee who called.
pub const CALLER_KEY: &str = "_caller";

/// Who called: the value of [`CALLER_KEY`] in the keyword arguments of an INVOCATION. The router
/// overwrites whatever the caller sent under that key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Caller {
    /// The caller's WAMP session id.
    pub session: u64,
    /// Who the caller was authenticated as.
    pub authid: String,
    /// In which role.
    pub authrole: String,
}

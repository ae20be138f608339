//! Notices: what a person should know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "snake_case")]
pub enum NoticeLevel {
    /// For information.
    Info,
    /// It went well.
    Success,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Error,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct Notice {
    /// How much it matters.
    pub level: NoticeLevel,
    /// A sentence.
    pub text: String,
    /// When, in milliseconds since 1970 by the control plane's clock.
    pub at: u64,
}

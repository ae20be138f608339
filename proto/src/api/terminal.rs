//! Terminals in containers. One is opened by a call, which is judged by role and by the device's policy and written into the audit; its
//! bytes travel through the agent's channel and a WebSocket of the control plane.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::name::{ContainerId, OperationId};

/// A terminal's id: it can be attached once, by somebody of the tenant.
pub type TerminalId = OperationId;

/// Opens a terminal: a command of its own in a running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields = nullable)]
pub struct OpenTerminal {
    /// Its ECEP id.
    pub container: ContainerId,
    /// What runs in it; the first of `bash` and `sh` that the container has if left out.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Its size; 80 × 24 if left out.
    #[serde(default)]
    pub size: Option<TerminalSize>,
}

/// How large a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
pub struct TerminalSize {
    /// 1 to 1,000.
    pub columns: u16,
    /// 1 to 1,000.
    pub rows: u16,
}

/// A terminal waits to be attached: `GET /api/tenants/{slug}/devices/{device}/terminals/{terminal}` as a WebSocket. Its binary messages are
/// the terminal's bytes, both ways; its text messages are [`TerminalSize`] to it and [`TerminalEnd`] from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct OpenedTerminal {
    /// Its id.
    pub terminal: TerminalId,
    /// For how many seconds it waits.
    pub waits_seconds: u32,
}

/// A terminal has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
pub struct TerminalEnd {
    /// The command's exit code, where it ended by itself.
    pub exit_code: Option<i64>,
    /// Why it ended otherwise, a sentence.
    pub reason: Option<String>,
}

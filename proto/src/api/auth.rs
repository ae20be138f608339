//! What the router asks the control plane about a client that wants to join a platform realm, and how the control
//! plane has its sessions ended again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::roles::Role;

/// Where the client connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transport {
    /// `websocket` or `rawsocket`.
    pub kind: String,
    /// The peer's address and port.
    pub peer: String,
}

/// The client's claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthenticateRequest {
    /// The realm it wants.
    pub realm: String,
    /// Who it says it is.
    pub authid: String,
    /// `ticket`.
    pub authmethod: String,
    /// Its secret. Never logged.
    pub ticket: String,
    /// Where it connected.
    pub transport: Transport,
}

/// The client is welcome. A refusal is an ERROR `ecep.error.forbidden`, whose message the client sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthenticateReply {
    /// Who it is.
    pub authid: String,
    /// In which role.
    pub authrole: Role,
    /// In how many milliseconds its access ends, and with it the session; never if it is left out. A span, since the
    /// clocks of router and control plane may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_in_ms: Option<u64>,
}

/// Whose access has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndSessionsRequest {
    /// Who.
    pub authid: String,
    /// On which platform realm; on all of them if it is left out.
    #[serde(default)]
    pub realm: Option<String>,
    /// A sentence for whoever is behind the sessions.
    pub reason: String,
}

/// They have been told and are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndSessionsReply {
    /// How many sessions there were.
    pub ended: u64,
}

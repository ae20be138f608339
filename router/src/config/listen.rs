//! Where the router listens.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One listening socket.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// What it speaks.
    pub kind: TransportKind,
    /// IP address and port; port 0 takes any free one, which is printed at the start.
    pub address: SocketAddr,
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// WebSocket, with the subprotocols `wamp.2.json` and `wamp.2.msgpack`, under any path.
    WebSocket,
    /// RawSocket over TCP.
    RawSocket,
}

impl TransportKind {
    /// The word in configuration and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::RawSocket => "rawsocket",
        }
    }
}

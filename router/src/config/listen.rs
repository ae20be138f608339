//! Where the router listens.

use std::net::SocketAddr;

use serde::Deserialize;

/// One listening socket.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// What it speaks.
    pub kind: TransportKind,
    /// Where.
    pub address: SocketAddr,
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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

//! Where the router listens.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AllowedOrigin;

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// What it speaks.
    pub kind: TransportKind,
    /// IP address and port, where port 0 takes any free one, which is printed at the start; or the path of a Unix socket,
    /// which begins with `/`. One that a router left behind is taken over.
    #[schemars(with = "String")]
    pub address: Address,
    /// Which web pages may come by WebSocket: their origins, such as `https://dashboard.example` or
    /// `http://10.0.0.1:8080`; `loopback` for those of this machine, on any port; `*` for all. A page whose host and port
    /// are those that its browser connects to may always come, unless `loopback` is in the list: names can be made to point here.
    /// Others are answered 403. Clients that are no browsers name no origin, and may come.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub allowed_origins: Vec<AllowedOrigin>,
}

impl Listen {
    /// Without pages of other origins.
    pub const fn new(kind: TransportKind, address: Address) -> Self {
        Self { kind, address, allowed_origins: Vec::new() }
    }
}

/// What no listener's key can say alone.
pub(super) fn mistakes(listen: &[Listen]) -> Vec<String> {
    let raw = |listen: &Listen| listen.kind == TransportKind::RawSocket && !listen.allowed_origins.is_empty();
    let wrong = listen.iter().enumerate().filter(|(_, listen)| raw(listen));
    wrong
        .map(|(number, _)| {
            format!(
                "listen[{number}].allowed_origins is for WebSocket; no page of a browser speaks RawSocket"
            )
        })
        .collect()
}

/// Where a socket listens: an address with a port, or the path of a Unix socket, which begins with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<(std::net::Ipv4Addr, u16)> for Address {
    fn from(address: (std::net::Ipv4Addr, u16)) -> Self {
        Self::Tcp(address.into())
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        let wrong = |_| {
            format!(
                "{text:?} is neither an address with a port, such as 127.0.0.1:8080, nor a path that begins with /"
            )
        };
        text.parse().map(Self::Tcp).map_err(wrong)
    }
}

/// As it is read.
impl From<Address> for String {
    fn from(address: Address) -> Self {
        match address {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => path.display().to_string(),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TransportKind {
    /// WebSocket, with the subprotocols `wamp.2.json`, `wamp.2.msgpack` and `wamp.2.cbor`, and each with `.batched`, under any path.
    WebSocket,
    /// RawSocket.
    RawSocket,
    /// Both: the client's first byte tells.
    Any,
}

impl TransportKind {
    /// The word in configuration and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::RawSocket => "rawsocket",
            Self::Any => "any",
        }
    }
}

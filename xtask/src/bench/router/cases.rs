//! What is measured: which load over which transport in which serializer. Nothing here does anything.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// A transport of WAMP. A router that is not WAMP has one, which stands beside RawSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// WebSocket.
    WebSocket,
    /// RawSocket over TCP.
    RawSocket,
    /// RawSocket over a Unix socket.
    Unix,
}

/// A serializer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serializer {
    /// JSON.
    Json,
    /// MessagePack.
    MsgPack,
    /// CBOR.
    Cbor,
}

impl Serializer {
    /// Its name on the generator's command line and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MsgPack => "msgpack",
            Self::Cbor => "cbor",
        }
    }
}

/// What the generator does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// So many calls are under way at any time.
    Calls(u32),
    /// One publisher, so many subscribers, a hundred publications under way.
    Events(u32),
    /// The same, as many publications as the router takes.
    Flood(u32),
    /// So many sessions that do nothing.
    Idle(u32),
}

impl Display for Load {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls(1) => f.pad("calls, one after the other"),
            Self::Calls(count) => write!(f, "calls, {count} in flight"),
            Self::Events(count) => write!(f, "events, 1 to {count}"),
            Self::Flood(count) => write!(f, "flood of events, 1 to {count}"),
            Self::Idle(count) => write!(f, "{count} idle sessions"),
        }
    }
}

/// One case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Case {
    /// Over what.
    pub transport: Transport,
    /// In what.
    pub serializer: Serializer,
    /// What happens.
    pub load: Load,
    /// Bytes of each payload.
    pub payload: u32,
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::WebSocket => "WebSocket",
            Transport::RawSocket => "RawSocket",
            Transport::Unix => "RawSocket on Unix",
        };
        write!(f, "{transport} {}, {} B: {}", self.serializer.name(), self.payload, self.load)
    }
}

/// How many idle sessions.
pub const IDLE: u32 = 10_000;

/// The payload of most cases.
pub const SMALL: u32 = 64;

/// What browsers speak.
pub const BROWSER: (Transport, Serializer) = (Transport::WebSocket, Serializer::Json);

/// What programs that want speed speak.
pub const FAST: (Transport, Serializer) = (Transport::RawSocket, Serializer::MsgPack);

/// A case with small payloads.
pub const fn small((transport, serializer): (Transport, Serializer), load: Load) -> Case {
    Case { transport, serializer, load, payload: SMALL }
}

/// Those that goals are set for.
pub fn quick() -> Vec<Case> {
    let loads = |way, loads: &[Load]| loads.iter().map(|load| small(way, *load)).collect::<Vec<_>>();
    use Load::{Calls, Events, Idle};
    [
        loads(BROWSER, &[Calls(1), Calls(10), Calls(100), Calls(1000), Events(1), Events(10), Events(1000)]),
        loads(FAST, &[Calls(1), Calls(100), Calls(1000), Events(10), Events(1000)]),
        loads(BROWSER, &[Idle(IDLE)]),
        loads(FAST, &[Idle(IDLE)]),
    ]
    .concat()
}

/// All of them: everything for what browsers speak and for what is fastest, the most telling loads for the other ways.
pub fn all() -> Vec<Case> {
    use Load::{Calls, Events, Flood, Idle};
    let mut cases = Vec::new();
    for way in [BROWSER, FAST] {
        let loads = [1, 10, 100, 1000].map(Calls).into_iter().chain([1, 10, 100, 1000].map(Events));
        cases.extend(loads.chain([Flood(10), Flood(1000)]).map(|load| small(way, load)));
        for payload in [1 << 10, 64 << 10] {
            cases.extend([Calls(100), Events(10)].map(|load| Case { payload, ..small(way, load) }));
        }
    }
    for way in [
        (Transport::WebSocket, Serializer::MsgPack),
        (Transport::WebSocket, Serializer::Cbor),
        (Transport::RawSocket, Serializer::Json),
        (Transport::RawSocket, Serializer::Cbor),
        (Transport::Unix, Serializer::Json),
        (Transport::Unix, Serializer::MsgPack),
        (Transport::Unix, Serializer::Cbor),
    ] {
        cases.extend([Calls(1), Calls(100), Events(10)].map(|load| small(way, load)));
    }
    // At the end, since a router may keep what it needed for them.
    cases.extend([BROWSER, FAST].map(|way| small(way, Idle(IDLE))));
    cases
}

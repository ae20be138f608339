//! What the connection needs of a transport: bytes to messages, messages to bytes. WebSocket and RawSocket are the two.
//! Neither touches a socket once its handshake is done: `pipe` reads and writes.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod autobahn_testsuite;
mod frame_ends;
pub(crate) mod pipe;
pub(crate) mod rawsocket;
pub(crate) mod stream;
pub(crate) mod websocket;

use std::collections::VecDeque;

use bytes::Bytes;
use ecep_proto::websocket::{Framing, Subprotocol};

use crate::outbound::Frame;
use crate::room::{NoRoom, Room};

/// Which keys of the configuration say how large a message may be.
const TOO_LARGE: &str =
    "limits.max_message_bytes, and limits.max_greeting_bytes before the session has joined";

/// What came from a client.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message, encoded.
    Message(Bytes),
    /// A sign of life that the transport wants to be answered with this.
    Answer(Frame),
    /// A sign of life.
    Alive,
    /// The client broke the transport's rules, and is not listened to any more.
    Violation(Violation),
    /// There is no room for what it sends, and it is not listened to any more.
    NoRoom(NoRoom),
    /// The client has said that it goes.
    Closed,
}

/// How a client broke the transport's rules.
#[derive(Debug)]
pub(crate) struct Violation {
    /// For the client.
    pub(crate) reason: String,
    /// How a WebSocket is closed for it.
    pub(crate) code: u16,
}

/// Makes messages from what comes.
pub(crate) enum Deframer {
    WebSocket(websocket::Deframer),
    RawSocket(rawsocket::Deframer),
}

impl Deframer {
    /// Takes what was read, and says what was in it. A message for which there was room takes that along.
    pub(crate) fn feed(&mut self, bytes: &[u8], room: &mut Room, incoming: &mut VecDeque<Incoming>) {
        match self {
            Self::WebSocket(deframer) => deframer.feed(bytes, room, incoming),
            Self::RawSocket(deframer) => deframer.feed(bytes, room, incoming),
        }
    }

    /// How much memory the message that has come in part takes when it is complete, as far as is known; 0 if there is
    /// none.
    pub(crate) fn needs(&self) -> usize {
        match self {
            Self::WebSocket(deframer) => deframer.needs(),
            Self::RawSocket(deframer) => deframer.needs(),
        }
    }

    /// Forgets what has come, and listens to nothing any more.
    pub(crate) fn abandon(&mut self) {
        match self {
            Self::WebSocket(deframer) => deframer.abandon(),
            Self::RawSocket(deframer) => deframer.abandon(),
        }
    }

    /// How the client tells the messages of a batch apart, if it sends batches.
    pub(crate) fn batches(&self) -> Option<Framing> {
        match self {
            Self::WebSocket(deframer) => deframer.batches(),
            Self::RawSocket(_) => None,
        }
    }

    /// The largest message that is taken from now on.
    pub(crate) fn limit(&mut self, max_bytes: usize) {
        match self {
            Self::WebSocket(deframer) => deframer.limit(max_bytes),
            Self::RawSocket(deframer) => deframer.limit(max_bytes),
        }
    }
}

/// How messages are wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framer {
    WebSocket {
        /// Binary frames, not text.
        binary: bool,
        /// Many messages in one frame, which are told apart like this.
        batches: Option<Framing>,
    },
    RawSocket,
}

impl Framer {
    pub(crate) fn websocket(subprotocol: Subprotocol) -> Self {
        Self::WebSocket { binary: subprotocol.serializer.is_binary(), batches: subprotocol.framing() }
    }

    /// Writes what stands before so many bytes of content.
    pub(crate) fn begin(self, length: usize, output: &mut Vec<u8>) {
        match self {
            Self::WebSocket { binary, .. } => websocket::begin(length, binary, output),
            Self::RawSocket => rawsocket::begin(length, output),
        }
    }

    /// Writes what asks for a sign of life.
    pub(crate) fn ping(self, output: &mut Vec<u8>) {
        match self {
            Self::WebSocket { .. } => websocket::ping(output),
            Self::RawSocket => rawsocket::ping(output),
        }
    }

    /// Writes what ends a connection in the transport's own way.
    pub(crate) fn close(self, code: u16, output: &mut Vec<u8>) {
        match self {
            Self::WebSocket { .. } => websocket::close(code, output),
            Self::RawSocket => {}
        }
    }
}

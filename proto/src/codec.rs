//! From messages to bytes and back: which serializers there are, what they are called on the transports, and
//! the bounds that hold for all of them.

mod json;
mod msgpack;

use bytes::Bytes;

use crate::error::DecodeError;
use crate::message::Message;
use crate::value::Dict;

/// The largest message that any transport can carry: RawSocket's length field ends there (2^24). Transports set
/// lower limits of their own.
pub const MAX_MESSAGE_BYTES: usize = 1 << 24;

/// A way to write messages as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Serializer {
    /// JSON, UTF-8.
    Json,
    /// MessagePack.
    MsgPack,
}

impl Serializer {
    /// All of them, in the order in which tables are built.
    pub const ALL: [Self; 2] = [Self::Json, Self::MsgPack];

    /// The name of the WebSocket subprotocol.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::MsgPack => "wamp.2.msgpack",
        }
    }

    /// The serializer of this WebSocket subprotocol.
    pub fn from_subprotocol(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|serializer| serializer.subprotocol() == name)
    }

    /// The number in RawSocket's handshake.
    pub const fn rawsocket_id(self) -> u8 {
        match self {
            Self::Json => 1,
            Self::MsgPack => 2,
        }
    }

    /// The serializer of this number in RawSocket's handshake.
    pub fn from_rawsocket_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|serializer| serializer.rawsocket_id() == id)
    }

    /// Whether WebSocket carries it in binary frames.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::MsgPack)
    }

    /// Writes a message. Floats that JSON lacks (NaN, infinities) become null there.
    pub fn encode(self, message: &Message) -> Bytes {
        Bytes::from(match self {
            Self::Json => json::encode(message),
            Self::MsgPack => msgpack::encode(message),
        })
    }

    /// Reads a message.
    ///
    /// # Errors
    /// Says what is wrong with the bytes, for whoever sent them.
    pub fn decode(self, bytes: &[u8]) -> Result<Message, DecodeError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        Message::from_value(match self {
            Self::Json => json::decode(bytes)?,
            Self::MsgPack => msgpack::decode(bytes)?,
        })
    }
}

/// A dictionary as one text of JSON, for peers that can take nothing else. None if it can't be written, which
/// for values that a codec read does not happen.
pub fn dict_to_json(dict: &Dict) -> Option<String> {
    serde_json::to_string(dict).ok()
}

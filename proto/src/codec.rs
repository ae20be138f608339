//! From messages to bytes and back: which serializers there are, what they are called on the transports, and
//! the bounds that hold for all of them.

mod binary;
mod cbor;
mod json;
mod msgpack;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod write;

use bytes::Bytes;

use self::write::Write;
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
    /// CBOR.
    Cbor,
}

impl Serializer {
    /// All of them, in the order in which tables are built.
    pub const ALL: [Self; 3] = [Self::Json, Self::MsgPack, Self::Cbor];

    /// The name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::MsgPack => "MessagePack",
            Self::Cbor => "CBOR",
        }
    }

    /// The name of the WebSocket subprotocol.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::MsgPack => "wamp.2.msgpack",
            Self::Cbor => "wamp.2.cbor",
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
            Self::Cbor => 3,
        }
    }

    /// The serializer of this number in RawSocket's handshake.
    pub fn from_rawsocket_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|serializer| serializer.rawsocket_id() == id)
    }

    /// Whether WebSocket carries it in binary frames.
    pub const fn is_binary(self) -> bool {
        !matches!(self, Self::Json)
    }

    /// Writes a message. A payload that came in this serializer is copied as it came; floats that JSON lacks (NaN,
    /// infinities) become null there.
    pub fn encode(self, message: &Message) -> Bytes {
        fn encode<W: Write>(message: &Message) -> Bytes {
            let mut writer = W::with_capacity(message.size_hint(W::SERIALIZER));
            message.write(&mut writer);
            Bytes::from(writer.into_bytes().into_boxed_slice())
        }
        match self {
            Self::Json => encode::<json::Writer>(message),
            Self::MsgPack => encode::<msgpack::Writer>(message),
            Self::Cbor => encode::<cbor::Writer>(message),
        }
    }

    /// Reads a message. Its payload is checked but not read: it stays the part of the frame that it is.
    ///
    /// # Errors
    /// Says what is wrong with the bytes, for whoever sent them.
    pub fn decode(self, frame: Bytes) -> Result<Message, DecodeError> {
        if frame.len() > MAX_MESSAGE_BYTES {
            return Err(DecodeError::TooLarge(frame.len()));
        }
        match self {
            Self::Json => Message::read::<json::Reader>(self, &frame),
            Self::MsgPack => Message::read::<msgpack::Reader>(self, &frame),
            Self::Cbor => Message::read::<cbor::Reader>(self, &frame),
        }
    }
}

/// A dictionary as one text of JSON, for peers that can take nothing else. None if it can't be written, which
/// for values that a codec read does not happen.
pub fn dict_to_json(dict: &Dict) -> Option<String> {
    serde_json::to_string(dict).ok()
}

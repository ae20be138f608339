//! WAMP over WebSocket as pure functions: the names of the subprotocols, and how several messages travel in one
//! WebSocket message (specification, "Message Batching"). Must not know sockets.

use bytes::{Buf, Bytes};
use thiserror::Error;

use crate::codec::Serializer;

/// Ends each message of a batch in JSON: the record separator.
const SEPARATOR: u8 = 0x1e;

/// What autobahn for Python ends it with instead: it reads the specification's `\30` as an octal number. JSON can
/// hold neither of the two.
const OCTAL_SEPARATOR: u8 = 0x18;

/// The bytes of a length before a message.
const LENGTH_BYTES: usize = 4;

/// What is agreed on in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subprotocol {
    /// How messages are written.
    pub serializer: Serializer,
    /// Whether each WebSocket message is a batch, even of one.
    pub batched: bool,
}

impl Subprotocol {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self { serializer: Serializer::Json, batched: false },
        Self { serializer: Serializer::MsgPack, batched: false },
        Self { serializer: Serializer::Cbor, batched: false },
        Self { serializer: Serializer::Json, batched: true },
        Self { serializer: Serializer::MsgPack, batched: true },
        Self { serializer: Serializer::Cbor, batched: true },
    ];

    /// The name in the handshake.
    pub const fn name(self) -> &'static str {
        match (self.serializer, self.batched) {
            (serializer, false) => serializer.subprotocol(),
            (Serializer::Json, true) => "wamp.2.json.batched",
            (Serializer::MsgPack, true) => "wamp.2.msgpack.batched",
            (Serializer::Cbor, true) => "wamp.2.cbor.batched",
        }
    }

    /// The one with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subprotocol| subprotocol.name() == name)
    }

    /// How the messages of a batch are told apart; none if there are no batches.
    pub const fn framing(self) -> Option<Framing> {
        match (self.batched, self.serializer) {
            (false, _) => None,
            (true, Serializer::Json) => Some(Framing::Separated(SEPARATOR)),
            (true, _) => Some(Framing::Sized),
        }
    }
}

/// How the messages of a batch are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// This byte follows each of them.
    Separated(u8),
    /// Its length in four bytes comes before each of them.
    Sized,
}

impl Framing {
    /// The same, but with the separator that the peer uses in this batch of its own.
    #[must_use]
    pub fn like(self, batch: &[u8]) -> Self {
        match (self, batch.last()) {
            (Self::Separated(_), Some(&OCTAL_SEPARATOR)) => Self::Separated(OCTAL_SEPARATOR),
            _ => self,
        }
    }

    /// How many bytes a message of this length adds to a batch.
    pub const fn bytes(self, length: usize) -> usize {
        match self {
            Self::Separated(_) => length + 1,
            Self::Sized => length + LENGTH_BYTES,
        }
    }

    /// Adds an encoded message to a batch; it is shorter than [`crate::codec::MAX_MESSAGE_BYTES`].
    pub fn append(self, message: &[u8], batch: &mut Vec<u8>) {
        match self {
            Self::Separated(separator) => {
                batch.extend_from_slice(message);
                batch.push(separator);
            }
            Self::Sized => {
                batch.extend_from_slice(&(message.len() as u32).to_be_bytes());
                batch.extend_from_slice(message);
            }
        }
    }

    /// The messages of a batch, in order. After an error there are no more.
    pub const fn split(self, batch: Bytes) -> Messages {
        Messages { framing: self, rest: Some(batch), count: 0 }
    }
}

/// Why something is no batch. The text goes to the peer that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    /// No message at all.
    #[error("a batch holds one message at least")]
    Empty,
    /// The last message is not ended.
    #[error("the byte {0:02x} must follow each message of a batch, the last one too")]
    Unterminated(u8),
    /// A message of no bytes.
    #[error("a message of a batch can't be empty")]
    EmptyMessage,
    /// More than [`MAX_BATCH_MESSAGES`].
    #[error("a batch holds {MAX_BATCH_MESSAGES} messages at most")]
    TooMany,
    /// A message is shorter than it claims to be.
    #[error("a batch ends inside of a message or of its length")]
    Truncated,
}

/// Messages of one batch: what is kept for each of them would outweigh a message of a few bytes.
pub const MAX_BATCH_MESSAGES: usize = 65_536;

/// The messages of a batch.
#[derive(Clone, Debug)]
pub struct Messages {
    framing: Framing,
    rest: Option<Bytes>,
    /// How many there were.
    count: usize,
}

impl Iterator for Messages {
    type Item = Result<Bytes, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        // It comes back if all is well.
        let mut rest = self.rest.take()?;
        if rest.is_empty() {
            return (self.count == 0).then_some(Err(BatchError::Empty));
        }
        if self.count == MAX_BATCH_MESSAGES {
            return Some(Err(BatchError::TooMany));
        }
        self.count += 1;
        let message = match self.framing {
            Framing::Separated(separator) => {
                let Some(end) = rest.iter().position(|byte| *byte == separator) else {
                    return Some(Err(BatchError::Unterminated(separator)));
                };
                let message = rest.split_to(end);
                rest.advance(1);
                message
            }
            Framing::Sized => {
                let Ok(length) = rest.try_get_u32() else { return Some(Err(BatchError::Truncated)) };
                if length as usize > rest.len() {
                    return Some(Err(BatchError::Truncated));
                }
                rest.split_to(length as usize)
            }
        };
        if message.is_empty() {
            return Some(Err(BatchError::EmptyMessage));
        }
        self.rest = Some(rest);
        Some(Ok(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(framing: Framing, batch: &'static [u8]) -> Vec<Result<Bytes, BatchError>> {
        framing.split(Bytes::from_static(batch)).collect()
    }

    /// Clients find their subprotocol by its name.
    #[test]
    fn names() {
        for subprotocol in Subprotocol::ALL {
            assert_eq!(Subprotocol::from_name(subprotocol.name()), Some(subprotocol));
        }
        assert_eq!(Subprotocol::from_name("wamp.2.json.batch"), None);
    }

    /// As the specification draws it; a batch of nothing, or of less than it says, is refused.
    #[test]
    fn batches() {
        let json = Framing::Separated(SEPARATOR);
        assert_eq!(split(json, b"[1]\x1e[2]\x1e"), [Ok("[1]".into()), Ok("[2]".into())]);
        assert_eq!(split(json, b"[1]\x1e[2]"), [Ok("[1]".into()), Err(BatchError::Unterminated(0x1e))]);
        assert_eq!(split(Framing::Sized, b"\0\0\0\x01a\0\0\0\x02bc"), [Ok("a".into()), Ok("bc".into())]);
        for broken in [b"\0\0\0\x02a".as_slice(), b"\0\0\0", b"\xff\xff\xff\xffa"] {
            assert_eq!(split(Framing::Sized, broken), [Err(BatchError::Truncated)]);
        }
        for framing in [json, Framing::Sized] {
            assert_eq!(split(framing, b""), [Err(BatchError::Empty)]);
        }
        assert_eq!(split(json, b"\x1e\x1e"), [Err(BatchError::EmptyMessage)]);
        assert_eq!(split(Framing::Sized, &[0; 8]), [Err(BatchError::EmptyMessage)]);
        let many = Bytes::from(b"1\x1e".repeat(MAX_BATCH_MESSAGES + 1));
        assert_eq!(json.split(many).last(), Some(Err(BatchError::TooMany)));
    }

    /// autobahn for Python ends messages with 0x18, and understands nothing else.
    #[test]
    fn octal_separator() {
        let framing = Framing::Separated(SEPARATOR).like(b"[1]\x18");
        assert_eq!(split(framing, b"[1]\x18"), [Ok("[1]".into())]);
        let mut batch = Vec::new();
        framing.append(b"[2]", &mut batch);
        assert_eq!((batch.as_slice(), batch.len()), (b"[2]\x18".as_slice(), framing.bytes(3)));
        assert_eq!(Framing::Separated(SEPARATOR).like(b"[1]\x1e"), Framing::Separated(SEPARATOR));
        assert_eq!(Framing::Sized.like(b"\x18"), Framing::Sized);
    }
}

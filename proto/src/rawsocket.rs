//! WAMP RawSocket (specification, "RawSocket Transport") as pure functions: the handshake of four bytes and the
//! frame header of four bytes. Must not know sockets.

use thiserror::Error;

use crate::codec::Serializer;

/// The first byte of a handshake.
pub const MAGIC: u8 = 0x7f;

/// The size of a handshake, and of a frame's header.
pub const HEADER_BYTES: usize = 4;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The peer speaks something else.
    #[error("this is a WAMP RawSocket port: the first byte must be 7f, not {0:02x}")]
    Magic(u8),
    /// The serializer is not offered.
    #[error("serializer {0} is not offered here: use 1 (JSON), 2 (MessagePack) or 3 (CBOR)")]
    Serializer(u8),
    /// The reserved bytes are in use.
    #[error("the last two bytes of the handshake are reserved and must be 0")]
    Reserved,
    /// The router refused, by a code of the specification.
    #[error("the router refused the handshake with code {0}")]
    Refused(u8),
}

impl HandshakeError {
    /// What the router answers before it closes; nothing to a peer that speaks something else.
    pub const fn answer(self) -> Option<[u8; HEADER_BYTES]> {
        match self {
            Self::Magic(_) | Self::Refused(_) => None,
            Self::Serializer(_) => Some([MAGIC, 0x10, 0, 0]),
            Self::Reserved => Some([MAGIC, 0x30, 0, 0]),
        }
    }
}

/// What one side says in the handshake: its serializer, and the longest message that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// How messages are written.
    pub serializer: Serializer,
    /// The longest message that the sender takes, in bytes: a power of two from 2^9 to 2^24.
    pub max_bytes: usize,
}

impl Handshake {
    /// What can be announced without promising more than `limit` bytes (but never less than 512, the least
    /// that the handshake can say).
    pub fn new(serializer: Serializer, limit: usize) -> Self {
        let exponent = limit.max(1 << 9).ilog2().min(24);
        Self { serializer, max_bytes: 1 << exponent }
    }

    /// The four bytes. Client and router send the same form.
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        // 9 to 24 become 0 to 15, so the number fits four bits.
        let length = (self.max_bytes.ilog2().clamp(9, 24) - 9) as u8;
        [MAGIC, length << 4 | self.serializer.rawsocket_id(), 0, 0]
    }

    /// Reads what a client or router sent.
    ///
    /// # Errors
    /// Says what the router should answer, see [`HandshakeError::answer`].
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, HandshakeError> {
        let [magic, what, reserved @ ..] = bytes;
        if magic != MAGIC {
            return Err(HandshakeError::Magic(magic));
        }
        if what & 0x0f == 0 {
            return Err(HandshakeError::Refused(what >> 4));
        }
        let Some(serializer) = Serializer::from_rawsocket_id(what & 0x0f) else {
            return Err(HandshakeError::Serializer(what & 0x0f));
        };
        if reserved != [0, 0] {
            return Err(HandshakeError::Reserved);
        }
        Ok(Self { serializer, max_bytes: 1 << (9 + (what >> 4)) })
    }
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A WAMP message.
    Message,
    /// Asks for a PONG with the same content.
    Ping,
    /// Answers a PING.
    Pong,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What follows.
    pub kind: FrameKind,
    /// How many bytes follow.
    pub length: usize,
}

/// The first byte of a frame has a type that is not in the specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} is no RawSocket frame type")]
pub struct FrameError(pub u8);

impl FrameHeader {
    /// The four bytes; none if the length is 2^24 or more (for 2^24 itself, the protocol uses a bit that we
    /// don't).
    pub fn encode(self) -> Option<[u8; HEADER_BYTES]> {
        let length = u32::try_from(self.length).ok().filter(|length| *length < 1 << 24)?;
        let kind = match self.kind {
            FrameKind::Message => 0,
            FrameKind::Ping => 1,
            FrameKind::Pong => 2,
        };
        let [_, high, middle, low] = length.to_be_bytes();
        Some([kind, high, middle, low])
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// The type is unknown.
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let [first, high, middle, low] = bytes;
        let kind = match first {
            0 => FrameKind::Message,
            1 => FrameKind::Ping,
            2 => FrameKind::Pong,
            unknown => return Err(FrameError(unknown)),
        };
        Ok(Self { kind, length: u32::from_be_bytes([0, high, middle, low]) as usize })
    }
}

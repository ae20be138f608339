//! The frames of a transfer: one byte of kind, four of length (big endian), the payload. Every length is checked before
//! anything is allocated. Bytes only: what follows what is for sender and receiver to know.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::name::ItemName;

/// Bytes of content in a chunk, at most: one disk read, a few milliseconds on a slow link.
pub const CHUNK: usize = 256 * 1024;
/// A hash of BLAKE3.
pub(crate) const HASH: usize = 32;
/// The longest payload: a chunk and its hash.
const MAX_PAYLOAD: usize = HASH + CHUNK;
/// The longest of everything but chunks.
const MAX_SMALL: usize = 4 * 1024;
/// Kind and length.
pub(crate) const HEAD: usize = 5;

/// A file or a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The content is the file.
    File,
    /// The content is an archive of the tree.
    Tree,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Its name.
    pub name: ItemName,
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes, where it is known beforehand.
    pub length: Option<u64>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Sender: the next item.
    Item(Announcement),
    /// Receiver: this much of it is here, and its hash.
    Have {
        /// Bytes.
        offset: u64,
        /// Their BLAKE3 hash.
        hash: [u8; HASH],
    },
    /// Sender: the content follows from this byte; it is either what the receiver has, or 0 (what it has is not ours).
    Start {
        /// The byte.
        offset: u64,
    },
    /// Sender: the next bytes.
    Chunk {
        /// BLAKE3 of the content, before compression.
        hash: [u8; HASH],
        /// Whether `data` is a zstd frame.
        is_compressed: bool,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Sender: that was all of it.
    End {
        /// Bytes in the whole.
        length: u64,
        /// BLAKE3 of the whole.
        hash: [u8; HASH],
    },
    /// Receiver: the item is in its place, verified and on the disk.
    Stored,
    /// Sender: no more items. Receiver: understood.
    Finished,
    /// Either: I am at work.
    Working,
    /// Either: I give up, and why.
    Failed(String),
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A kind of a newer version.
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    /// Longer than its kind may be.
    #[error("a frame of kind {kind} with {length} bytes")]
    TooLong {
        /// Its kind.
        kind: u8,
        /// Its length.
        length: usize,
    },
    /// A payload that can't be read.
    #[error("a damaged frame of kind {kind}: {what}")]
    Malformed {
        /// Its kind.
        kind: u8,
        /// What is wrong.
        what: String,
    },
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Item(_) => 1,
            Self::Have { .. } => 2,
            Self::Start { .. } => 3,
            Self::Chunk { is_compressed: false, .. } => 4,
            Self::Chunk { is_compressed: true, .. } => 5,
            Self::End { .. } => 6,
            Self::Stored => 7,
            Self::Finished => 8,
            Self::Working => 9,
            Self::Failed(_) => 10,
        }
    }

    /// As bytes.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let kind = self.kind();
        let mut bytes = vec![kind, 0, 0, 0, 0];
        match self {
            Self::Item(item) => serde_json::to_writer(&mut bytes, item)
                .map_err(|error| WireError::Malformed { kind, what: error.to_string() })?,
            Self::Have { offset: number, hash } | Self::End { length: number, hash } => {
                bytes.extend_from_slice(&number.to_be_bytes());
                bytes.extend_from_slice(hash);
            }
            Self::Start { offset } => bytes.extend_from_slice(&offset.to_be_bytes()),
            Self::Chunk { hash, data, .. } => {
                bytes.reserve_exact(HASH + data.len());
                bytes.extend_from_slice(hash);
                bytes.extend_from_slice(data);
            }
            Self::Failed(why) => {
                let mut end = why.len().min(MAX_SMALL);
                while !why.is_char_boundary(end) {
                    end -= 1;
                }
                bytes.extend_from_slice(&why.as_bytes()[..end]);
            }
            Self::Stored | Self::Finished | Self::Working => {}
        }
        let length = bytes.len() - HEAD;
        check_length(kind, length)?;
        let length = u32::try_from(length).map_err(|_| WireError::TooLong { kind, length })?;
        bytes[1..HEAD].copy_from_slice(&length.to_be_bytes());
        Ok(bytes)
    }

    /// From a kind and its payload.
    pub fn decode(kind: u8, payload: Vec<u8>) -> Result<Self, WireError> {
        let malformed = |what: &str| WireError::Malformed { kind, what: what.to_owned() };
        check_length(kind, payload.len())?;
        let number_and_hash = || -> Option<(u64, [u8; HASH])> {
            let (number, hash) = payload.split_at_checked(8)?;
            Some((u64::from_be_bytes(number.try_into().ok()?), hash.try_into().ok()?))
        };
        let empty = |frame| if payload.is_empty() { Ok(frame) } else { Err(malformed("it should be empty")) };
        match kind {
            1 => serde_json::from_slice(&payload)
                .map(Self::Item)
                .map_err(|error| malformed(&error.to_string())),
            2 => number_and_hash()
                .map(|(offset, hash)| Self::Have { offset, hash })
                .ok_or_else(|| malformed("not a number and a hash")),
            3 => payload
                .try_into()
                .map(|bytes| Self::Start { offset: u64::from_be_bytes(bytes) })
                .map_err(|_| malformed("not a number")),
            4 | 5 => {
                let Some(hash) = payload.first_chunk::<HASH>().copied() else {
                    return Err(malformed("no hash"));
                };
                let mut data = payload;
                data.drain(..HASH);
                Ok(Self::Chunk { hash, is_compressed: kind == 5, data })
            }
            6 => number_and_hash()
                .map(|(length, hash)| Self::End { length, hash })
                .ok_or_else(|| malformed("not a number and a hash")),
            7 => empty(Self::Stored),
            8 => empty(Self::Finished),
            9 => empty(Self::Working),
            10 => String::from_utf8(payload).map(Self::Failed).map_err(|_| malformed("not UTF-8")),
            _ => Err(WireError::UnknownKind(kind)),
        }
    }
}

fn check_length(kind: u8, length: usize) -> Result<(), WireError> {
    let longest = match kind {
        4 | 5 => MAX_PAYLOAD,
        1..=10 => MAX_SMALL,
        _ => return Err(WireError::UnknownKind(kind)),
    };
    if length > longest { Err(WireError::TooLong { kind, length }) } else { Ok(()) }
}

/// What reading a frame can end with.
pub(crate) enum ReadError {
    Stream(io::Error),
    Wire(WireError),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Stream(error)
    }
}

impl From<WireError> for ReadError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Reads one frame. Not cancel-safe.
pub(crate) async fn read_frame(io: &mut (impl AsyncRead + Unpin)) -> Result<Frame, ReadError> {
    let kind = io.read_u8().await?;
    let length = io.read_u32().await? as usize;
    check_length(kind, length)?;
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await?;
    Ok(Frame::decode(kind, payload)?)
}

/// Writes one encoded frame and flushes it.
pub(crate) async fn write_bytes(io: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    io.write_all(bytes).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let hash = any::<[u8; HASH]>();
        prop_oneof![
            ("[a-z]{1,20}", any::<Option<u64>>()).prop_map(|(name, length)| Frame::Item(Announcement {
                name: name.parse().unwrap(),
                kind: Kind::Tree,
                length
            })),
            (any::<u64>(), hash).prop_map(|(offset, hash)| Frame::Have { offset, hash }),
            any::<u64>().prop_map(|offset| Frame::Start { offset }),
            (any::<[u8; HASH]>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..2000))
                .prop_map(|(hash, is_compressed, data)| Frame::Chunk { hash, is_compressed, data }),
            (any::<u64>(), any::<[u8; HASH]>()).prop_map(|(length, hash)| Frame::End { length, hash }),
            Just(Frame::Stored),
            Just(Frame::Finished),
            Just(Frame::Working),
            ".{0,100}".prop_map(Frame::Failed),
        ]
    }

    fn read(mut bytes: &[u8]) -> Result<Frame, ReadError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read_frame(&mut bytes))
    }

    proptest! {
        /// No bytes of a peer may panic the parser or make it allocate more than a chunk.
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0u8..12) {
            drop(read(&bytes));
            drop(Frame::decode(kind, bytes));
        }

        /// What was written is read, alone and cut short never.
        #[test]
        fn round_trip(frame in frames(), cut in 1usize..5) {
            let bytes = frame.encode().unwrap();
            prop_assert_eq!(read(&bytes).ok(), Some(frame));
            prop_assert!(read(&bytes[..bytes.len() - cut]).is_err());
        }
    }

    /// A peer may not make us allocate what it merely announces.
    #[test]
    fn a_long_announcement_is_refused_at_once() {
        for kind in 0..=11u8 {
            assert!(matches!(read(&[kind, 0xff, 0xff, 0xff, 0xff]), Err(ReadError::Wire(_))), "kind {kind}");
        }
    }
}

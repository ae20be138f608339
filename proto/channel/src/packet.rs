//! Packets on a stream: one byte of kind, four of length (big endian), the payload. The length is checked before anything
//! is allocated. What the kinds mean is for `output` and `terminal` to know.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of one payload at most: a line of output whose bytes were all replaced, or what a terminal says at once.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// Kind and length.
const HEAD: usize = 5;

/// Reads one packet; none where the peer has ended the stream between two. Not cancel-safe.
pub(crate) async fn read_packet(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u8, Vec<u8>)>> {
    let mut head = [0; HEAD];
    if io.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    io.read_exact(&mut head[1..]).await?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > MAX_PAYLOAD {
        return Err(malformed(format!("a packet of {length} bytes; at most {MAX_PAYLOAD} are allowed")));
    }
    let mut payload = vec![0; length];
    io.read_exact(&mut payload).await?;
    Ok(Some((head[0], payload)))
}

/// Writes one packet out of these parts. Does not flush.
pub(crate) async fn write_packet(
    io: &mut (impl AsyncWrite + Unpin),
    kind: u8,
    parts: &[&[u8]],
) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).ok().filter(|length| *length as usize <= MAX_PAYLOAD);
    let length = length.ok_or_else(|| malformed(format!("a packet of more than {MAX_PAYLOAD} bytes")))?;
    let mut bytes = Vec::with_capacity(HEAD + length as usize);
    bytes.push(kind);
    bytes.extend_from_slice(&length.to_be_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    io.write_all(&bytes).await
}

/// A payload that is JSON.
pub(crate) fn from_json<T: DeserializeOwned>(payload: &[u8]) -> io::Result<T> {
    serde_json::from_slice(payload).map_err(|error| malformed(error.to_string()))
}

/// A payload that is to be JSON.
pub(crate) fn to_json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| malformed(error.to_string()))
}

pub(crate) fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

//! One JSON message on a stream: four bytes of length (big endian), then the text. The length is checked before
//! anything is allocated. Knows no message's meaning.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest JSON message: a header with a grant in it has less than 2 KiB; the rest is room for later fields.
pub const MAX_MESSAGE: usize = 8 * 1024;

/// Why a message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream broke or ended.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// More than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes; at most {MAX_MESSAGE} are allowed")]
    TooLong(usize),
    /// Not what was expected.
    #[error("a message that this version does not understand: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Writes one message and flushes it.
pub async fn write_message<T: Serialize>(
    io: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), FrameError> {
    let text = serde_json::to_vec(message)?;
    if text.len() > MAX_MESSAGE {
        return Err(FrameError::TooLong(text.len()));
    }
    let mut bytes = Vec::with_capacity(4 + text.len());
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&text);
    io.write_all(&bytes).await?;
    Ok(io.flush().await?)
}

/// Reads one message. Not cancel-safe: a stream whose reading was given up is of no more use.
pub async fn read_message<T: DeserializeOwned>(io: &mut (impl AsyncRead + Unpin)) -> Result<T, FrameError> {
    let length = io.read_u32().await? as usize;
    if length > MAX_MESSAGE {
        return Err(FrameError::TooLong(length));
    }
    let mut text = vec![0; length];
    io.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Value, FrameError> {
        let mut bytes = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read_message(&mut bytes))
    }

    /// A peer may not make us allocate what it merely announces.
    #[test]
    fn a_long_announcement_is_refused_at_once() {
        assert!(matches!(read(&[0xff, 0xff, 0xff, 0xff]), Err(FrameError::TooLong(_))));
    }

    proptest! {
        /// No bytes of a peer may panic the reader.
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&bytes));
        }

        /// What was written is read.
        #[test]
        fn round_trip(text in ".{0,300}") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut bytes = Vec::new();
            runtime.block_on(write_message(&mut bytes, &text)).unwrap();
            prop_assert_eq!(read(&bytes).unwrap(), Value::String(text));
        }
    }
}

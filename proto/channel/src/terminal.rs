//! What goes to and fro on a terminal's stream, after a [`crate::header::Header::Terminal`]: bytes both ways, sizes to the
//! device, and at last from the device how it ended. Knows neither engines nor browsers.

use std::io;

use ecep_proto::api::terminal::{TerminalEnd, TerminalSize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::packet::{from_json, malformed, read_packet, to_json, write_packet};

const BYTES: u8 = 1;
const SIZE: u8 = 2;
const END: u8 = 3;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminalFrame {
    /// What is typed, or shown. At most [`crate::packet::MAX_PAYLOAD`].
    Bytes(Vec<u8>),
    /// To the device: another size.
    Size(TerminalSize),
    /// From the device: it is over.
    End(TerminalEnd),
}

impl TerminalFrame {
    /// Reads the next one; none where the other end has gone. Not cancel-safe.
    ///
    /// # Errors
    /// The stream broke, or these are no frames.
    pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let Some((kind, payload)) = read_packet(io).await? else { return Ok(None) };
        let frame = match kind {
            BYTES => Self::Bytes(payload),
            SIZE => Self::Size(from_json(&payload)?),
            END => Self::End(from_json(&payload)?),
            other => return Err(malformed(format!("a terminal's frame of unknown kind {other}"))),
        };
        Ok(Some(frame))
    }

    /// Writes it and flushes: a key that was pressed waits for nothing.
    ///
    /// # Errors
    /// The stream broke.
    pub async fn write(&self, io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => write_packet(io, BYTES, &[bytes]).await?,
            Self::Size(size) => write_packet(io, SIZE, &[&to_json(size)?]).await?,
            Self::End(end) => write_packet(io, END, &[&to_json(end)?]).await?,
        }
        io.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written is read, each as what it was.
    #[tokio::test]
    async fn round_trip() {
        let frames = [
            TerminalFrame::Bytes(vec![0, 1, 2, 0xff]),
            TerminalFrame::Size(TerminalSize { columns: 80, rows: 24 }),
            TerminalFrame::End(TerminalEnd { exit_code: Some(3), reason: None }),
        ];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.write(&mut bytes).await.unwrap();
        }
        let mut read = bytes.as_slice();
        for frame in frames {
            assert_eq!(TerminalFrame::read(&mut read).await.unwrap(), Some(frame));
        }
        assert_eq!(TerminalFrame::read(&mut read).await.unwrap(), None);
    }
}

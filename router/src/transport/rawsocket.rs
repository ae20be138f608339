//! WAMP over RawSocket (TCP): the handshake, length-prefixed frames, PING and PONG.

use std::io;

use bytes::{Bytes, BytesMut};
use ecep_proto::rawsocket::{FrameHeader, FrameKind, HEADER_BYTES, Handshake};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{FrameReader, FrameWriter, Incoming};
use crate::outbound::Frame;

/// As much is taken for a frame before its bytes are there; the rest of a claimed length only as they come.
const TRUSTED_BYTES: usize = 16 << 10;

/// Buffers of a connection, as for WebSocket.
const BUFFER_BYTES: usize = 8 << 10;

pub(crate) struct Reader {
    stream: BufReader<OwnedReadHalf>,
    max_bytes: usize,
}

pub(crate) struct Writer(BufWriter<OwnedWriteHalf>);

/// Answers the handshake; what the client said is returned. A refusal is written before the error is.
pub(crate) async fn accept(
    mut stream: TcpStream,
    max_message_bytes: usize,
) -> io::Result<(Reader, Writer, Handshake)> {
    let mut bytes = [0; HEADER_BYTES];
    stream.read_exact(&mut bytes).await?;
    let theirs = match Handshake::decode(bytes) {
        Ok(handshake) => handshake,
        Err(error) => {
            if let Some(answer) = error.answer() {
                stream.write_all(&answer).await?;
            }
            stream.shutdown().await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    };
    let ours = Handshake::new(theirs.serializer, max_message_bytes);
    stream.write_all(&ours.encode()).await?;
    let (read, write) = stream.into_split();
    let reader = Reader { stream: BufReader::with_capacity(BUFFER_BYTES, read), max_bytes: ours.max_bytes };
    Ok((reader, Writer(BufWriter::with_capacity(BUFFER_BYTES, write)), theirs))
}

impl Reader {
    async fn read(&mut self) -> io::Result<Incoming> {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).await?;
        let header = match FrameHeader::decode(header) {
            Ok(header) => header,
            Err(error) => return Ok(Incoming::Violation(error.to_string())),
        };
        if header.length > self.max_bytes {
            let text = format!("a frame of {} bytes, but {} were announced", header.length, self.max_bytes);
            return Ok(Incoming::Violation(text));
        }
        let mut content = BytesMut::with_capacity(header.length.min(TRUSTED_BYTES));
        while content.len() < header.length {
            let missing = (header.length - content.len()) as u64;
            if (&mut self.stream).take(missing).read_buf(&mut content).await? == 0 {
                return Ok(Incoming::Closed);
            }
        }
        Ok(match header.kind {
            FrameKind::Message => Incoming::Message(content.freeze()),
            FrameKind::Ping => Incoming::Ping(content.freeze()),
            FrameKind::Pong => Incoming::Alive,
        })
    }
}

impl FrameReader for Reader {
    async fn next(&mut self) -> Incoming {
        self.read().await.unwrap_or(Incoming::Closed)
    }
}

impl Writer {
    async fn frame(&mut self, kind: FrameKind, content: &[u8]) -> io::Result<()> {
        let header = FrameHeader { kind, length: content.len() }.encode();
        let header = header.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        self.0.write_all(&header).await?;
        self.0.write_all(content).await
    }
}

impl FrameWriter for Writer {
    async fn write(&mut self, frame: Frame) -> io::Result<()> {
        let kind = if matches!(frame, Frame::Pong(_)) { FrameKind::Pong } else { FrameKind::Message };
        self.frame(kind, frame.as_bytes()).await
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.frame(FrameKind::Ping, &Bytes::new()).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

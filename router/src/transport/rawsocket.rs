//! WAMP over RawSocket: the handshake, length-prefixed frames, PING and PONG.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use ecep_proto::rawsocket::{FrameHeader, FrameKind, HEADER_BYTES, Handshake, MAGIC};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream::Stream;
use super::{Incoming, TOO_LARGE, Violation};
use crate::outbound::Frame;
use crate::room::{FREE_BYTES, Room};

/// "Maximum connection count reached" (specification).
pub(crate) const TOO_MANY: [u8; HEADER_BYTES] = [MAGIC, 0x40, 0, 0];

/// Answers the handshake, of which the first byte may have been read; what the client said is returned. A refusal is
/// written before the error is.
pub(crate) async fn accept(
    stream: &mut Stream,
    first: Option<u8>,
    max_message_bytes: usize,
) -> io::Result<(Deframer, Handshake)> {
    let mut bytes = [0; HEADER_BYTES];
    let read = match first {
        Some(first) => {
            bytes[0] = first;
            1
        }
        None => 0,
    };
    stream.read_exact(&mut bytes[read..]).await?;
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
    let deframer =
        Deframer { partial: Vec::new(), announced: ours.max_bytes, max_bytes: ours.max_bytes, over: false };
    Ok((deframer, theirs))
}

/// Finds the messages in what is read. It holds memory only while a frame has come in part.
pub(crate) struct Deframer {
    /// The beginning of a frame, header included.
    partial: Vec<u8>,
    /// What the handshake has promised to take.
    announced: usize,
    /// What is taken at the moment.
    max_bytes: usize,
    /// Nothing is listened to any more.
    over: bool,
}

impl Deframer {
    pub(super) fn limit(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes.min(self.announced);
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], room: &mut Room, incoming: &mut VecDeque<Incoming>) {
        while !self.over && !bytes.is_empty() {
            match self.frame(&mut bytes, room) {
                Ok(Some(frame)) => incoming.push_back(frame),
                Ok(None) => return,
                Err(reason) => {
                    self.abandon();
                    incoming.push_back(Incoming::Violation(Violation { reason, code: 0 }));
                }
            }
        }
    }

    pub(super) fn needs(&self) -> usize {
        self.claimed().map_or(0, |length| HEADER_BYTES + length)
    }

    /// What the frame that has come in part says of its length.
    fn claimed(&self) -> Option<usize> {
        let header = self.partial.first_chunk().copied()?;
        FrameHeader::decode(header).ok().map(|header| header.length)
    }

    pub(super) fn abandon(&mut self) {
        self.over = true;
        self.partial = Vec::new();
    }

    /// Takes one frame from the bytes; what is too little for one is kept.
    fn frame(&mut self, bytes: &mut &[u8], room: &mut Room) -> Result<Option<Incoming>, String> {
        // Whole frames are taken out of what was read, without a buffer of our own.
        if self.partial.is_empty()
            && let Some((header, rest)) = bytes.split_first_chunk()
        {
            let header = self.header(*header)?;
            if let Some((content, rest)) = rest.split_at_checked(header.length) {
                *bytes = rest;
                return Ok(Some(read(header.kind, Bytes::copy_from_slice(content))));
            }
        }
        if !self.complete(HEADER_BYTES, bytes) {
            return Ok(None);
        }
        let header = self.partial.first_chunk().copied().unwrap_or_default();
        let header = self.header(header)?;
        if self.partial.len() == HEADER_BYTES {
            self.partial.reserve_exact(header.length.min(FREE_BYTES.max(bytes.len())));
        } else if self.partial.capacity() < HEADER_BYTES + header.length {
            // There is room for all of it now.
            self.partial.reserve_exact(HEADER_BYTES + header.length - self.partial.len());
        }
        if !self.complete(HEADER_BYTES + header.length, bytes) {
            return Ok(None);
        }
        let mut content = room.complete(Bytes::from(std::mem::take(&mut self.partial)));
        Ok(Some(read(header.kind, content.split_off(HEADER_BYTES))))
    }

    fn header(&self, bytes: [u8; HEADER_BYTES]) -> Result<FrameHeader, String> {
        let header = FrameHeader::decode(bytes).map_err(|error| error.to_string())?;
        if header.length > self.max_bytes {
            return Err(format!(
                "a frame of {} bytes, but only {} are taken ({TOO_LARGE})",
                header.length, self.max_bytes
            ));
        }
        Ok(header)
    }

    /// Whether the partial frame has that length now.
    fn complete(&mut self, length: usize, bytes: &mut &[u8]) -> bool {
        let missing = length.saturating_sub(self.partial.len()).min(bytes.len());
        let (more, rest) = bytes.split_at(missing);
        self.partial.extend_from_slice(more);
        *bytes = rest;
        self.partial.len() >= length
    }
}

fn read(kind: FrameKind, content: Bytes) -> Incoming {
    match kind {
        FrameKind::Message => Incoming::Message(content),
        FrameKind::Ping => {
            let mut pong = Vec::with_capacity(HEADER_BYTES + content.len());
            frame(FrameKind::Pong, content.len(), &mut pong);
            pong.extend_from_slice(&content);
            Incoming::Answer(Frame::Raw(pong.into()))
        }
        FrameKind::Pong => Incoming::Alive,
    }
}

fn frame(kind: FrameKind, length: usize, output: &mut Vec<u8>) {
    // Nothing that is longer than a client takes is sent to it, and none can take more than a header can say.
    if let Some(header) = (FrameHeader { kind, length }).encode() {
        output.extend_from_slice(&header);
    }
}

pub(super) fn begin(length: usize, output: &mut Vec<u8>) {
    frame(FrameKind::Message, length, output);
}

pub(super) fn ping(output: &mut Vec<u8>) {
    frame(FrameKind::Ping, 0, output);
}

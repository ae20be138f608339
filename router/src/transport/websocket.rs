//! WAMP over WebSocket: the choice of the subprotocol, text and binary frames, pings, close codes.
//!
//! The library reads (masks, fragments, control frames) from memory, not from the socket: so it needs no large buffer,
//! and what it answers goes through the client's queue like everything else.

#![allow(clippy::result_large_err, reason = "the library's callback for the upgrade has this type")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use ecep_proto::websocket::{Framing, Subprotocol};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame as WsFrame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::frame_ends::FrameEnds;
use super::{Incoming, TOO_LARGE, Violation};
use crate::config::AllowedOrigin;
use crate::outbound::Frame;
use crate::room::Room;

/// The library's own buffer, which an idle connection keeps. It takes this much of what was read at a time.
const BUFFER_BYTES: usize = 1 << 10;

/// Above this a message leaves the library a buffer that is worth giving back.
const LARGE_BYTES: usize = 8 << 10;

/// The close code of an ordinary end.
pub(crate) const NORMAL: u16 = 1000;

/// What a client without room is told.
pub(crate) const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Content-Type: text/plain\r\nRetry-After: 10\r\n\r\n\
    All connections of this router are taken (limits.max_connections). Try again later.\n";

/// What is told who asks for something else.
const UPGRADE_REQUIRED: &str = "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nContent-Type: text/plain\r\n\r\n";

/// Answers the HTTP upgrade. A client that offers no subprotocol of ours is refused with a text that names them, and
/// so is a page that may not come here.
pub(crate) async fn accept(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    max_message_bytes: usize,
    allowed_origins: &[AllowedOrigin],
) -> Result<(Deframer, Subprotocol), Error> {
    let mut chosen = Subprotocol { serializer: Serializer::Json, batched: false };
    let callback = |request: &Request, response: Response| {
        check_origin(request, allowed_origins)?;
        choose(request, response, &mut chosen)
    };
    match tokio_tungstenite::accept_hdr_async(&mut stream, callback).await {
        Ok(_) => {}
        Err(error @ Error::Protocol(_)) => {
            use tokio::io::AsyncWriteExt;
            let text = format!("{UPGRADE_REQUIRED}{}", explanation());
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    }
    Ok((Deframer::new(chosen, max_message_bytes), chosen))
}

fn explanation() -> String {
    let names = Subprotocol::ALL.map(Subprotocol::name).join(", ");
    format!("This is a WAMP router. Offer one of the WebSocket subprotocols {names}.\n")
}

/// A browser says which page asks, and would let any page join. Other clients need not say anything.
fn check_origin(request: &Request, allowed: &[AllowedOrigin]) -> Result<(), ErrorResponse> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let host = request.headers().get(HOST).map(text);
    for origin in request.headers().get_all(ORIGIN).iter().map(text) {
        if !AllowedOrigin::allow(allowed, &origin, host.as_deref()) {
            tracing::info!(?origin, "a page was refused: allowed_origins of this listener does not have it");
            let mut refusal = ErrorResponse::new(Some(
                "Pages of this origin may not use this router. Whoever runs it can allow them: add the origin to \
                 allowed_origins of the listener.\n"
                    .to_owned(),
            ));
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            return Err(refusal);
        }
    }
    Ok(())
}

/// The first of the client's subprotocols that is spoken here. Some clients write the list without spaces.
fn choose(
    request: &Request,
    mut response: Response,
    chosen: &mut Subprotocol,
) -> Result<Response, ErrorResponse> {
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let offers = offers.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    match offers.map(str::trim).find_map(Subprotocol::from_name) {
        Some(subprotocol) => {
            *chosen = subprotocol;
            let name = HeaderValue::from_static(subprotocol.name());
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
            Ok(response)
        }
        None => {
            let mut refusal = ErrorResponse::new(Some(explanation()));
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            Err(refusal)
        }
    }
}

/// Finds the messages in what is read.
pub(crate) struct Deframer {
    context: Box<WebSocketContext>,
    subprotocol: Subprotocol,
    /// How the client tells the messages of a batch apart.
    batches: Option<Framing>,
    /// What the library was given.
    frames: FrameEnds,
    /// The library may have a large buffer.
    large: bool,
    /// Nothing is listened to any more.
    over: bool,
}

impl Deframer {
    fn new(subprotocol: Subprotocol, max_message_bytes: usize) -> Self {
        let (context, batches) = (context(max_message_bytes), subprotocol.framing());
        Self { context, subprotocol, batches, frames: FrameEnds::default(), large: false, over: false }
    }

    pub(super) fn limit(&mut self, max_bytes: usize) {
        self.context.set_config(|config| {
            config.max_message_size = Some(max_bytes);
            config.max_frame_size = Some(max_bytes);
        });
    }

    pub(super) fn needs(&self) -> usize {
        self.frames.needs()
    }

    pub(super) fn abandon(&mut self) {
        self.over = true;
        self.give_back();
    }

    /// Gives back the library's buffer, with what is in it.
    fn give_back(&mut self) {
        let max_bytes = self.context.get_config().max_message_size.unwrap_or(usize::MAX);
        self.context = context(max_bytes);
        self.frames = FrameEnds::default();
        self.large = false;
    }

    pub(super) fn feed(&mut self, bytes: &[u8], room: &mut Room, incoming: &mut VecDeque<Incoming>) {
        if self.over {
            return;
        }
        let mut memory = Memory { input: bytes, output: Vec::new() };
        loop {
            let read = self.context.read(&mut memory);
            if matches!(read, Ok(Message::Text(_) | Message::Binary(_))) && !memory.output.is_empty() {
                // A ping comes before the end of the message that it interrupts, and so does its answer.
                let answer = std::mem::take(&mut memory.output);
                incoming.push_back(Incoming::Answer(Frame::Raw(answer.into())));
            }
            self.large |= read.as_ref().is_ok_and(|message| message.len() > LARGE_BYTES);
            let binary = self.subprotocol.serializer.is_binary();
            let last = match read {
                Ok(Message::Text(text)) if !binary => {
                    match self.message(room.complete(text.into()), incoming) {
                        Some(last) => last,
                        None => continue,
                    }
                }
                Ok(Message::Binary(bytes)) if binary => match self.message(room.complete(bytes), incoming) {
                    Some(last) => last,
                    None => continue,
                },
                Ok(Message::Text(_)) => self.wrong_kind("text"),
                Ok(Message::Binary(_)) => self.wrong_kind("binary"),
                // The library answers pings into `memory`.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Incoming::Alive,
                Ok(Message::Close(_)) => {
                    // What this writes, or that there is nothing more to do, does not matter any more.
                    let _ = self.context.flush(&mut memory);
                    self.over = true;
                    Incoming::Closed
                }
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.violation(&error),
            };
            incoming.push_back(last);
            if self.over {
                break;
            }
        }
        if !memory.output.is_empty() {
            // Before what ends the connection, if that came.
            let place = incoming.len() - usize::from(self.over);
            incoming.insert(place, Incoming::Answer(Frame::Raw(memory.output.into())));
        }
        self.frames.pass(bytes);
        self.large |= self.frames.needs() > LARGE_BYTES;
        if self.over || (self.large && self.frames.is_whole()) {
            self.give_back();
        }
    }

    pub(super) const fn batches(&self) -> Option<Framing> {
        self.batches
    }

    /// What is in a frame; the last of it is returned.
    fn message(&mut self, bytes: Bytes, incoming: &mut VecDeque<Incoming>) -> Option<Incoming> {
        let Some(framing) = self.batches.map(|framing| framing.like(&bytes)) else {
            return Some(Incoming::Message(bytes));
        };
        self.batches = Some(framing);
        for message in framing.split(bytes) {
            match message {
                Ok(message) => incoming.push_back(Incoming::Message(message)),
                Err(error) => {
                    self.over = true;
                    let reason = error.to_string();
                    return Some(Incoming::Violation(Violation { reason, code: CloseCode::Invalid.into() }));
                }
            }
        }
        None
    }

    fn wrong_kind(&mut self, sent: &str) -> Incoming {
        self.over = true;
        let name = self.subprotocol.name();
        let reason = format!("a {sent} frame, but {name} travels in the other kind");
        Incoming::Violation(Violation { reason, code: CloseCode::Unsupported.into() })
    }

    fn violation(&mut self, error: &Error) -> Incoming {
        self.over = true;
        let code = match error {
            Error::Capacity(_) => CloseCode::Size,
            Error::Utf8(_) => CloseCode::Invalid,
            _ => CloseCode::Protocol,
        };
        let reason = match error {
            Error::Capacity(_) => format!("{error} ({TOO_LARGE})"),
            error => error.to_string(),
        };
        Incoming::Violation(Violation { reason, code: code.into() })
    }
}

fn context(max_message_bytes: usize) -> Box<WebSocketContext> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes));
    Box::new(WebSocketContext::new(Role::Server, Some(config)))
}

/// What the library takes for a socket: it reads what was read, and writes what is to be queued.
struct Memory<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn begin(length: usize, binary: bool, output: &mut Vec<u8>) {
    let kind = if binary { Data::Binary } else { Data::Text };
    let header = FrameHeader { opcode: OpCode::Data(kind), ..FrameHeader::default() };
    // Memory takes everything.
    let _ = header.format(length as u64, output);
}

pub(super) fn ping(output: &mut Vec<u8>) {
    let _ = WsFrame::ping(Bytes::new()).format(output);
}

pub(super) fn close(code: u16, output: &mut Vec<u8>) {
    let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::default() };
    let _ = WsFrame::close(Some(frame)).format(output);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a ping in the midst of a message goes before what answers the message, even if all came at once.
    #[test]
    fn pings_are_answered_in_order() {
        let frame = |first: u8, text: &[u8]| [&[first, 0x80 | text.len() as u8, 0, 0, 0, 0], text].concat();
        let frames =
            [frame(0x01, b"[1"), frame(0x89, b"now"), frame(0x80, b"]"), frame(0x89, b"then")].concat();
        let mut incoming = VecDeque::new();
        let json = Subprotocol { serializer: Serializer::Json, batched: false };
        let mut room = Room::new(crate::budget::Budget::new(1 << 20));
        Deframer::new(json, 1 << 10).feed(&frames, &mut room, &mut incoming);
        incoming.retain(|item| !matches!(item, Incoming::Alive));
        let seen: Vec<&[u8]> = incoming
            .iter()
            .map(|item| match item {
                Incoming::Message(bytes) | Incoming::Answer(Frame::Raw(bytes)) => bytes.as_ref(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen, [&b"\x8a\x03now"[..], b"[1]", b"\x8a\x04then"]);
    }
}

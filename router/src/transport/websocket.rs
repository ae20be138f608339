//! WAMP over WebSocket: the choice of the subprotocol, text and binary frames, pings.

#![allow(clippy::result_large_err, reason = "the library's callback for the upgrade has this type")]

use std::io;

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{FrameReader, FrameWriter, Incoming};
use crate::outbound::Frame;

/// Buffers of a connection. Most connections idle most of the time, and the library's 128 KiB each would be all the
/// memory that they take; messages are small.
const BUFFER_BYTES: usize = 8 << 10;

pub(crate) struct Reader {
    stream: SplitStream<WebSocketStream<TcpStream>>,
    serializer: Serializer,
}

pub(crate) struct Writer(SplitSink<WebSocketStream<TcpStream>, Message>);

/// Answers the HTTP upgrade. A client that offers no subprotocol of ours is refused with a text that names them.
pub(crate) async fn accept(
    stream: TcpStream,
    max_message_bytes: usize,
) -> Result<(Reader, Writer, Serializer), Error> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes));
    let mut chosen = Serializer::Json;
    let callback = |request: &Request, response: Response| choose(request, response, &mut chosen);
    let stream = tokio_tungstenite::accept_hdr_async_with_config(stream, callback, Some(config)).await?;
    let (sink, stream) = stream.split();
    Ok((Reader { stream, serializer: chosen }, Writer(sink), chosen))
}

/// The first of the client's subprotocols that is spoken here. Some clients write the list without spaces.
fn choose(
    request: &Request,
    mut response: Response,
    chosen: &mut Serializer,
) -> Result<Response, ErrorResponse> {
    let offers = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let offers = offers.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    match offers.map(str::trim).find_map(Serializer::from_subprotocol) {
        Some(serializer) => {
            *chosen = serializer;
            let name = HeaderValue::from_static(serializer.subprotocol());
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
            Ok(response)
        }
        None => {
            let names = Serializer::ALL.map(Serializer::subprotocol).join(", ");
            let text = format!("This is a WAMP router. Offer one of the WebSocket subprotocols {names}.\n");
            let mut refusal = ErrorResponse::new(Some(text));
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            Err(refusal)
        }
    }
}

impl FrameReader for Reader {
    async fn next(&mut self) -> Incoming {
        let wrong_kind = |binary: bool| {
            let (sent, name) = (if binary { "binary" } else { "text" }, self.serializer.subprotocol());
            Incoming::Violation(format!("a {sent} frame, but {name} travels in the other kind"))
        };
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) if !self.serializer.is_binary() => Incoming::Message(text.into()),
            Some(Ok(Message::Binary(bytes))) if self.serializer.is_binary() => Incoming::Message(bytes),
            Some(Ok(Message::Text(_))) => wrong_kind(false),
            Some(Ok(Message::Binary(_))) => wrong_kind(true),
            // The library answers pings by itself.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Incoming::Alive,
            Some(Ok(Message::Close(_))) | None => Incoming::Closed,
            Some(Err(error @ (Error::Capacity(_) | Error::Utf8(_)))) => {
                Incoming::Violation(error.to_string())
            }
            Some(Err(_)) => Incoming::Closed,
        }
    }
}

impl Writer {
    async fn feed(&mut self, message: Message) -> io::Result<()> {
        self.0.feed(message).await.map_err(io::Error::other)
    }
}

impl FrameWriter for Writer {
    async fn write(&mut self, frame: Frame) -> io::Result<()> {
        self.feed(match frame {
            Frame::Text(text) => Message::Text(text),
            Frame::Binary(bytes) => Message::Binary(bytes),
            Frame::Pong(bytes) => Message::Pong(bytes),
        })
        .await
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.feed(Message::Ping(Bytes::new())).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await.map_err(io::Error::other)
    }

    async fn close(&mut self) -> io::Result<()> {
        self.0.close().await.map_err(io::Error::other)
    }
}

//! What the connection needs of a transport: frames in, frames out. WebSocket and RawSocket are the two.

pub(crate) mod rawsocket;
pub(crate) mod websocket;

use std::io;

use bytes::Bytes;

use crate::outbound::Frame;

/// What came from a client.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message, encoded.
    Message(Bytes),
    /// A ping that the connection must answer.
    Ping(Bytes),
    /// A sign of life: a pong, or a ping that the transport answers itself.
    Alive,
    /// The client broke the transport's rules; the text is for the client.
    Violation(String),
    /// The client is gone.
    Closed,
}

/// Reads from a client.
pub(crate) trait FrameReader: Send + 'static {
    /// The next thing that comes.
    fn next(&mut self) -> impl Future<Output = Incoming> + Send;
}

/// Writes to a client.
pub(crate) trait FrameWriter: Send + 'static {
    /// Writes a frame, perhaps only into a buffer.
    fn write(&mut self, frame: Frame) -> impl Future<Output = io::Result<()>> + Send;
    /// Asks for a sign of life.
    fn ping(&mut self) -> impl Future<Output = io::Result<()>> + Send;
    /// Writes what is in the buffer.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send;
    /// Ends the connection in the transport's own way.
    fn close(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

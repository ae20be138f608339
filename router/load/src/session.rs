//! One connection with its session: opened by waiting for each answer, used without ever waiting.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::encoding::Encoding;
use crate::framing::Framing;
use crate::protocol::{Incoming, Outbox, Protocol};
use crate::target::Target;

/// How long a router may take for one answer while sessions are opened. A full one is slow, a dead one is not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest RawSocket message that is taken, as the exponent of the handshake: 16 MiB.
const RAWSOCKET_LENGTH: u8 = 15;

/// How much is read at once. Many messages, so that a busy connection costs few system calls.
const READ_BYTES: usize = 512 << 10;

/// Where bytes come in, shared by all sessions.
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

impl Default for Scratch {
    fn default() -> Self {
        Self(vec![0; READ_BYTES])
    }
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_read_timeout(&self, timeout: Duration) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_read_timeout(Some(timeout)),
            Self::Unix(stream) => stream.set_read_timeout(Some(timeout)),
        }
    }

    fn set_nonblocking(&self) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    stream: Stream,
    protocol: Protocol,
    /// The beginning of what has not all come.
    rest: Vec<u8>,
    /// What is to be sent.
    pub out: Outbox,
    /// The poller waits for room.
    pub(crate) wants_room: bool,
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Session {
    /// Connects and joins.
    ///
    /// # Errors
    /// The router refuses, or does not answer.
    pub fn open(target: &Target, encoding: Encoding, realm: &str) -> Result<Self> {
        let mut stream = match target {
            Target::WebSocket { address, .. } | Target::RawSocket(address) | Target::Nats(address) => {
                let stream =
                    TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Target::Unix(path) => Stream::Unix(
                UnixStream::connect(path).with_context(|| format!("cannot connect to {}", path.display()))?,
            ),
        };
        stream.set_read_timeout(PATIENCE)?;
        let protocol = match target {
            Target::Nats(_) => Protocol::Nats,
            Target::WebSocket { address, path } => {
                upgrade(&mut stream, &address.to_string(), path, encoding)?;
                Protocol::Wamp(Framing::WebSocket { text: encoding == Encoding::Json }, encoding)
            }
            Target::RawSocket(_) | Target::Unix(_) => {
                shake_hands(&mut stream, encoding)?;
                Protocol::Wamp(Framing::RawSocket, encoding)
            }
        };
        let mut session =
            Self { stream, protocol, rest: Vec::new(), out: Outbox::new(protocol), wants_room: false };
        session.out.hello(realm);
        session.confirm()?;
        Ok(session)
    }

    /// Offers the procedure.
    ///
    /// # Errors
    /// The router refuses.
    pub fn register(&mut self) -> Result<()> {
        self.out.register();
        self.confirm().context("cannot register the procedure")
    }

    /// Makes ready to call.
    ///
    /// # Errors
    /// The router refuses.
    pub fn await_answers(&mut self) -> Result<()> {
        if self.out.await_answers() { self.confirm() } else { Ok(()) }
    }

    /// Subscribes to the topic.
    ///
    /// # Errors
    /// The router refuses.
    pub fn subscribe(&mut self) -> Result<()> {
        self.out.subscribe();
        self.confirm().context("cannot subscribe to the topic")
    }

    /// From here on nothing waits.
    ///
    /// # Errors
    /// The system refuses.
    pub fn set_nonblocking(&self) -> Result<()> {
        Ok(self.stream.set_nonblocking()?)
    }

    /// Sends what waits, and waits for the router's word.
    fn confirm(&mut self) -> Result<()> {
        self.stream.write_all(self.out.waiting())?;
        self.out.advance(self.out.waiting().len());
        let mut piece = [0; 4096];
        loop {
            let mut is_confirmed = false;
            while let Some((incoming, length)) = self.protocol.read(&self.rest)? {
                match incoming {
                    Incoming::Welcome | Incoming::Done => is_confirmed = true,
                    Incoming::Refused { reason, .. } | Incoming::Gone { reason } => {
                        bail!("the router says {}", String::from_utf8_lossy(reason))
                    }
                    Incoming::Ping { content } => self.out.pong(content),
                    _ => {}
                }
                self.rest.drain(..length);
            }
            if is_confirmed {
                // A session that waits for its next event should hold no room for one.
                self.rest.shrink_to_fit();
                return Ok(());
            }
            let read = self.stream.read(&mut piece).context("the router does not answer")?;
            ensure!(read > 0, "the router closed the connection");
            self.rest.extend_from_slice(&piece[..read]);
        }
    }

    /// Reads what has come, once, and gives every message to `take` together with what is to be sent. Pings are answered.
    ///
    /// # Errors
    /// The router said something wrong, or ended the session; and those of `take`.
    pub fn receive(
        &mut self,
        scratch: &mut Scratch,
        mut take: impl FnMut(Incoming<'_>, &mut Outbox) -> Result<()>,
    ) -> Result<()> {
        let kept = self.rest.len();
        if scratch.0.len() < kept + READ_BYTES / 2 {
            scratch.0.resize(kept + READ_BYTES, 0);
        }
        scratch.0[..kept].copy_from_slice(&self.rest);
        let read = match self.stream.read(&mut scratch.0[kept..]) {
            Ok(0) => bail!("the router closed the connection"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            read => read.context("the router ended the connection")?,
        };
        let mut bytes = &scratch.0[..kept + read];
        while let Some((incoming, length)) = self.protocol.read(bytes)? {
            match incoming {
                Incoming::Ping { content } => self.out.pong(content),
                Incoming::Gone { reason } => {
                    bail!("the router ended the session: {}", String::from_utf8_lossy(reason))
                }
                incoming => take(incoming, &mut self.out)?,
            }
            bytes = &bytes[length..];
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    /// Sends what the connection takes now. Answers whether that was all.
    ///
    /// # Errors
    /// The router ended the connection.
    pub fn flush(&mut self) -> Result<bool> {
        while !self.out.waiting().is_empty() {
            match self.stream.write(self.out.waiting()) {
                Ok(sent) => self.out.advance(sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("the router ended the connection"),
            }
        }
        Ok(true)
    }

    /// Ends the connection without leaving its address in use, so that ten thousand can follow ten thousand.
    pub fn reset(self) {
        if let Stream::Tcp(stream) = &self.stream {
            // Without it the address is in use for a minute; nothing else hangs on it.
            let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
        }
    }
}

fn upgrade(stream: &mut Stream, host: &str, path: &str, encoding: Encoding) -> Result<()> {
    let subprotocol = encoding.subprotocol();
    // The key only proves that the answer is not a stored one; nothing stores answers here.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        ensure!(answer.len() < 8192, "the router answers with an endless header");
        stream.read_exact(&mut byte).context("the router does not answer the WebSocket handshake")?;
        answer.extend(byte);
    }
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    let first = answer.lines().next().unwrap_or_default();
    ensure!(first.contains(" 101 "), "the router refuses WebSocket: {first}");
    ensure!(answer.contains(subprotocol), "the router does not speak {subprotocol}");
    Ok(())
}

fn shake_hands(stream: &mut Stream, encoding: Encoding) -> Result<()> {
    stream.write_all(&[0x7f, RAWSOCKET_LENGTH << 4 | encoding.rawsocket_id(), 0, 0])?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).context("the router does not answer the RawSocket handshake")?;
    let [magic, what, ..] = answer;
    ensure!(
        magic == 0x7f && what & 15 == encoding.rawsocket_id(),
        "the router refuses the handshake: {answer:02x?}"
    );
    Ok(())
}

//! What is said on a connection, whatever the protocol: WAMP in one of its transports and serializers, or NATS.

use anyhow::Result;

use crate::encoding::{Encoding, Writer};
use crate::framing::{Framing, Kind};
use crate::{nats, wamp};

/// The procedure that is called; it answers what it is given.
pub(crate) const PROCEDURE: &str = "bench.echo";

/// The topic that is published to.
pub(crate) const TOPIC: &str = "bench.topic";

/// A protocol.
#[derive(Clone, Copy, Debug)]
pub enum Protocol {
    /// WAMP.
    Wamp(Framing, Encoding),
    /// NATS.
    Nats,
}

/// What a router says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The session is open.
    Welcome,
    /// The procedure is offered, the topic subscribed to.
    Done,
    /// Somebody calls.
    Invocation { request: u64, payload: &'a [u8] },
    /// A call's result.
    Answer { request: u64, payload: &'a [u8] },
    /// An event.
    Event { payload: &'a [u8] },
    /// A publication was taken.
    Published,
    /// A request was not.
    Refused { request: u64, reason: &'a [u8] },
    /// The router wants to know whether we live.
    Ping { content: &'a [u8] },
    /// The session is over.
    Gone { reason: &'a [u8] },
    /// Nothing that a load cares for.
    Other,
}

impl Protocol {
    /// What `bytes` begin with, and how many bytes that is; none if it has not all come.
    ///
    /// # Errors
    /// It is nothing that a router may say.
    pub fn read(self, bytes: &[u8]) -> Result<Option<(Incoming<'_>, usize)>> {
        let Self::Wamp(framing, encoding) = self else { return nats::read(bytes) };
        let Some(frame) = framing.read(bytes)? else { return Ok(None) };
        let (content, end) = (&bytes[frame.content.clone()], frame.content.end);
        let incoming = match frame.kind {
            Kind::Message => wamp::read(encoding, content)?,
            Kind::Ping => Incoming::Ping { content },
            Kind::Pong => Incoming::Other,
            // The code, and then the reason.
            Kind::Close => Incoming::Gone { reason: content.get(2..).unwrap_or_default() },
        };
        Ok(Some((incoming, end)))
    }
}

/// What waits to be sent.
#[derive(Debug)]
pub struct Outbox {
    protocol: Protocol,
    /// Frames, of which the first `sent` bytes are gone.
    bytes: Vec<u8>,
    sent: usize,
    /// The message that is being written, before it has a frame; kept for its room.
    message: Vec<u8>,
}

impl Outbox {
    /// Nothing.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, bytes: Vec::new(), sent: 0, message: Vec::new() }
    }

    /// The bytes to send next.
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// So many of them were sent.
    pub fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }

    /// Opens a session.
    pub fn hello(&mut self, realm: &str) {
        self.say(|writer| wamp::hello(realm, writer), nats::hello);
    }

    /// Offers the procedure.
    pub fn register(&mut self) {
        self.say(wamp::register, nats::register);
    }

    /// Makes ready for answers. True if the router will confirm it; WAMP needs nothing.
    pub fn await_answers(&mut self) -> bool {
        let is_nats = matches!(self.protocol, Protocol::Nats);
        if is_nats {
            nats::await_answers(&mut self.bytes);
        }
        is_nats
    }

    /// Subscribes to the topic.
    pub fn subscribe(&mut self) {
        self.say(wamp::subscribe, nats::subscribe);
    }

    /// Calls the procedure.
    pub fn call(&mut self, request: u64, payload: &[u8]) {
        self.say(|writer| wamp::call(request, payload, writer), |out| nats::call(request, payload, out));
    }

    /// Answers a call.
    pub fn answer(&mut self, request: u64, payload: &[u8]) {
        self.say(|writer| wamp::answer(request, payload, writer), |out| nats::answer(request, payload, out));
    }

    /// Publishes to the topic. NATS has no acknowledgements.
    pub fn publish(&mut self, request: u64, acknowledge: bool, payload: &[u8]) {
        self.say(
            |writer| wamp::publish(request, acknowledge, payload, writer),
            |out| nats::publish(payload, out),
        );
    }

    /// Answers a ping.
    pub fn pong(&mut self, content: &[u8]) {
        match self.protocol {
            Protocol::Wamp(framing, _) => framing.write(Kind::Pong, content, &mut self.bytes),
            Protocol::Nats => nats::pong(&mut self.bytes),
        }
    }

    fn say(&mut self, wamp: impl FnOnce(&mut Writer<'_>), nats: impl FnOnce(&mut Vec<u8>)) {
        match self.protocol {
            Protocol::Wamp(framing, encoding) => {
                self.message.clear();
                wamp(&mut Writer::new(encoding, &mut self.message));
                framing.write(Kind::Message, &self.message, &mut self.bytes);
            }
            Protocol::Nats => nats(&mut self.bytes),
        }
    }
}

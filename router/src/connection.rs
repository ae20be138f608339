//! One client's connection, from its first byte to its last: greeting, then a reader and a writer.
//!
//! The reader stops reading while the realm's inbox is full, while the queues that it sends to are congested (until
//! their grace ends), and while its own client does not read what it is sent. The writer pings, and gives up on a client
//! that gives no sign of life or takes no bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ecep_proto::api::auth::Transport;
use ecep_proto::codec::Serializer;
use ecep_proto::error::{NO_SUCH_REALM, PROTOCOL_VIOLATION};
use ecep_proto::message::{Abort, Challenge, Message};
use ecep_proto::value::Dict;
use ecep_router_core::features::Features;
use ecep_router_core::greeting::{self, TICKET};
use ecep_router_core::{SessionKey, abort};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::auth::{Admission, Admitted, Gatekeeper};
use crate::config::{Limits, TransportKind};
use crate::hub::{Hub, Seat};
use crate::outbound::{Frame, Outbound, Pushed};
use crate::platform::is_platform_realm;
use crate::realm_task::{Gate, ToRealm};
use crate::revocations::Mark;
use crate::transport::{FrameReader, FrameWriter, Incoming};

/// How long a client may take to read the last words that it is sent. One that stopped reading is not waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to hang up after the router has: a slow round trip. Closing with its bytes unread
/// would make its operating system throw away the last words.
const LINGER: Duration = Duration::from_millis(500);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) gatekeeper: Gatekeeper,
    pub(crate) limits: Limits,
    pub(crate) shutdown: CancellationToken,
}

/// A client whose transport is ready.
pub(crate) struct Connection<R, W> {
    pub(crate) reader: R,
    pub(crate) writer: W,
    pub(crate) kind: TransportKind,
    pub(crate) peer: SocketAddr,
    pub(crate) serializer: Serializer,
    /// The largest message that the client takes.
    pub(crate) peer_limit: usize,
    /// When its greeting must be over.
    pub(crate) deadline: Instant,
}

/// Why a client did not join.
enum Rejection {
    /// It is told.
    Abort(Abort),
    /// It has gone, or was too slow to be told.
    Silent(&'static str),
}

impl From<Abort> for Rejection {
    fn from(abort: Abort) -> Self {
        Self::Abort(abort)
    }
}

impl<R: FrameReader, W: FrameWriter> Connection<R, W> {
    /// Serves the client until it is gone.
    pub(crate) async fn serve(mut self, shared: Arc<Shared>) {
        let mark = shared.hub.revocations.mark();
        let greeted = tokio::select! {
            greeted = self.greet(&shared) => greeted,
            () = shared.shutdown.cancelled() => return,
        };
        match greeted {
            Ok((admitted, features, seat)) => self.join(&shared, admitted, features, seat, mark).await,
            Err(Rejection::Silent(reason)) => {
                tracing::debug!(peer = %self.peer, reason, "client did not join");
            }
            Err(Rejection::Abort(abort)) => {
                let message = abort.details.get("message").and_then(|message| message.as_str()).unwrap_or("");
                tracing::info!(peer = %self.peer, reason = abort.reason, message, "client refused");
                let frame = Frame::encode(self.serializer, &Message::Abort(abort));
                let told = async {
                    self.writer.write(frame).await?;
                    self.writer.flush().await?;
                    self.writer.close().await
                };
                if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, told).await {
                    linger(&mut self.reader).await;
                }
            }
        }
    }

    async fn greet(&mut self, shared: &Shared) -> Result<(Admitted, Features, Seat), Rejection> {
        let greeting = greeting::read_hello(self.message().await?)?;
        let admitted = match shared.gatekeeper.admit(&greeting)? {
            Admission::Welcome(admitted) => admitted,
            Admission::ProveByTicket => {
                let challenge = Challenge { method: TICKET.to_owned(), extra: Dict::new() };
                let challenge = Frame::encode(self.serializer, &Message::Challenge(challenge));
                self.send(challenge).await.map_err(|_| Rejection::Silent("connection lost"))?;
                let ticket = greeting::read_authenticate(self.message().await?)?;
                let ticket = ticket.ok_or(Rejection::Silent("the client gave up"))?;
                let transport = Transport { kind: self.kind.name().to_owned(), peer: self.peer.to_string() };
                shared.gatekeeper.verify(&greeting, ticket, transport).await?
            }
        };
        let seat = shared.hub.enter(&greeting.realm).ok_or_else(|| {
            abort(NO_SUCH_REALM, &format!("realm {} is not served at the moment", greeting.realm))
        })?;
        Ok((admitted, greeting.features, seat))
    }

    /// The next message, before the client's time is up.
    async fn message(&mut self) -> Result<Message, Rejection> {
        let violation = |reason: &str| Rejection::Abort(abort(PROTOCOL_VIOLATION, reason));
        loop {
            let incoming = timeout_at(self.deadline, self.reader.next()).await;
            match incoming.map_err(|_| Rejection::Silent("took too long to join"))? {
                Incoming::Message(bytes) => {
                    return self.serializer.decode(bytes).map_err(|error| violation(&error.to_string()));
                }
                Incoming::Ping(content) => {
                    self.send(Frame::Pong(content))
                        .await
                        .map_err(|_| Rejection::Silent("connection lost"))?;
                }
                Incoming::Alive => {}
                Incoming::Violation(reason) => return Err(violation(&reason)),
                Incoming::Closed => return Err(Rejection::Silent("hung up before it joined")),
            }
        }
    }

    async fn send(&mut self, frame: Frame) -> io::Result<()> {
        let sent = async {
            self.writer.write(frame).await?;
            self.writer.flush().await
        };
        timeout_at(self.deadline, sent).await?
    }

    async fn join(self, shared: &Shared, admitted: Admitted, features: Features, seat: Seat, mark: Mark) {
        let Admitted { identity, until } = admitted;
        let Self { mut reader, writer, serializer, peer_limit, peer, kind, .. } = self;
        let outbound = Arc::new(Outbound::new(serializer, peer_limit, &shared.limits));
        let gate = Arc::new(Gate::default());
        let (authid, authrole) = (identity.authid.clone(), identity.authrole.clone());
        let (key, joined) = oneshot::channel();
        seat.tell(ToRealm::Join { outbound: outbound.clone(), gate: gate.clone(), identity, features, key })
            .await;
        let Ok(session) = joined.await else { return };
        tracing::info!(%peer, transport = kind.name(), realm = seat.realm(), authid, authrole, "session joins");
        if is_platform_realm(seat.realm()) && shared.hub.revocations.since(mark, &authid) {
            let reason = "the access of this client was ended while it joined".to_owned();
            seat.tell(ToRealm::End { session, reason }).await;
        }
        let pulse = Arc::new(Pulse::default());
        let writing =
            tokio::spawn(write(writer, outbound.clone(), pulse.clone(), shared.limits.ping_interval()));
        let reading = Reading { session, seat: &seat, outbound: &outbound, gate: &gate, pulse: &pulse };
        let realm = seat.realm().to_owned();
        tokio::select! {
            () = reading.run(&mut reader) => {}
            () = end_of(until) => {
                let reason = "the access of this client has ended: what it joined with is no longer valid".to_owned();
                seat.tell(ToRealm::End { session, reason }).await;
            }
        }
        seat.leave(session).await;
        // The writer ends by itself: its queue is closed now, and every wait of it has an end.
        if let Ok(true) = writing.await {
            linger(&mut reader).await;
        }
        tracing::info!(%peer, realm, authid, "session ends");
    }
}

/// What the writer wants to know of the reader.
#[derive(Debug, Default)]
struct Pulse {
    /// Something came since the last ping.
    seen: AtomicBool,
    /// The reader does not read, on purpose: silence is no sign of death.
    paused: AtomicBool,
    /// The writer has ended.
    gone: CancellationToken,
}

struct Reading<'a> {
    session: SessionKey,
    seat: &'a Seat,
    outbound: &'a Outbound,
    gate: &'a Gate,
    pulse: &'a Pulse,
}

impl Reading<'_> {
    async fn run(&self, reader: &mut impl FrameReader) {
        loop {
            let incoming = tokio::select! {
                () = self.pulse.gone.cancelled() => return,
                incoming = reader.next() => incoming,
            };
            self.pulse.seen.store(true, Ordering::Relaxed);
            match incoming {
                Incoming::Message(bytes) => {
                    self.pulse.paused.store(true, Ordering::Relaxed);
                    tokio::select! {
                        () = self.pulse.gone.cancelled() => return,
                        () = self.pass_on(bytes) => {}
                    }
                    self.pulse.paused.store(false, Ordering::Relaxed);
                }
                Incoming::Ping(content) => {
                    if self.outbound.push(Frame::Pong(content)) == Pushed::Overflow {
                        return;
                    }
                }
                Incoming::Alive => {}
                Incoming::Violation(reason) => {
                    self.malformed(reason).await;
                    self.pulse.gone.cancelled().await;
                    return;
                }
                Incoming::Closed => return,
            }
        }
    }

    async fn pass_on(&self, bytes: Bytes) {
        let length = bytes.len();
        match self.outbound.serializer.decode(bytes) {
            Ok(message) => {
                let Some(permit) = self.seat.room(length).await else { return };
                self.seat.tell(ToRealm::Received { session: self.session, message, permit }).await;
                self.gate.pass().await;
                self.outbound.calm().await;
            }
            Err(error) => self.malformed(error.to_string()).await,
        }
    }

    async fn malformed(&self, reason: String) {
        self.seat.tell(ToRealm::Malformed { session: self.session, reason }).await;
    }
}

/// Writes what waits, until the queue is closed and empty; whether the client got its last words.
async fn write(
    mut writer: impl FrameWriter,
    outbound: Arc<Outbound>,
    pulse: Arc<Pulse>,
    ping: Duration,
) -> bool {
    // Whatever ends the writer, ends the reader too.
    let _gone = pulse.gone.clone().drop_guard();
    pulse.seen.store(true, Ordering::Relaxed);
    let mut ticks = interval_at(Instant::now() + ping, ping);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = outbound.take() => {
                let Some(mut batch) = batch else { break };
                let frames = std::mem::take(&mut batch.frames);
                let writing = async {
                    for frame in frames {
                        writer.write(frame).await?;
                    }
                    writer.flush().await
                };
                // A client that takes nothing for as long as silence may last is as good as gone.
                if !bounded(&outbound, ping * 2, writing).await {
                    return false;
                }
            }
            _ = ticks.tick() => {
                let alive = pulse.seen.swap(false, Ordering::Relaxed) || pulse.paused.load(Ordering::Relaxed);
                if !alive {
                    tracing::info!("closing a session that does not answer pings");
                    return false;
                }
                let pinging = async {
                    writer.ping().await?;
                    writer.flush().await
                };
                if !bounded(&outbound, ping * 2, pinging).await {
                    return false;
                }
            }
        }
    }
    matches!(timeout(CLOSE_TIMEOUT, writer.close()).await, Ok(Ok(())))
}

/// Whether the writing is done in time; once the queue is closed there is less of it.
async fn bounded(
    outbound: &Outbound,
    limit: Duration,
    writing: impl Future<Output = io::Result<()>>,
) -> bool {
    let hurry = async {
        outbound.closed().await;
        tokio::time::sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        written = timeout(limit, writing) => matches!(written, Ok(Ok(()))),
        () = hurry => false,
    }
}

/// Waits until then; for ever if there is no end.
async fn end_of(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Reads and forgets until the client hangs up.
async fn linger(reader: &mut impl FrameReader) {
    let hung_up = async { while !matches!(reader.next().await, Incoming::Closed) {} };
    let _ = timeout(LINGER, hung_up).await;
}

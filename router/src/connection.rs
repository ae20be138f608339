//! One client's connection, from its first byte to its last: it is greeted, joins, and lingers when all is said.

use std::sync::Arc;
use std::time::Duration;

use ecep_proto::api::auth::Transport;
use ecep_proto::codec::Serializer;
use ecep_proto::error::{
    AUTHENTICATION_FAILED, CLOSE_SYSTEM_SHUTDOWN, NO_SUCH_REALM, PROTOCOL_VIOLATION, TIMEOUT, UNAVAILABLE,
};
use ecep_proto::message::{Abort, Message};
use ecep_router_core::abort;
use ecep_router_core::features::Features;
use ecep_router_core::greeting;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::auth::{Admission, Admitted, Gatekeeper};
use crate::config::{Limits, TransportKind};
use crate::exchange::{CLOSE_TIMEOUT, Exchange};
use crate::hub::{Hub, Seat};
use crate::live::Live;
use crate::metrics::Expelled;
use crate::outbound::{Frame, Outbound};
use crate::rate::Rate;
use crate::realm_task::{Gate, ToRealm};
use crate::revocations::Mark;
use crate::room::Room;
use crate::slots::Slot;
use crate::transport::pipe::{Inlet, Outlet};
use crate::transport::stream::Stream;
use crate::transport::{Deframer, Framer, Incoming, websocket};

/// How long a client may take to hang up after the router has: a slow round trip. Closing with its bytes unread
/// would make its operating system throw away the last words.
pub(crate) const LINGER: Duration = Duration::from_millis(500);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) hub: Arc<Hub>,
    pub(crate) gatekeeper: Live<Gatekeeper>,
    pub(crate) limits: Live<Limits>,
    pub(crate) shutdown: CancellationToken,
}

/// A client whose transport is ready.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) deframer: Deframer,
    pub(crate) framer: Framer,
    pub(crate) kind: TransportKind,
    /// Where the client is.
    pub(crate) peer: String,
    pub(crate) serializer: Serializer,
    /// The largest message that the client takes.
    pub(crate) peer_limit: usize,
    /// When its greeting must be over.
    pub(crate) deadline: Instant,
}

/// Why a client did not join.
enum Rejection {
    /// It is told, and the transport closed with this code.
    Abort(Abort, u16),
    /// It has gone.
    Silent(&'static str),
}

impl From<Abort> for Rejection {
    fn from(abort: Abort) -> Self {
        Self::Abort(abort, websocket::NORMAL)
    }
}

/// A client that may join, and where.
struct Welcome {
    admitted: Admitted,
    features: Features,
    seat: Seat,
}

/// What is known of a client, beside its socket.
struct Client {
    kind: TransportKind,
    peer: String,
    serializer: Serializer,
    peer_limit: usize,
    deadline: Instant,
}

impl Connection {
    /// Serves the client until it is gone.
    pub(crate) async fn serve(self, shared: Arc<Shared>, mut slot: Slot) {
        let Self { mut stream, mut deframer, framer, kind, peer, serializer, peer_limit, deadline } = self;
        let limits = shared.limits.get();
        deframer.limit(limits.max_message_bytes.min(limits.max_greeting_bytes));
        let (read, write) = stream.split();
        let (mut inlet, mut outlet) =
            (Inlet::new(read, deframer, Room::new(shared.hub.budget.clone())), Outlet::new(write, framer));
        let client = Client { kind, peer, serializer, peer_limit, deadline };
        let mark = shared.hub.revocations.mark();
        // Boxed, as a session lasts much longer than its greeting and needs less.
        let greeted = tokio::select! {
            greeted = Box::pin(client.greet(&shared, &mut inlet, &mut outlet)) => greeted,
            () = shared.shutdown.cancelled() => {
                Err(abort(CLOSE_SYSTEM_SHUTDOWN, "the router shuts down; try again in a few seconds").into())
            }
        };
        match greeted {
            Ok(welcome) => {
                slot.joined();
                inlet.follow(shared.hub.limits.clone());
                client.join(&shared, limits.ping_interval(), welcome, mark, &mut inlet, &mut outlet).await;
            }
            Err(Rejection::Silent(reason)) => {
                tracing::debug!(peer = %client.peer, reason, "client did not join");
            }
            Err(Rejection::Abort(abort, code)) => {
                shared.hub.metrics.refused();
                Box::pin(client.refuse(abort, code, &mut inlet, &mut outlet)).await;
            }
        }
    }
}

impl Client {
    async fn refuse(&self, abort: Abort, code: u16, inlet: &mut Inlet<'_>, outlet: &mut Outlet<'_>) {
        let message = abort.details.get("message").and_then(|message| message.as_str()).unwrap_or("");
        // Not as `message`, which would be printed as it is: the client chose some of it.
        tracing::info!(peer = %self.peer, reason = abort.reason, why = message, "client refused");
        outlet.add(Frame::encode(self.serializer, &Message::Abort(abort)));
        if let Ok(Ok(())) = timeout(CLOSE_TIMEOUT, outlet.close(Some(code))).await {
            linger(inlet).await;
        }
    }

    async fn greet(
        &self,
        shared: &Shared,
        inlet: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<Welcome, Rejection> {
        let greeting = greeting::read_hello(self.message(inlet, outlet).await?)?;
        let gatekeeper = shared.gatekeeper.get();
        let admitted = match gatekeeper.admit(&greeting)? {
            Admission::Welcome(admitted) => admitted,
            Admission::Challenge(challenge) => {
                outlet.add(Frame::encode(self.serializer, &Message::Challenge(challenge.clone())));
                self.flush(outlet).await?;
                let answer = greeting::read_authenticate(self.message(inlet, outlet).await?)?;
                let answer = answer.ok_or(Rejection::Silent("the client gave up"))?;
                let transport = Transport { kind: self.kind.name().to_owned(), peer: self.peer.clone() };
                let verifying = gatekeeper.verify(&greeting, &challenge, answer, transport);
                timeout_at(self.deadline, verifying).await.map_err(|_| unanswered())??
            }
        };
        let seat = shared.hub.enter(&greeting.realm).ok_or_else(|| {
            abort(NO_SUCH_REALM, &format!("realm {} is not served at the moment", greeting.realm))
        })?;
        Ok(Welcome { admitted, features: greeting.features, seat })
    }

    /// The next message, before the client's time is up.
    async fn message(&self, inlet: &mut Inlet<'_>, outlet: &mut Outlet<'_>) -> Result<Message, Rejection> {
        let violation = |reason: &str, code: u16| Rejection::Abort(abort(PROTOCOL_VIOLATION, reason), code);
        loop {
            let incoming = timeout_at(self.deadline, inlet.next()).await;
            match incoming.map_err(|_| self.too_slow())? {
                Incoming::Message(bytes) => {
                    outlet.answer_like(inlet);
                    return self
                        .serializer
                        .decode(bytes)
                        .map_err(|error| violation(&error.to_string(), websocket::NORMAL));
                }
                Incoming::Answer(frame) => {
                    outlet.add(frame);
                    self.flush(outlet).await?;
                }
                Incoming::Alive => {}
                Incoming::Violation(wrong) => return Err(violation(&wrong.reason, wrong.code)),
                Incoming::NoRoom(reason) => {
                    return Err(Rejection::Abort(abort(UNAVAILABLE, &reason.to_string()), websocket::NORMAL));
                }
                Incoming::Closed => return Err(Rejection::Silent("hung up before it joined")),
            }
        }
    }

    fn too_slow(&self) -> Rejection {
        abort(TIMEOUT, "the client took too long to join (limits.handshake_timeout_ms)").into()
    }

    async fn flush(&self, outlet: &mut Outlet<'_>) -> Result<(), Rejection> {
        match timeout_at(self.deadline, outlet.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Rejection::Silent("connection lost")),
            Err(_) => Err(Rejection::Silent("the client does not read")),
        }
    }

    async fn join(
        &self,
        shared: &Shared,
        ping: Duration,
        welcome: Welcome,
        mark: Mark,
        inlet: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let Welcome { admitted: Admitted { identity, until }, features, seat } = welcome;
        let peer = &self.peer;
        let outbound =
            Outbound::new(self.serializer, self.peer_limit, &shared.hub.limits, &shared.hub.budget);
        let gate = Arc::new(Gate::default());
        let (authid, authrole) = (identity.authid.clone(), identity.authrole.clone());
        let (key, joined) = oneshot::channel();
        seat.tell(ToRealm::Join { outbound: outbound.clone(), gate: gate.clone(), identity, features, key })
            .await;
        let Ok(session) = joined.await else { return };
        tracing::info!(%peer, transport = self.kind.name(), realm = seat.realm(), authid, authrole, "session joins");
        if shared.hub.revocations.since(mark, seat.realm(), &authid) {
            let reason = "the access of this client was changed while it joined".to_owned();
            seat.tell(ToRealm::End { session, why: Expelled::AccessEnded, reason }).await;
        }
        let heard = {
            let exchange = Exchange::new(session, &seat, &outbound, &gate);
            let rate = Rate::new(shared.hub.limits.clone(), std::time::Instant::now());
            let mut writing = std::pin::pin!(exchange.write(outlet, ping));
            let wrote = tokio::select! {
                biased;
                () = exchange.read(inlet, rate) => None,
                wrote = &mut writing => Some(wrote),
                () = end_of(until) => {
                    exchange.end(Expelled::AccessEnded, "the access of this client has ended: what it joined with is no longer valid").await;
                    None
                }
            };
            let realm = seat.realm().to_owned();
            seat.tell(ToRealm::Lost { session }).await;
            // The queue is closed now, or will be, and so every wait of the writer has an end.
            let heard = match wrote {
                Some(heard) => heard,
                None => writing.await,
            };
            tracing::info!(%peer, realm, authid, "session ends");
            heard
        };
        drop(seat);
        if heard {
            linger(inlet).await;
        }
    }
}

/// Nobody said in time whether the client may join; that is not its own fault.
fn unanswered() -> Rejection {
    let text = "the control plane did not answer before the time to join was over (limits.handshake_timeout_ms); try again in a few seconds";
    abort(AUTHENTICATION_FAILED, text).into()
}

/// Waits until then; for ever if there is no end.
async fn end_of(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Reads and forgets until the client hangs up.
async fn linger(inlet: &mut Inlet<'_>) {
    let hung_up = async { while !matches!(inlet.next().await, Incoming::Closed) {} };
    let _ = timeout(LINGER, hung_up).await;
}

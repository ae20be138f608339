//! The task that owns one realm's state machine: inputs come by a bounded channel, outputs go to the clients' queues.
//!
//! It never waits for a client. Inputs are bounded in number by the channel and in bytes by permits, so a reader
//! that is ahead of the realm waits, and with it its client.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ecep_proto::codec::Serializer;
use ecep_proto::error::PROTOCOL_VIOLATION;
use ecep_proto::message::Message;
use ecep_router_core::features::Features;
use ecep_router_core::{Identity, Input, Output, Realm, RealmConfig, SessionKey, WallClock};
use slab::Slab;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::auth::{Access, Change};
use crate::budget::Budget;
use crate::metrics::{Expelled, Metrics, RealmReport};
use crate::outbound::{CALL_GRACE, Frame, Outbound, Pushed, SENDER_GRACE};

/// How many inputs may wait for a realm.
pub(crate) const INBOX_MESSAGES: usize = 1024;

/// How many inputs are taken out at once. The clients' writers are woken after them: each once, for all that it got.
const TURN_INPUTS: usize = 64;

/// After so many messages the writers are woken and get to write, though there are more inputs: some hundred
/// microseconds of work.
const TURN_MESSAGES: usize = 256;

/// Who slows a session down: the congested queues that it sent to last, each for as long as its client takes something
/// in every such grace.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Vec<Slowed>>);

#[derive(Debug)]
struct Slowed {
    by: Arc<Outbound>,
    grace: Duration,
}

impl Gate {
    fn wait_for(&self, by: &Arc<Outbound>, grace: Duration) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.iter_mut().find(|known| Arc::ptr_eq(&known.by, by)) {
            Some(known) => known.grace = known.grace.max(grace),
            None => queues.push(Slowed { by: by.clone(), grace }),
        }
    }

    /// Waits for the queues that the session has congested.
    pub(crate) async fn pass(&self) {
        let queues = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for Slowed { by, grace } in queues {
            by.calm_within(grace).await;
        }
    }
}

/// What a realm is told.
#[derive(Debug)]
pub(crate) enum ToRealm {
    /// A client joins; its key is answered.
    Join {
        outbound: Arc<Outbound>,
        gate: Arc<Gate>,
        identity: Identity,
        features: Features,
        key: oneshot::Sender<SessionKey>,
    },
    /// A client sent messages.
    Received { session: SessionKey, messages: Vec<Message>, permit: OwnedSemaphorePermit },
    /// A client sent something else.
    Malformed { session: SessionKey, reason: String },
    /// A client's session is to end.
    End { session: SessionKey, why: Expelled, reason: String },
    /// All sessions of this authid are to end; their number is answered.
    EndSessions { authid: String, reason: String, ended: oneshot::Sender<u64> },
    /// A client's connection is gone.
    Lost { session: SessionKey },
    /// Roles and limits have changed, and what some may do; answered when it holds.
    Reconfigure { config: RealmConfig, changes: Vec<Change>, done: oneshot::Sender<()> },
    /// Say how busy the realm is.
    Report(oneshot::Sender<RealmReport>),
    /// Say good-bye to everybody.
    Shutdown,
}

struct Client {
    outbound: Arc<Outbound>,
    gate: Arc<Gate>,
    /// An event was too large for it.
    missed_events: bool,
}

struct RealmTask {
    core: Realm,
    clients: Slab<Client>,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    /// Whoever joins now is told to go, like those who were there.
    closing: bool,
    /// Whom to wake when this turn is over.
    writers: Vec<Waker>,
}

/// Runs a realm until nobody can tell it anything any more.
pub(crate) async fn run(
    config: RealmConfig,
    seed: u64,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    mut inbox: mpsc::Receiver<ToRealm>,
) {
    let name = config.name.clone();
    tracing::info!(realm = name, "realm starts");
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let clock = WallClock { instant: Instant::now(), since_epoch };
    let core = Realm::new(config, seed, clock);
    let mut task =
        RealmTask { core, clients: Slab::new(), budget, metrics, closing: false, writers: Vec::new() };
    let mut turn = Vec::new();
    loop {
        let timeout = task.core.poll_timeout();
        let received = match timeout {
            None => inbox.recv_many(&mut turn, TURN_INPUTS).await,
            Some(deadline) => tokio::select! {
                biased;
                () = tokio::time::sleep_until(deadline.into()) => {
                    let now = Instant::now();
                    task.core.handle_timeout(now);
                    task.flush(now, None);
                    task.wake();
                    continue;
                }
                received = inbox.recv_many(&mut turn, TURN_INPUTS) => received,
            },
        };
        if received == 0 {
            break;
        }
        let now = Instant::now();
        let mut handled = 0;
        for received in turn.drain(..) {
            handled += match &received {
                ToRealm::Received { messages, .. } => messages.len(),
                _ => 1,
            };
            task.handle(now, received);
            if handled >= TURN_MESSAGES {
                handled = 0;
                task.wake();
                tokio::task::yield_now().await;
            }
        }
        task.wake();
    }
    tracing::info!(realm = name, "realm ends");
}

impl RealmTask {
    fn handle(&mut self, now: Instant, received: ToRealm) {
        match received {
            ToRealm::Join { outbound, gate, identity, features, key } => {
                let client = Client { outbound, gate, missed_events: false };
                let session = SessionKey(self.clients.insert(client));
                self.core.handle(now, Input::Join { session, identity, features });
                self.flush(now, Some(session));
                if self.closing {
                    self.handle(now, ToRealm::Shutdown);
                }
                if key.send(session).is_err() {
                    // The connection ended while it joined.
                    self.handle(now, ToRealm::Lost { session });
                }
            }
            ToRealm::Received { session, messages, permit } => {
                for message in messages {
                    self.metrics.received(message.code());
                    self.core.handle(now, Input::Received { session, message });
                    self.flush(now, Some(session));
                }
                drop(permit);
            }
            ToRealm::Malformed { session, reason } => {
                self.core.handle(now, Input::Malformed { session, reason });
                self.flush(now, None);
            }
            ToRealm::End { session, why, reason } => {
                self.metrics.expelled(why);
                self.core.handle(now, Input::Expel { session, reason });
                self.flush(now, None);
            }
            ToRealm::EndSessions { authid, reason, ended } => {
                let sessions = self.core.sessions_of(&authid);
                let count = sessions.len() as u64;
                for session in sessions {
                    let (why, reason) = (Expelled::AccessEnded, reason.clone());
                    self.handle(now, ToRealm::End { session, why, reason });
                }
                // The router's own session may have ended meanwhile; they are ended all the same.
                let _ = ended.send(count);
            }
            ToRealm::Lost { session } => {
                self.core.handle(now, Input::Lost { session });
                self.flush(now, None);
                if let Some(client) = self.clients.try_remove(session.0) {
                    client.outbound.close();
                }
            }
            ToRealm::Reconfigure { config, changes, done } => {
                let mut moved = Vec::new();
                for Change { authid, access, .. } in changes {
                    for session in self.core.sessions_of(&authid) {
                        match &access {
                            Access::Role(role) => moved.push((session, role.clone())),
                            Access::Revoked(reason) => {
                                let (why, reason) = (Expelled::AccessEnded, (*reason).to_owned());
                                self.handle(now, ToRealm::End { session, why, reason });
                            }
                        }
                    }
                }
                self.core.handle(now, Input::Reconfigure { config, moved });
                self.flush(now, None);
                // Nobody may wait for it any more.
                let _ = done.send(());
            }
            ToRealm::Report(answer) => {
                let (sessions, pending_calls) = (self.core.session_count(), self.core.pending_calls());
                // Who asked may not want to know any more.
                let _ = answer.send(RealmReport { sessions, pending_calls });
            }
            ToRealm::Shutdown => {
                self.closing = true;
                self.core.handle(now, Input::Shutdown);
                self.flush(now, None);
            }
        }
    }

    /// Does what the state machine says, until it says no more.
    fn flush(&mut self, now: Instant, cause: Option<SessionKey>) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let mut encoded = Encoded::default();
                    self.deliver(now, cause, to, &message, &mut encoded);
                }
                Output::Broadcast { to, except, message } => {
                    let mut encoded = Encoded::default();
                    for to in to.iter().filter(|to| Some(**to) != except) {
                        self.deliver(now, cause, *to, &message, &mut encoded);
                    }
                }
                Output::Close { session } => {
                    if let Some(client) = self.clients.get(session.0) {
                        client.outbound.close();
                    }
                }
            }
        }
    }

    fn deliver(
        &mut self,
        now: Instant,
        cause: Option<SessionKey>,
        to: SessionKey,
        message: &Message,
        encoded: &mut Encoded,
    ) {
        let Some(client) = self.clients.get(to.0) else { return };
        let frame = encoded.frame(client.outbound.serializer, message, &self.budget);
        let bytes = frame.as_bytes().len();
        if !client.outbound.takes(bytes) {
            self.too_large(now, to, message, bytes);
            return;
        }
        let invocation = match message {
            Message::Invocation(message) => Some(message.request),
            _ => None,
        };
        let pushed = if invocation.is_some() && client.outbound.is_stalled() {
            Pushed::Overflow
        } else {
            client.outbound.push(frame)
        };
        if !matches!(pushed, Pushed::Overflow) {
            self.count(message, bytes, cause.filter(|cause| *cause != to));
        }
        match (pushed, invocation) {
            (Pushed::Queued(writer), _) => self.writers.extend(writer),
            (Pushed::Congested(writer), _) => {
                self.writers.extend(writer);
                let grace = if invocation.is_some() { CALL_GRACE } else { SENDER_GRACE };
                if let Some(sender) = cause.filter(|cause| *cause != to)
                    && let Some(sender) = self.clients.get(sender.0)
                {
                    sender.gate.wait_for(&client.outbound, grace);
                }
            }
            // A flood of calls must not cost the callee its session.
            (Pushed::Overflow, Some(invocation)) => {
                self.core.handle(now, Input::Stalled { callee: to, invocation });
            }
            (Pushed::Overflow, None) => {
                tracing::warn!(session = to.0, "closing a session that does not read what is sent to it");
                client.outbound.clear();
                self.metrics.expelled(Expelled::SlowReader);
                let reason = "this session does not read fast enough: what waited for it passed limits.max_queue_bytes or limits.max_queue_messages";
                self.core.handle(now, Input::Expel { session: to, reason: reason.to_owned() });
            }
        }
        self.budget.relieve();
    }

    /// The message is not sent. Of an EVENT nobody hears but whoever runs the router.
    fn too_large(&mut self, now: Instant, to: SessionKey, message: &Message, bytes: usize) {
        if matches!(message, Message::Event(_)) {
            self.metrics.too_large_event();
            if let Some(client) = self.clients.get_mut(to.0)
                && !std::mem::replace(&mut client.missed_events, true)
            {
                tracing::warn!(
                    session = to.0,
                    bytes,
                    "an EVENT is larger than this session takes and not sent to it; further ones are only counted, \
                     in ecep_router_too_large_events_total"
                );
            }
        }
        self.core.handle(now, Input::TooLarge { session: to, message: message.clone() });
    }

    fn count(&self, message: &Message, bytes: usize, by_another: Option<SessionKey>) {
        self.metrics.sent(message.code(), bytes);
        match message {
            Message::Abort(abort) if abort.reason == PROTOCOL_VIOLATION => {
                self.metrics.expelled(Expelled::Violation)
            }
            Message::Goodbye(_) if by_another.is_some() => self.metrics.expelled(Expelled::Killed),
            _ => {}
        }
    }

    fn wake(&mut self) {
        for writer in self.writers.drain(..) {
            writer.wake();
        }
    }
}

/// A message in the serializers that were needed so far: encoded once, whoever many get it.
#[derive(Default)]
struct Encoded([Option<Frame>; Serializer::ALL.len()]);

impl Encoded {
    fn frame(&mut self, serializer: Serializer, message: &Message, budget: &Arc<Budget>) -> Frame {
        let slot = &mut self.0[serializer as usize];
        slot.get_or_insert_with(|| Frame::encode(serializer, message).counted(budget)).clone()
    }
}

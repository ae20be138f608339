//! The task that owns one realm's state machine: inputs come by a bounded channel, outputs go to the clients' queues.
//!
//! It never waits for a client. Inputs are bounded in number by the channel and in bytes by permits, so a reader
//! that is ahead of the realm waits, and with it its client.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ecep_proto::codec::Serializer;
use ecep_proto::message::Message;
use ecep_router_core::features::Features;
use ecep_router_core::{Identity, Input, Output, Realm, RealmConfig, SessionKey, WallClock};
use slab::Slab;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::outbound::{CALL_GRACE, EVENT_GRACE, Frame, Outbound, Pushed};

/// How many inputs may wait for a realm.
pub(crate) const INBOX_MESSAGES: usize = 1024;

/// Who slows a session down, and for how long: the congested queues that it sent to last, until their grace ends.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Vec<Slowed>>);

#[derive(Debug)]
struct Slowed {
    by: Arc<Outbound>,
    until: tokio::time::Instant,
}

impl Gate {
    fn wait_for(&self, by: &Arc<Outbound>, until: tokio::time::Instant) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match queues.iter_mut().find(|known| Arc::ptr_eq(&known.by, by)) {
            Some(known) => known.until = known.until.max(until),
            None => queues.push(Slowed { by: by.clone(), until }),
        }
    }

    /// Waits for the queues that the session has congested.
    pub(crate) async fn pass(&self) {
        let queues = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for Slowed { by, until } in queues {
            by.calm_until(until).await;
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
    /// A client sent a message.
    Received { session: SessionKey, message: Message, permit: OwnedSemaphorePermit },
    /// A client sent something else.
    Malformed { session: SessionKey, reason: String },
    /// A client's session is to end.
    End { session: SessionKey, reason: String },
    /// All sessions of this authid are to end; their number is answered.
    EndSessions { authid: String, reason: String, ended: oneshot::Sender<u64> },
    /// A client's connection is gone.
    Lost { session: SessionKey },
    /// Say good-bye to everybody.
    Shutdown,
}

struct Client {
    outbound: Arc<Outbound>,
    gate: Arc<Gate>,
}

struct RealmTask {
    core: Realm,
    clients: Slab<Client>,
}

/// Runs a realm until nobody can tell it anything any more.
pub(crate) async fn run(config: RealmConfig, seed: u64, mut inbox: mpsc::Receiver<ToRealm>) {
    let name = config.name.clone();
    tracing::info!(realm = name, "realm starts");
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let clock = WallClock { instant: Instant::now(), since_epoch };
    let mut task = RealmTask { core: Realm::new(config, seed, clock), clients: Slab::new() };
    loop {
        let timeout = task.core.poll_timeout();
        let received = match timeout {
            None => inbox.recv().await,
            Some(deadline) => tokio::select! {
                received = inbox.recv() => received,
                () = tokio::time::sleep_until(deadline.into()) => {
                    let now = Instant::now();
                    task.core.handle_timeout(now);
                    task.flush(now, None);
                    continue;
                }
            },
        };
        let Some(received) = received else { break };
        task.handle(Instant::now(), received);
    }
    tracing::info!(realm = name, "realm ends");
}

impl RealmTask {
    fn handle(&mut self, now: Instant, received: ToRealm) {
        match received {
            ToRealm::Join { outbound, gate, identity, features, key } => {
                let session = SessionKey(self.clients.insert(Client { outbound, gate }));
                self.core.handle(now, Input::Join { session, identity, features });
                self.flush(now, Some(session));
                if key.send(session).is_err() {
                    // The connection ended while it joined.
                    self.handle(now, ToRealm::Lost { session });
                }
            }
            ToRealm::Received { session, message, permit } => {
                self.core.handle(now, Input::Received { session, message });
                self.flush(now, Some(session));
                drop(permit);
            }
            ToRealm::Malformed { session, reason } => {
                self.core.handle(now, Input::Malformed { session, reason });
                self.flush(now, None);
            }
            ToRealm::End { session, reason } => {
                self.core.handle(now, Input::Expel { session, reason });
                self.flush(now, None);
            }
            ToRealm::EndSessions { authid, reason, ended } => {
                let sessions = self.core.sessions_of(&authid);
                let count = sessions.len() as u64;
                for session in sessions {
                    self.handle(now, ToRealm::End { session, reason: reason.clone() });
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
            ToRealm::Shutdown => {
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
        let frame = encoded.frame(client.outbound.serializer, message);
        if frame.as_bytes().len() > client.outbound.peer_limit {
            self.core.handle(now, Input::TooLarge { session: to, message: message.clone() });
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
        match (pushed, invocation) {
            (Pushed::Queued, _) => {}
            (Pushed::Congested, _) => {
                let grace = match message {
                    Message::Invocation(_) => CALL_GRACE,
                    Message::Event(_) => EVENT_GRACE,
                    // Results go to who asked for them, and only as many as were asked for: who does not take those
                    // has itself to blame, and must not slow the callee.
                    _ => return,
                };
                if let Some(until) = client.outbound.grace_end(grace)
                    && let Some(sender) = cause.filter(|cause| *cause != to)
                    && let Some(sender) = self.clients.get(sender.0)
                {
                    sender.gate.wait_for(&client.outbound, until);
                }
            }
            // A flood of calls must not cost the callee its session.
            (Pushed::Overflow, Some(invocation)) => {
                self.core.handle(now, Input::Stalled { callee: to, invocation });
            }
            (Pushed::Overflow, None) => {
                tracing::warn!(session = to.0, "closing a session that does not read what is sent to it");
                client.outbound.clear();
                let reason = "this session does not read fast enough: what waited for it passed the limit";
                self.core.handle(now, Input::Expel { session: to, reason: reason.to_owned() });
            }
        }
    }
}

/// A message in the serializers that were needed so far: encoded once, whoever many get it.
#[derive(Default)]
struct Encoded([Option<Frame>; Serializer::ALL.len()]);

impl Encoded {
    fn frame(&mut self, serializer: Serializer, message: &Message) -> Frame {
        let slot = &mut self.0[serializer as usize];
        slot.get_or_insert_with(|| Frame::encode(serializer, message)).clone()
    }
}

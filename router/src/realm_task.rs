//! The task that owns one realm's state machine: inputs come by a bounded channel, outputs go to the clients' queues.
//!
//! It never waits for a client. Inputs are bounded in bytes, in all and for each session, by the room that a reader asks
//! for first: one that is ahead of the realm waits, and with it its client. Work is counted in units: a session that
//! has had its share waits for the others, whatever its messages ask for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::vec::IntoIter;

use ecep_proto::codec::Serializer;
use ecep_proto::error::PROTOCOL_VIOLATION;
use ecep_proto::message::Message;
use ecep_router_core::features::Features;
use ecep_router_core::{Identity, Input, Output, Realm, RealmConfig, SessionKey, WallClock};
use slab::Slab;
use tokio::sync::{mpsc, oneshot};

use crate::auth::{Access, Change};
use crate::budget::Budget;
use crate::hub::InboxPermit;
use crate::metrics::{Expelled, Metrics, RealmReport};
use crate::outbound::{Frame, Outbound, Pushed};
use crate::turns::Turns;

/// How many inputs may wait for a realm that is busy with others.
pub(crate) const INBOX_MESSAGES: usize = 1024;

/// How many inputs are taken out at once. The clients' writers are woken after them: each once, for all that it got.
const TURN_INPUTS: usize = 64;

/// After so much work the writers are woken and get to write, though there are more inputs: some hundred microseconds.
/// As much is a session's share of a round, after which it waits for the others.
const TURN_UNITS: usize = 2048;

/// How long writers may sleep on who have got nothing but events, while the realm has more to do. Waking a writer and its system
/// call cost as much as fifteen events: if a thousand subscribers were woken after each turn, each would be woken for two of them.
/// Nobody notices so short a time beside what the realm has to do then.
const EVENTS_WAIT: Duration = Duration::from_millis(4);

/// Or until there are so many events for each of them: more at a time cost hardly less.
const EVENTS_HELD: usize = 64;

/// What a message counts for, whatever comes of it.
const MESSAGE_UNITS: usize = 4;

/// What a message in a client's queue counts for; where it was encoded for that, as well what [`bytes_units`] says.
const FRAME_UNITS: usize = 1;

/// What bytes that were encoded count for: half a kilobyte takes about as long as a place in a queue.
const fn bytes_units(bytes: usize) -> usize {
    bytes / 512
}

/// What looking through so many retained events for those of a pattern counts for, wherever it finds none.
const fn search_units(events: usize) -> usize {
    events / 16
}

/// Who slows a session down: the congested queues that it sent to last, each for as long as its client takes something
/// in every [`GRACE`](crate::outbound::GRACE); by [`Outbound::place`].
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<HashMap<usize, Arc<Outbound>>>);

impl Gate {
    fn wait_for(&self, queue: &Arc<Outbound>) {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(queue.place()).or_insert_with(|| queue.clone());
    }

    /// Waits for the queues that the session has congested.
    pub(crate) async fn pass(&self) {
        let queues = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for queue in queues.into_values() {
            queue.calm_within_grace().await;
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
    Received { session: SessionKey, messages: Vec<Message>, permit: InboxPermit },
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
    /// It is counted already why its session ends.
    is_expelled: bool,
}

/// What has come from a session and waits for its turn.
#[derive(Debug)]
enum Waiting {
    Messages { messages: IntoIter<Message>, room: InboxPermit },
    Malformed(String),
    Lost,
}

struct RealmTask {
    core: Realm,
    clients: Slab<Client>,
    turns: Turns<Waiting>,
    /// How many units of work this turn has taken.
    worked: usize,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    /// Whoever joins now is told to go, like those who were there.
    closing: bool,
    /// Whom to wake when this turn is over.
    writers: Vec<Waker>,
    held: Held,
}

/// Clients whose writers sleep on, for a while, though there are events for them.
#[derive(Default)]
struct Held {
    clients: Vec<SessionKey>,
    /// Since when the first of them does.
    since: Option<Instant>,
    /// How many events there have been since then, for whomever.
    events: usize,
}

impl Held {
    fn add(&mut self, now: Instant, client: SessionKey) {
        self.since.get_or_insert(now);
        self.clients.push(client);
    }

    /// Whether they are to be woken.
    fn is_due(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) >= EVENTS_WAIT)
            || self.events >= EVENTS_HELD * self.clients.len()
    }
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
    let mut task = RealmTask::new(core, budget, metrics);
    let mut arrived = Vec::new();
    loop {
        let due = task.core.poll_timeout();
        let is_open = match due {
            _ if !task.turns.is_empty() => {
                // Those who were woken get to write.
                tokio::task::yield_now().await;
                while arrived.len() < TURN_INPUTS
                    && let Ok(input) = inbox.try_recv()
                {
                    arrived.push(input);
                }
                true
            }
            None => inbox.recv_many(&mut arrived, TURN_INPUTS).await > 0,
            Some(due) => tokio::select! {
                biased;
                () = tokio::time::sleep_until(due.into()) => true,
                received = inbox.recv_many(&mut arrived, TURN_INPUTS) => received > 0,
            },
        };
        if !is_open {
            break;
        }
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) {
            task.core.handle_timeout(now);
            task.flush(now, None);
        }
        for input in arrived.drain(..) {
            task.accept(now, input);
        }
        task.turn(now);
        task.wake(now);
    }
    tracing::info!(realm = name, "realm ends");
}

impl RealmTask {
    fn new(core: Realm, budget: Arc<Budget>, metrics: Arc<Metrics>) -> Self {
        Self {
            core,
            clients: Slab::new(),
            turns: Turns::new(TURN_UNITS),
            worked: 0,
            budget,
            metrics,
            closing: false,
            writers: Vec::new(),
            held: Held::default(),
        }
    }

    /// Handles what waits, until the turn's work is done. It may take more by what one session has a share for.
    fn turn(&mut self, now: Instant) {
        self.worked = 0;
        while self.worked < TURN_UNITS
            && let Some((session, input, share)) = self.turns.next()
        {
            let before = self.worked;
            let rest = self.handle(now, session, input, before + share);
            self.turns.done(session, self.worked - before, rest);
        }
    }

    /// Handles what a session has sent, until so much work is done; what is left of it.
    fn handle(&mut self, now: Instant, session: SessionKey, input: Waiting, until: usize) -> Option<Waiting> {
        self.worked += MESSAGE_UNITS;
        match input {
            Waiting::Messages { mut messages, room } => {
                while let Some(message) = messages.next() {
                    self.receive(now, session, message);
                    if self.worked >= until && messages.len() > 0 {
                        return Some(Waiting::Messages { messages, room });
                    }
                }
            }
            Waiting::Malformed(reason) => {
                self.core.handle(now, Input::Malformed { session, reason });
                self.flush(now, None);
            }
            Waiting::Lost => self.lost(now, session),
        }
        None
    }

    fn receive(&mut self, now: Instant, session: SessionKey, message: Message) {
        self.metrics.received(message.code());
        self.worked += MESSAGE_UNITS;
        if let Message::Subscribe(message) = &message
            && message.options.contains_key("get_retained")
            && message.options.contains_key("match")
        {
            self.worked += search_units(self.core.retained().events);
        }
        self.core.handle(now, Input::Received { session, message });
        self.flush(now, Some(session));
    }

    fn lost(&mut self, now: Instant, session: SessionKey) {
        self.core.handle(now, Input::Lost { session });
        self.flush(now, None);
        if let Some(client) = self.clients.try_remove(session.0) {
            client.outbound.close();
        }
    }

    /// Ends a session, and counts why.
    fn expel(&mut self, now: Instant, session: SessionKey, why: Expelled, reason: String) {
        self.count_expelled(session, why);
        self.core.handle(now, Input::Expel { session, reason });
    }

    /// Counts why a session ends: once, however much comes together.
    fn count_expelled(&mut self, session: SessionKey, why: Expelled) {
        if let Some(client) = self.clients.get_mut(session.0)
            && !std::mem::replace(&mut client.is_expelled, true)
        {
            self.metrics.expelled(why);
        }
    }

    /// Takes an input: what a session has sent waits for its turn, everything else is handled at once.
    fn accept(&mut self, now: Instant, input: ToRealm) {
        match input {
            ToRealm::Received { session, messages, permit: room } => {
                let messages = messages.into_iter();
                self.turns.push(session, Waiting::Messages { messages, room });
            }
            ToRealm::Malformed { session, reason } => {
                self.turns.push(session, Waiting::Malformed(reason));
            }
            ToRealm::Lost { session } => self.turns.push(session, Waiting::Lost),
            ToRealm::Join { outbound, gate, identity, features, key } => {
                let session = SessionKey(self.clients.insert(Client {
                    outbound,
                    gate,
                    missed_events: false,
                    is_expelled: false,
                }));
                self.core.handle(now, Input::Join { session, identity, features });
                self.flush(now, Some(session));
                if self.closing {
                    self.shut_down(now);
                }
                if key.send(session).is_err() {
                    // The connection ended while it joined.
                    self.lost(now, session);
                }
            }
            ToRealm::End { session, why, reason } => {
                self.expel(now, session, why, reason);
                self.flush(now, None);
            }
            ToRealm::EndSessions { authid, reason, ended } => {
                let sessions = self.core.sessions_of(&authid);
                let count = sessions.len() as u64;
                for session in sessions {
                    self.expel(now, session, Expelled::AccessEnded, reason.clone());
                    self.flush(now, None);
                }
                // The router's own session may have ended meanwhile; they are ended all the same.
                let _ = ended.send(count);
            }
            ToRealm::Reconfigure { config, changes, done } => {
                let mut moved = Vec::new();
                for Change { authid, access, .. } in changes {
                    for session in self.core.sessions_of(&authid) {
                        match &access {
                            Access::Role(role) => moved.push((session, role.clone())),
                            Access::Revoked(reason) => {
                                self.expel(now, session, Expelled::AccessEnded, (*reason).to_owned());
                                self.flush(now, None);
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
                let retained = self.core.retained();
                // Who asked may not want to know any more.
                let _ = answer.send(RealmReport {
                    sessions: self.core.session_count(),
                    pending_calls: self.core.pending_calls(),
                    retained_events: retained.events,
                    retained_bytes: retained.bytes,
                });
            }
            ToRealm::Shutdown => self.shut_down(now),
        }
    }

    fn shut_down(&mut self, now: Instant) {
        self.closing = true;
        self.core.handle(now, Input::Shutdown);
        self.flush(now, None);
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
        self.worked += FRAME_UNITS;
        let serializer = client.outbound.serializer;
        let is_new = !encoded.has(serializer);
        let frame = encoded.frame(serializer, message, &self.budget);
        let bytes = frame.as_bytes().len();
        if is_new {
            self.worked += bytes_units(bytes);
        }
        if !client.outbound.takes(bytes) {
            self.too_large(now, to, message, bytes);
            return;
        }
        let invocation = match message {
            Message::Invocation(message) => Some(message.request),
            _ => None,
        };
        let pushed = match message {
            Message::Invocation(_) if client.outbound.is_stalled() => Pushed::Overflow,
            Message::Event(_) => {
                self.held.events += 1;
                client.outbound.push_without_haste(frame)
            }
            _ => client.outbound.push(frame),
        };
        let mut expelled = None;
        if !matches!(pushed, Pushed::Overflow) {
            self.metrics.sent(message.code(), bytes);
            expelled = expelled_by(message, cause.is_some_and(|cause| cause != to));
        }
        match (pushed, invocation) {
            (Pushed::Queued(writer), _) => self.writers.extend(writer),
            (Pushed::Held, _) => self.held.add(now, to),
            (Pushed::Congested(writer), _) => {
                self.writers.extend(writer);
                if let Some(sender) = cause.filter(|cause| *cause != to)
                    && let Some(sender) = self.clients.get(sender.0)
                {
                    sender.gate.wait_for(&client.outbound);
                }
            }
            // A flood of calls must not cost the callee its session.
            (Pushed::Overflow, Some(invocation)) => {
                self.core.handle(now, Input::Stalled { callee: to, invocation });
            }
            (Pushed::Overflow, None) => {
                tracing::warn!(session = to.0, "closing a session that does not read what is sent to it");
                client.outbound.clear();
                let reason = "this session does not read fast enough: what waited for it passed limits.max_queue_bytes or limits.max_queue_messages";
                self.expel(now, to, Expelled::SlowReader, reason.to_owned());
            }
        }
        if let Some(why) = expelled {
            self.count_expelled(to, why);
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

    /// A turn is over: wakes those who have got something.
    fn wake(&mut self, now: Instant) {
        if self.turns.is_empty() || self.held.is_due(now) {
            let Held { mut clients, .. } = std::mem::take(&mut self.held);
            let sleepers =
                clients.drain(..).filter_map(|client| self.clients.get(client.0)?.outbound.sleeper());
            self.writers.extend(sleepers);
            self.held.clients = clients;
        }
        for writer in self.writers.drain(..) {
            writer.wake();
        }
    }
}

/// Why the session ends that gets this message, if it ends because of others or of what it did.
fn expelled_by(message: &Message, by_another: bool) -> Option<Expelled> {
    match message {
        Message::Abort(abort) if abort.reason == PROTOCOL_VIOLATION => Some(Expelled::Violation),
        Message::Goodbye(_) if by_another => Some(Expelled::Killed),
        _ => None,
    }
}

/// A message in the serializers that were needed so far: encoded once, whoever many get it.
#[derive(Default)]
struct Encoded([Option<Frame>; Serializer::ALL.len()]);

impl Encoded {
    const fn has(&self, serializer: Serializer) -> bool {
        self.0[serializer as usize].is_some()
    }

    fn frame(&mut self, serializer: Serializer, message: &Message, budget: &Arc<Budget>) -> Frame {
        let slot = &mut self.0[serializer as usize];
        slot.get_or_insert_with(|| Frame::encode(serializer, message).counted(budget)).clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod tests;

//! What goes on between a session that has joined and its realm, in one task: reading, writing, pings.
//!
//! What was read is handed on in pieces. It stops reading while the realm's inbox is full, while the queues that it
//! sends to are congested and still move, while its own client does not read what it is sent, and while there is no
//! room for a message that has come in part. It pings, and gives up on a client that gives no sign of life or takes no
//! bytes.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use ecep_router_core::SessionKey;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::hub::Seat;
use crate::metrics::Expelled;
use crate::outbound::{Frame, Outbound, Pushed, Taken, Weight};
use crate::rate::Rate;
use crate::realm_task::{Gate, ToRealm};
use crate::transport::Incoming;
use crate::transport::pipe::{Inlet, Outlet};
use crate::transport::websocket;

/// How long a client may take to read the last words that it is sent. One that stopped reading is not waited for.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a message counts for in the realm's inbox besides its bytes: about what the shortest one takes when decoded.
const MESSAGE_COST: usize = 256;

/// How many messages, and of what cost, are handed on at once: they may fill queues, and the next piece waits for these.
const PIECE_MESSAGES: usize = 256;
const PIECE_COST: usize = 256 << 10;

/// A joined session.
pub(crate) struct Exchange<'a> {
    pub(crate) session: SessionKey,
    pub(crate) seat: &'a Seat,
    pub(crate) outbound: &'a Outbound,
    pub(crate) gate: &'a Gate,
    /// Something came since the last ping, or went out though the socket had been full.
    pub(crate) seen: AtomicBool,
    /// Nothing is read, on purpose: silence is no sign of death.
    pub(crate) paused: AtomicBool,
    /// How the transport is to be closed.
    pub(crate) close_code: AtomicU16,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(session: SessionKey, seat: &'a Seat, outbound: &'a Outbound, gate: &'a Gate) -> Self {
        let (seen, paused) = (AtomicBool::new(true), AtomicBool::new(false));
        let close_code = AtomicU16::new(websocket::NORMAL);
        Self { session, seat, outbound, gate, seen, paused, close_code }
    }

    /// Reads until the client has gone. What ends a session for another reason ends the writing.
    pub(crate) async fn read(&self, inlet: &mut Inlet<'_>, mut rate: Rate) {
        loop {
            inlet.fill().await;
            self.seen.store(true, Ordering::Relaxed);
            self.paused.store(true, Ordering::Relaxed);
            let (mut piece, mut cost, mut count) = (Vec::new(), 0, 0);
            while let Some(incoming) = inlet.incoming.pop_front() {
                let end = match incoming {
                    Incoming::Message(bytes) => {
                        count += 1;
                        cost += bytes.len() + MESSAGE_COST;
                        piece.push(bytes);
                        if piece.len() >= PIECE_MESSAGES || cost >= PIECE_COST {
                            self.pass_on(std::mem::take(&mut piece), std::mem::take(&mut cost)).await;
                            self.give_way(inlet).await;
                        }
                        continue;
                    }
                    Incoming::Answer(frame) => {
                        self.answer(frame).await;
                        continue;
                    }
                    Incoming::Alive => continue,
                    end @ (Incoming::Violation(_) | Incoming::NoRoom(_) | Incoming::Closed) => end,
                };
                self.pass_on(std::mem::take(&mut piece), std::mem::take(&mut cost)).await;
                match end {
                    Incoming::Violation(violation) => {
                        self.close_code.store(violation.code, Ordering::Relaxed);
                        self.malformed(violation.reason).await;
                    }
                    Incoming::NoRoom(reason) => self.end(Expelled::NoRoom, &reason.to_string()).await,
                    _ => return,
                }
                // The realm closes the queue, and that ends the writing.
                std::future::pending::<()>().await;
            }
            inlet.shrink();
            self.pass_on(piece, cost).await;
            self.give_way(inlet).await;
            if let Some(wait) = rate.spend(count, std::time::Instant::now) {
                tokio::time::sleep(wait).await;
            }
            inlet.prepare().await;
            self.paused.store(false, Ordering::Relaxed);
        }
    }

    /// Answers what the transport wants to be answered.
    async fn answer(&self, frame: Frame) {
        let budget = self.seat.budget();
        match self.outbound.push(frame.counted(budget)) {
            Pushed::Queued(writer) | Pushed::Congested(writer) => {
                if let Some(writer) = writer {
                    writer.wake();
                }
            }
            // Only of what is without haste.
            Pushed::Held => {}
            Pushed::Overflow => {
                self.outbound.clear();
                self.end(Expelled::SlowReader, "this session does not read the answers to its pings").await;
            }
        }
        budget.relieve();
    }

    /// Waits for the queues that this session has filled, and for its own; but not while others need the room of a
    /// message that has come in part.
    async fn give_way(&self, inlet: &Inlet<'_>) {
        tokio::select! {
            biased;
            () = async {
                self.gate.pass().await;
                self.outbound.calm().await;
            } => {}
            () = inlet.room_ends() => {}
        }
    }

    async fn pass_on(&self, encoded: Vec<Bytes>, cost: usize) {
        if encoded.is_empty() {
            return;
        }
        // Room first: what a message takes when decoded can be many times its length.
        let Some(permit) = self.seat.room(cost).await else { return };
        self.seat.metrics().received_bytes(encoded.iter().map(Bytes::len).sum());
        let mut messages = Vec::with_capacity(encoded.len());
        let mut wrong = None;
        for bytes in encoded {
            match self.outbound.serializer.decode(bytes) {
                Ok(message) => messages.push(message),
                Err(error) => {
                    wrong = Some(error.to_string());
                    break;
                }
            }
        }
        self.seat.tell(ToRealm::Received { session: self.session, messages, permit }).await;
        if let Some(reason) = wrong {
            self.malformed(reason).await;
        }
    }

    async fn malformed(&self, reason: String) {
        self.seat.tell(ToRealm::Malformed { session: self.session, reason }).await;
    }

    /// Has the session ended, with the reason.
    pub(crate) async fn end(&self, why: Expelled, reason: &str) {
        self.seat.tell(ToRealm::End { session: self.session, why, reason: reason.to_owned() }).await;
    }

    /// Writes what waits, until the queue is closed and empty; whether the client got its last words.
    pub(crate) async fn write(&self, outlet: &mut Outlet<'_>, ping: Duration) -> bool {
        let mut ticks = interval_at(Instant::now() + ping, ping);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut writing = Writing::default();
        loop {
            let step = tokio::select! {
                biased;
                step = poll_fn(|cx| self.poll_step(cx, outlet, &mut writing)) => step,
                _ = ticks.tick() => Step::Ping,
            };
            match step {
                Step::Failed => return false,
                Step::Done | Step::Closed => {}
                Step::Condemned => {
                    let reason = "this session does not read fast enough, and what waits for all of them passed limits.max_total_queue_bytes";
                    self.end(Expelled::SlowReader, reason).await;
                }
                Step::Ping => {
                    let seen = self.seen.swap(false, Ordering::Relaxed);
                    let blocked = self.outbound.blocked_for();
                    if blocked >= ping * 2 {
                        self.seat.metrics().expelled(Expelled::SlowReader);
                        tracing::info!("closing a session that takes no bytes");
                        return false;
                    }
                    if !seen && !self.paused.load(Ordering::Relaxed) {
                        self.seat.metrics().expelled(Expelled::Silent);
                        tracing::info!("closing a session that does not answer pings");
                        return false;
                    }
                    // One that has something to take first would not see it.
                    if blocked.is_zero() {
                        outlet.ping();
                    }
                }
            }
            if self.outbound.is_closed() {
                return self.say_goodbye(outlet, &mut writing).await;
            }
        }
    }

    /// Writes what is left, and closes.
    async fn say_goodbye(&self, outlet: &mut Outlet<'_>, writing: &mut Writing) -> bool {
        let last_words = async {
            loop {
                match poll_fn(|cx| self.poll_step(cx, outlet, writing)).await {
                    Step::Failed => return false,
                    Step::Done => break,
                    Step::Closed | Step::Condemned | Step::Ping => {}
                }
            }
            outlet.close(Some(self.close_code.load(Ordering::Relaxed))).await.is_ok()
        };
        timeout(CLOSE_TIMEOUT, last_words).await.unwrap_or(false)
    }

    /// Moves bytes from the queue into the socket, as long as either has some.
    fn poll_step(
        &self,
        cx: &mut std::task::Context<'_>,
        outlet: &mut Outlet<'_>,
        writing: &mut Writing,
    ) -> Poll<Step> {
        loop {
            while !outlet.is_empty() {
                match outlet.poll_write(cx) {
                    Poll::Pending => {
                        writing.blocked = true;
                        return match self.outbound.poll_blocked(cx) {
                            Poll::Ready(Taken::Condemned) => Poll::Ready(Step::Condemned),
                            Poll::Ready(_) if !std::mem::replace(&mut writing.ending, true) => {
                                Poll::Ready(Step::Closed)
                            }
                            _ => Poll::Pending,
                        };
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(Step::Failed),
                    Poll::Ready(Ok(())) => {
                        if std::mem::take(&mut writing.blocked) {
                            self.outbound.progressed();
                            // It was full: somebody at the other end made room.
                            self.seen.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
            if let Some(weight) = writing.weight.take() {
                self.outbound.written(weight);
            }
            match self.outbound.poll_take(cx, |frame| outlet.add(frame)) {
                Poll::Ready(Taken::Frames(weight)) => writing.weight = Some(weight),
                Poll::Ready(Taken::Condemned) => return Poll::Ready(Step::Condemned),
                Poll::Ready(Taken::End) => return Poll::Ready(Step::Done),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// How far the writing is.
#[derive(Default)]
struct Writing {
    /// What was taken from the queue and is not yet written.
    weight: Option<Weight>,
    /// The socket took nothing when it was last asked.
    blocked: bool,
    /// It is known that the queue is closed.
    ending: bool,
}

enum Step {
    /// The connection is lost.
    Failed,
    /// The queue is closed and empty.
    Done,
    /// The queue is closed, and the socket does not take what is left of it.
    Closed,
    /// See [`Taken::Condemned`].
    Condemned,
    /// Time for a ping.
    Ping,
}

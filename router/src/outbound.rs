//! The queue of frames that wait for one client, between its realm and the task that writes to its socket.
//!
//! Policy: bounded in bytes and messages. Nobody ever waits to put something in. Past a low mark the queue is
//! *congested*, and who sends into it is slowed afterwards, for a grace: a client that does not read delays nobody for
//! long. A call to a callee whose grace is over, or whose queue has no room for it, is refused; for anything else
//! that has no room the client is closed with a reason. Nothing is dropped in silence.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use ecep_proto::message::Message;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;

/// A queue is congested from this part of its limit on. The rest takes what is already on its way when the senders
/// are slowed.
const CONGESTED_PART: usize = 16;

/// How long one spell of congestion may slow publishers. A healthy client empties its queue many times
/// in this; one that does not has no claim on other people's time.
pub(crate) const EVENT_GRACE: Duration = Duration::from_millis(250);

/// How long one spell of congestion may slow callers, whose calls to others wait as well; after it calls are refused.
/// A callee on a slow line gets through a burst in this; one that still has too much to read gains nothing by more.
pub(crate) const CALL_GRACE: Duration = Duration::from_secs(1);

/// How many bytes the writer takes at once: large enough to spare system calls, small enough to see progress.
const BATCH_BYTES: usize = 64 << 10;

/// An encoded message; cloning shares it.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// A message in a serializer that is text.
    Text(Utf8Bytes),
    /// A message in a serializer that is not.
    Binary(Bytes),
    /// The answer to a PING.
    Pong(Bytes),
}

impl Frame {
    /// Encodes a message.
    pub(crate) fn encode(serializer: Serializer, message: &Message) -> Self {
        let bytes = serializer.encode(message);
        if serializer.is_binary() {
            return Self::Binary(bytes);
        }
        // JSON is UTF-8; a serializer that broke that would not be text.
        Utf8Bytes::try_from(bytes.clone()).map_or(Self::Binary(bytes), Self::Text)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_ref(),
            Self::Binary(bytes) | Self::Pong(bytes) => bytes,
        }
    }

    fn cost(&self) -> usize {
        // What a frame without content costs in the queue itself.
        self.as_bytes().len() + size_of::<Self>()
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits for the writer.
    Queued,
    /// It waits, and whoever caused it should be slowed.
    Congested,
    /// It did not fit.
    Overflow,
}

/// The queue of one client.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) serializer: Serializer,
    /// The largest message that the client takes.
    pub(crate) peer_limit: usize,
    max_bytes: usize,
    max_messages: usize,
    state: Mutex<State>,
    filled: Notify,
    relieved: Notify,
    closed: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    /// Waiting or being written.
    bytes: usize,
    messages: usize,
    congested_since: Option<Instant>,
    closed: bool,
}

impl Outbound {
    pub(crate) fn new(serializer: Serializer, peer_limit: usize, limits: &Limits) -> Self {
        Self {
            serializer,
            peer_limit,
            max_bytes: limits.max_queue_bytes,
            max_messages: limits.max_queue_messages,
            state: Mutex::default(),
            filled: Notify::new(),
            relieved: Notify::new(),
            closed: CancellationToken::new(),
        }
    }

    /// No code that holds the lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_congested(&self, state: &State) -> bool {
        state.bytes > self.max_bytes / CONGESTED_PART || state.messages > self.max_messages / CONGESTED_PART
    }

    /// Adds a frame; frames for a closed queue go nowhere, as its session is over.
    pub(crate) fn push(&self, frame: Frame) -> Pushed {
        let mut state = self.state();
        if state.closed {
            return Pushed::Queued;
        }
        if state.bytes + frame.cost() > self.max_bytes || state.messages >= self.max_messages {
            return Pushed::Overflow;
        }
        state.bytes += frame.cost();
        state.messages += 1;
        state.frames.push_back(frame);
        let congested = self.is_congested(&state);
        if congested && state.congested_since.is_none() {
            state.congested_since = Some(Instant::now());
        }
        drop(state);
        self.filled.notify_one();
        if congested { Pushed::Congested } else { Pushed::Queued }
    }

    /// Forgets what the writer has not taken yet, to make room for the reason why the client is closed.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        let dropped = std::mem::take(&mut state.frames);
        state.messages -= dropped.len();
        state.bytes -= dropped.iter().map(Frame::cost).sum::<usize>();
    }

    /// Nothing is added any more; the writer ends when it has written what is there.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
        self.relieved.notify_waiters();
        self.closed.cancel();
    }

    /// Waits until the queue is closed; frames may still be in it.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Waits for frames to write, and takes some; none when the queue is closed and empty.
    pub(crate) async fn take(&self) -> Option<Batch<'_>> {
        loop {
            {
                let mut state = self.state();
                if !state.frames.is_empty() {
                    let mut frames = Vec::new();
                    let mut bytes = 0;
                    while bytes < BATCH_BYTES
                        && let Some(frame) = state.frames.pop_front()
                    {
                        bytes += frame.cost();
                        frames.push(frame);
                    }
                    return Some(Batch { queue: self, messages: frames.len(), bytes, frames });
                }
                if state.closed {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    fn written(&self, messages: usize, bytes: usize) {
        let mut state = self.state();
        state.messages -= messages;
        state.bytes -= bytes;
        // Half of the low mark, so that it does not flicker.
        let calm = state.bytes * 2 <= self.max_bytes / CONGESTED_PART
            && state.messages * 2 <= self.max_messages / CONGESTED_PART;
        if calm && state.congested_since.take().is_some() {
            drop(state);
            self.relieved.notify_waiters();
        }
    }

    /// When the grace of this spell of congestion ends; none without one, or after it.
    pub(crate) fn grace_end(&self, grace: Duration) -> Option<Instant> {
        let end = self.state().congested_since? + grace;
        (end > Instant::now()).then_some(end)
    }

    /// Whether callers have waited long enough for this spell of congestion to end.
    pub(crate) fn is_stalled(&self) -> bool {
        self.state().congested_since.is_some_and(|since| since.elapsed() >= CALL_GRACE)
    }

    /// Waits while the queue is congested, but no longer than that.
    pub(crate) async fn calm_until(&self, end: Instant) {
        // The time-out is the point: after it the senders go on.
        let _ = tokio::time::timeout_at(end, self.calm()).await;
    }

    /// Waits while the queue is congested, however long that takes.
    pub(crate) async fn calm(&self) {
        loop {
            let relieved = self.relieved.notified();
            {
                let state = self.state();
                if state.closed || state.congested_since.is_none() {
                    return;
                }
            }
            relieved.await;
        }
    }
}

/// Frames that the writer has taken; they count as waiting until it is dropped.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    queue: &'a Outbound,
    pub(crate) frames: Vec<Frame>,
    messages: usize,
    bytes: usize,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.queue.written(self.messages, self.bytes);
    }
}

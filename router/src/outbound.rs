//! The queue of frames that wait for one client, between its realm and the task that writes to its socket.
//!
//! Policy: bounded in bytes and messages. Nobody ever waits to put something in. Past a low mark the queue is
//! *congested*, and who sends into it is slowed afterwards. That ends when the client's socket has taken no bytes for a
//! grace while some waited: a client that reads slowly slows those who send to it and loses nothing, one that does not
//! read delays nobody for long. A call to a callee whose grace is over, or whose queue has no room for it, is refused;
//! for anything else that has no room the client is closed with a reason. Nothing is dropped in silence.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use ecep_proto::codec::Serializer;
use ecep_proto::message::Message;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::live_limits::LiveLimits;

/// A queue is congested from this part of its limit on. The rest takes what is already on its way when the senders
/// are slowed.
const CONGESTED_PART: usize = 16;

/// How long a client may take no bytes before it slows nobody any more: not who publishes, answers or calls, and not a
/// caller's calls to others, which wait as well. After it calls to it are refused. What the system keeps for a socket
/// ([`SEND_BUFFER`]) is taken in steps of a third: at 100 KB a second one comes in less than this. A client that is
/// slower has no claim on other people's time.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// What the system may keep for a TCP client, in bytes, before it is the router that keeps it: Linux would take 4 MB of each, and say so
/// only when a third is free. It doubles this for its own books. A line of 100 ms carries two megabytes a second with it.
pub(crate) const SEND_BUFFER: usize = 128 << 10;

/// How many bytes the writer takes at once: large enough to spare system calls, small enough to be bearable for every
/// client. While the budget of all queues is tight, a queue is congested from here on.
pub(crate) const BATCH_BYTES: usize = 64 << 10;

/// A queue that has had more frames than this gives the memory back when it is empty.
const KEPT_FRAMES: usize = 16;

/// Something encoded; cloning shares it.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// A message.
    Message(Bytes),
    /// What a transport says for itself, wrapped as it wants it.
    Raw(Bytes),
}

impl Frame {
    /// Encodes a message.
    pub(crate) fn encode(serializer: Serializer, message: &Message) -> Self {
        Self::Message(serializer.encode(message))
    }

    /// The same frame, counted in the budget while it waits for anybody.
    pub(crate) fn counted(self, budget: &Arc<Budget>) -> Self {
        match self {
            Self::Message(bytes) => Self::Message(budget.count(bytes)),
            Self::Raw(bytes) => Self::Raw(budget.count(bytes)),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Message(bytes) | Self::Raw(bytes) => bytes,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Message(bytes) | Self::Raw(bytes) => bytes,
        }
    }

    fn cost(&self) -> usize {
        // What a frame without content costs in the queue itself.
        self.as_bytes().len() + size_of::<Self>()
    }
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It waits for the writer, who is to be woken if it sleeps.
    Queued(Option<Waker>),
    /// It is the first for a writer that sleeps on until [`Outbound::sleeper`] is woken or something urgent comes.
    Held,
    /// It waits, and whoever caused it should be slowed.
    Congested(Option<Waker>),
    /// It did not fit.
    Overflow,
}

/// What the writer gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// So much was taken; it counts as waiting until [`Outbound::written`] is told.
    Frames(Weight),
    /// The queues of all clients took too much, and this one was emptied: its session must end.
    Condemned,
    /// Nothing is left, and nothing will come.
    End,
}

/// How much some frames count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    messages: usize,
    bytes: usize,
}

/// The queue of one client.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) serializer: Serializer,
    /// The largest message that the client takes.
    peer_limit: usize,
    limits: Arc<LiveLimits>,
    budget: Arc<Budget>,
    place: usize,
    state: Mutex<State>,
    relieved: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    /// Waiting or being written.
    waiting: Weight,
    congested: bool,
    /// Since when the client's socket takes nothing, though something is to be written.
    blocked_since: Option<Instant>,
    condemned: bool,
    closed: bool,
    /// The writer sleeps until there is something to write.
    writer: Option<Waker>,
    /// The writer sleeps until the socket takes something, or the session ends.
    watcher: Option<Waker>,
    /// What of the budget the queue itself takes, without the frames' content.
    counted: usize,
}

impl Outbound {
    pub(crate) fn new(
        serializer: Serializer,
        peer_limit: usize,
        limits: &Arc<LiveLimits>,
        budget: &Arc<Budget>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|queue| Self {
            serializer,
            peer_limit,
            limits: limits.clone(),
            budget: budget.clone(),
            place: budget.enter(queue.clone()),
            state: Mutex::default(),
            relieved: Notify::new(),
        })
    }

    /// No code that holds the lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self) -> Weight {
        let own = self.limits.queue_bytes() / CONGESTED_PART;
        let bytes = if self.budget.is_tight() { own.min(BATCH_BYTES) } else { own };
        Weight { bytes, messages: self.limits.queue_messages() / CONGESTED_PART }
    }

    /// The budget follows the memory that the queue really takes.
    fn recount(&self, state: &mut State) {
        let size = state.frames.capacity() * size_of::<Frame>();
        if size > state.counted {
            self.budget.take(size - state.counted);
        } else if size < state.counted {
            self.budget.give_back(state.counted - size);
        }
        state.counted = size;
    }

    /// Whether the client takes a message of this size at all. More than half of its queue it does not: it could read as
    /// fast as it likes, and one such message behind another would be more than may wait for it.
    pub(crate) fn takes(&self, bytes: usize) -> bool {
        bytes <= self.peer_limit.min(self.limits.queue_bytes() / 2)
    }

    /// Adds a frame; frames for a closed queue go nowhere, as its session is over.
    pub(crate) fn push(&self, frame: Frame) -> Pushed {
        self.add(frame, true)
    }

    /// Adds a frame that need not be written at once: a writer that sleeps is left asleep, unless its queue is congested.
    pub(crate) fn push_without_haste(&self, frame: Frame) -> Pushed {
        self.add(frame, false)
    }

    /// The writer, if it sleeps though something is to be written.
    pub(crate) fn sleeper(&self) -> Option<Waker> {
        let mut state = self.state();
        if state.frames.is_empty() { None } else { state.writer.take() }
    }

    fn add(&self, frame: Frame, is_urgent: bool) -> Pushed {
        let mut state = self.state();
        if state.closed {
            return Pushed::Queued(None);
        }
        let cost = frame.cost();
        let fits = state.waiting.bytes + cost <= self.limits.queue_bytes()
            && state.waiting.messages < self.limits.queue_messages();
        if !fits {
            return Pushed::Overflow;
        }
        state.waiting.bytes += cost;
        state.waiting.messages += 1;
        state.frames.push_back(frame);
        self.recount(&mut state);
        let mark = self.mark();
        state.congested |= state.waiting.bytes > mark.bytes || state.waiting.messages > mark.messages;
        match () {
            () if state.congested => Pushed::Congested(state.writer.take()),
            () if is_urgent => Pushed::Queued(state.writer.take()),
            () if state.writer.is_some() && state.frames.len() == 1 => Pushed::Held,
            () => Pushed::Queued(None),
        }
    }

    /// Forgets what the writer has not taken yet, to make room for the reason why the client is closed.
    pub(crate) fn clear(&self) {
        self.forget(&mut self.state());
    }

    fn forget(&self, state: &mut State) {
        let dropped = std::mem::take(&mut state.frames);
        state.waiting.messages -= dropped.len();
        state.waiting.bytes -= dropped.iter().map(Frame::cost).sum::<usize>();
        self.recount(state);
    }

    /// Empties the queue; its session must end.
    pub(crate) fn condemn(&self) {
        let mut state = self.state();
        self.forget(&mut state);
        state.condemned = true;
        let sleepers = [state.writer.take(), state.watcher.take()];
        drop(state);
        sleepers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Its place among all queues that there are: no other one has it.
    pub(crate) const fn place(&self) -> usize {
        self.place
    }

    /// How many bytes wait for the writer.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let state = self.state();
        if state.frames.is_empty() { 0 } else { state.waiting.bytes }
    }

    /// Nothing is added any more; the writer ends when it has written what is there.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let sleepers = [state.writer.take(), state.watcher.take()];
        drop(state);
        sleepers.into_iter().flatten().for_each(Waker::wake);
        self.relieved.notify_waiters();
    }

    /// Whether the session is over; frames may still be in the queue.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits for frames to write, and hands some over. Only one task may do that.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, mut take: impl FnMut(Frame)) -> Poll<Taken> {
        let mut state = self.state();
        if std::mem::take(&mut state.condemned) {
            return Poll::Ready(Taken::Condemned);
        }
        let mut weight = Weight::default();
        while weight.bytes < BATCH_BYTES
            && let Some(frame) = state.frames.pop_front()
        {
            weight.bytes += frame.cost();
            weight.messages += 1;
            take(frame);
        }
        if state.frames.is_empty() && state.frames.capacity() > KEPT_FRAMES {
            state.frames = VecDeque::new();
            self.recount(&mut state);
        }
        if weight.messages > 0 {
            return Poll::Ready(Taken::Frames(weight));
        }
        if state.closed {
            return Poll::Ready(Taken::End);
        }
        if !state.writer.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            state.writer = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for frames, and takes some; none when the session is over. For a client without a socket.
    pub(crate) async fn take(&self) -> Option<Vec<Frame>> {
        let mut frames = Vec::new();
        match poll_fn(|cx| self.poll_take(cx, |frame| frames.push(frame))).await {
            Taken::Frames(weight) => self.written(weight),
            Taken::Condemned | Taken::End => return None,
        }
        Some(frames)
    }

    /// What was taken is written.
    pub(crate) fn written(&self, weight: Weight) {
        let mut state = self.state();
        state.waiting.messages -= weight.messages;
        state.waiting.bytes -= weight.bytes;
        if !state.congested {
            return;
        }
        // Half of the low mark, so that it does not flicker.
        let mark = self.mark();
        let Weight { messages, bytes } = state.waiting;
        if bytes * 2 <= mark.bytes && messages * 2 <= mark.messages {
            state.congested = false;
            drop(state);
            self.relieved.notify_waiters();
        }
    }

    /// The client's socket takes nothing at the moment. What has ended the session meanwhile, if anything.
    pub(crate) fn poll_blocked(&self, cx: &mut Context<'_>) -> Poll<Taken> {
        let mut state = self.state();
        state.blocked_since.get_or_insert_with(Instant::now);
        if std::mem::take(&mut state.condemned) {
            return Poll::Ready(Taken::Condemned);
        }
        if state.closed {
            return Poll::Ready(Taken::End);
        }
        state.watcher = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The client's socket has taken something.
    pub(crate) fn progressed(&self) {
        let mut state = self.state();
        state.blocked_since = None;
        state.watcher = None;
    }

    /// How long the client's socket has taken nothing, though something is to be written.
    pub(crate) fn blocked_for(&self) -> Duration {
        self.state().blocked_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether callers have waited long enough for a client that takes nothing.
    pub(crate) fn is_stalled(&self) -> bool {
        let state = self.state();
        state.congested && state.blocked_since.is_some_and(|since| since.elapsed() >= GRACE)
    }

    /// Waits while the queue is congested, but only as long as the client takes something in every [`GRACE`].
    pub(crate) async fn calm_within_grace(&self) {
        loop {
            let relieved = self.relieved.notified();
            let again = {
                let state = self.state();
                if state.closed || !state.congested {
                    return;
                }
                let now = Instant::now();
                let end = state.blocked_since.map_or(now, |since| since) + GRACE;
                if end <= now {
                    return;
                }
                end
            };
            // The time-out is the point: after it, who sends may go on unless the client took something.
            let _ = tokio::time::timeout_at(again, relieved).await;
        }
    }

    /// Waits while the queue is congested, however long that takes.
    pub(crate) async fn calm(&self) {
        loop {
            let relieved = self.relieved.notified();
            {
                let state = self.state();
                if state.closed || !state.congested {
                    return;
                }
            }
            relieved.await;
        }
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.give_back(state.counted);
        self.budget.leave(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    /// A limit that changes holds for queues that are there.
    #[test]
    fn a_queue_follows_the_limits() {
        let limits = |max_queue_messages| Limits { max_queue_messages, ..Limits::default() };
        let (live, budget) = (LiveLimits::new(&limits(1)), Budget::new(usize::MAX));
        let queue = Outbound::new(Serializer::Json, usize::MAX, &live, &budget);
        let fits = || !matches!(queue.push(Frame::Message(Bytes::from_static(b"[]"))), Pushed::Overflow);
        assert!(fits() && !fits());
        live.set(&limits(3));
        assert!(fits() && fits() && !fits());
        live.set(&limits(2));
        assert!(!fits());
        let small = Limits { max_queue_bytes: 1, ..limits(10) };
        live.set(&small);
        assert!(!fits());
    }
}

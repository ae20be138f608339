//! How much memory the queues of all clients take together, and whose queue goes first when that is too much. What is
//! read and not yet passed on counts as well: messages that have come in part have a share of their own (see `room`).
//!
//! A message that waits for many is counted once. Past half of the limit every queue that is worth mentioning counts as
//! congested, so senders are slowed; past the limit the client with the largest queue is closed with a reason, as if
//! its own limit had been reached.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use slab::Slab;

use crate::outbound::{BATCH_BYTES, Outbound};
use crate::room::Rooms;

/// The memory of all queues.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    /// See `Limits::max_total_queue_bytes`.
    total: AtomicUsize,
    queues: Mutex<Slab<Weak<Outbound>>>,
    /// What of it is for incomplete messages.
    pub(crate) rooms: Rooms,
}

/// Bytes that are counted for as long as somebody has them.
struct Counted {
    bytes: Bytes,
    budget: Arc<Budget>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes.len());
    }
}

impl Budget {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        let (used, rooms) = (AtomicUsize::new(0), Rooms::new(total));
        Arc::new(Self { used, total: AtomicUsize::new(total), queues: Mutex::default(), rooms })
    }

    /// The same bytes, counted until the last copy is gone.
    pub(crate) fn count(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.take(bytes.len());
        Bytes::from_owner(Counted { bytes, budget: self.clone() })
    }

    pub(crate) fn take(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// How much there is now.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Another limit from now on.
    pub(crate) fn set_total(&self, total: usize) {
        self.total.store(total, Ordering::Relaxed);
        self.rooms.set_budget(total);
        self.relieve();
    }

    /// Whether it is time to slow senders down.
    pub(crate) fn is_tight(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.total() / 2
    }

    fn queues(&self) -> MutexGuard<'_, Slab<Weak<Outbound>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, queue: Weak<Outbound>) -> usize {
        self.queues().insert(queue)
    }

    pub(crate) fn leave(&self, place: usize) {
        self.queues().try_remove(place);
    }

    /// Condemns the largest queues until there is room again. To be called when something was added.
    pub(crate) fn relieve(&self) {
        while self.used.load(Ordering::Relaxed) > self.total() {
            // Clones, as dropping the last one would want the lock.
            let queues: Vec<Arc<Outbound>> =
                self.queues().iter().filter_map(|(_, queue)| queue.upgrade()).collect();
            let largest = queues.iter().max_by_key(|queue| queue.waiting_bytes());
            // What its writer has taken at once is left to every client: less than that helps nobody.
            let Some(largest) = largest.filter(|queue| queue.waiting_bytes() > BATCH_BYTES) else { return };
            tracing::warn!(
                limit = self.total(),
                bytes = largest.waiting_bytes(),
                "the queues of all clients are full; closing the session with the largest"
            );
            largest.condemn();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]
mod tests {
    use std::future::poll_fn;

    use ecep_proto::codec::Serializer;

    use super::*;
    use crate::config::Limits;
    use crate::live_limits::LiveLimits;
    use crate::outbound::{Frame, Pushed, Taken};

    const LARGE: usize = 100 << 10;

    fn queues(budget: &Arc<Budget>) -> [Arc<Outbound>; 3] {
        let limits = LiveLimits::new(&Limits::default());
        [(); 3].map(|()| Outbound::new(Serializer::Json, usize::MAX, &limits, budget))
    }

    fn frame(budget: &Arc<Budget>) -> Frame {
        Frame::Message(Bytes::from(vec![b'x'; LARGE])).counted(budget)
    }

    async fn next(queue: &Outbound) -> Taken {
        poll_fn(|cx| queue.poll_take(cx, drop)).await
    }

    /// A message that waits for many takes memory once, and none when all have got it.
    #[tokio::test]
    async fn shared_messages_count_once() {
        let budget = Budget::new(10 * LARGE);
        let all = queues(&budget);
        for _ in 0..9 {
            let frame = frame(&budget);
            for queue in &all {
                assert!(!matches!(queue.push(frame.clone()), Pushed::Overflow));
            }
        }
        budget.relieve();
        for queue in &all {
            for _ in 0..9 {
                assert!(matches!(next(queue).await, Taken::Frames(_)), "nobody is closed");
            }
        }
        assert!(budget.used.load(Ordering::Relaxed) < LARGE, "{budget:?}");
        drop(all);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
        assert!(budget.queues().is_empty());
    }

    /// When all queues together are too large, senders are slowed first, then who has the most to read goes, and
    /// nobody else.
    #[tokio::test]
    async fn the_largest_queue_goes_first() {
        // The queues themselves take a little, too.
        let budget = Budget::new(10 * LARGE + 4096);
        let [large, small, empty] = queues(&budget);
        for number in 0..8 {
            let pushed = large.push(frame(&budget));
            let slowed = matches!(pushed, Pushed::Congested(_));
            assert_eq!(slowed, number >= 5, "half of the budget: {number} {pushed:?}");
        }
        for _ in 0..3 {
            small.push(frame(&budget));
        }
        budget.relieve();
        assert!(matches!(next(&large).await, Taken::Condemned));
        assert!(matches!(next(&small).await, Taken::Frames(_)));
        empty.push(frame(&budget));
        assert!(matches!(next(&empty).await, Taken::Frames(_)));
    }
}

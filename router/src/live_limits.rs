//! The limits that hold for connections that are there as well, as they are now: looked at again and again, and set by
//! a reload. What holds for new connections only is read from the configuration when they are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Limits;

/// See the keys of the same names in [`Limits`].
#[derive(Debug, Default)]
pub(crate) struct LiveLimits {
    message_bytes: AtomicUsize,
    messages_per_second: AtomicUsize,
    queue_bytes: AtomicUsize,
    queue_messages: AtomicUsize,
    pending_calls: AtomicUsize,
}

impl LiveLimits {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        let live = Self::default();
        live.set(limits);
        Arc::new(live)
    }

    /// Others from now on. Somebody may see some of them a moment before the rest; each is right by itself.
    pub(crate) fn set(&self, limits: &Limits) {
        for (live, value) in [
            (&self.message_bytes, limits.max_message_bytes),
            (&self.messages_per_second, limits.max_messages_per_second),
            (&self.queue_bytes, limits.max_queue_bytes),
            (&self.queue_messages, limits.max_queue_messages),
            (&self.pending_calls, limits.max_pending_calls),
        ] {
            live.store(value, Ordering::Relaxed);
        }
    }

    pub(crate) fn message_bytes(&self) -> usize {
        self.message_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn messages_per_second(&self) -> usize {
        self.messages_per_second.load(Ordering::Relaxed)
    }

    pub(crate) fn queue_bytes(&self) -> usize {
        self.queue_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn queue_messages(&self) -> usize {
        self.queue_messages.load(Ordering::Relaxed)
    }

    pub(crate) fn pending_calls(&self) -> usize {
        self.pending_calls.load(Ordering::Relaxed)
    }
}

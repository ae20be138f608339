//! How many connections are open, against a limit that may change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The places of all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<AtomicUsize>);

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Slots);

impl Slots {
    /// A place, if fewer than that many are taken.
    pub(crate) fn take(&self, limit: usize) -> Option<Slot> {
        let one_more = |used| (used < limit).then_some(used + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Slot(self.clone()))
    }

    /// How many are taken.
    pub(crate) fn used(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        (self.0).0.fetch_sub(1, Ordering::Relaxed);
    }
}

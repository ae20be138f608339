//! What one session may have of a realm at once. The texts of refusals name the keys by which the router is configured.

use crate::broker::MAX_SUBSCRIPTIONS;
use crate::dealer::{MAX_PENDING_CALLS, MAX_REGISTRATIONS};

/// How much one session may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Subscriptions.
    pub subscriptions: usize,
    /// Registrations.
    pub registrations: usize,
    /// Calls that wait for their answer.
    pub pending_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subscriptions: MAX_SUBSCRIPTIONS,
            registrations: MAX_REGISTRATIONS,
            pending_calls: MAX_PENDING_CALLS,
        }
    }
}

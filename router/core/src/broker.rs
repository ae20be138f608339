//! The broker: who subscribes to what, and who gets an event.
//!
//! Owns the subscriptions. Must not know permissions beyond asking for them, nor what an event says.

mod filter;
mod publish;
mod subscriptions;

use std::collections::{BTreeSet, HashMap};

use ecep_proto::id::SubscriptionId;

use crate::matcher::PatternMap;
use crate::session::SessionKey;
pub(crate) use publish::{PublishOptions, publishable};
use subscriptions::Subscription;

/// What works of the broker's.
pub(crate) const FEATURES: &[&str] = &[
    "pattern_based_subscription",
    "publisher_exclusion",
    "publisher_identification",
    "session_meta_api",
    "subscriber_blackwhite_listing",
];

/// Subscriptions of one session, if nothing else is configured. A dashboard has about ten, a client without patterns one for each device that it
/// watches; each costs the router about a kilobyte.
pub const MAX_SUBSCRIPTIONS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Broker {
    subscriptions: HashMap<SubscriptionId, Subscription>,
    by_pattern: PatternMap<SubscriptionId>,
    by_session: HashMap<SessionKey, BTreeSet<SubscriptionId>>,
    next_id: SubscriptionId,
    /// The subscriptions that cover a topic, while an event is delivered: kept for its memory only.
    covering: Vec<SubscriptionId>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            subscriptions: HashMap::new(),
            by_pattern: PatternMap::default(),
            by_session: HashMap::new(),
            next_id: SubscriptionId::FIRST,
            covering: Vec::new(),
        }
    }
}

//! The broker: who subscribes to what, and who gets an event.
//!
//! Owns the subscriptions. Must not know permissions beyond asking for them, nor what an event says.

mod filter;
mod publish;
mod retained;
mod subscriptions;

use std::collections::{BTreeSet, HashMap};

use ecep_proto::id::SubscriptionId;

use crate::matcher::PatternMap;
use crate::session::SessionKey;
pub(crate) use publish::{PublishOptions, publishable};
use retained::Retained;
pub use retained::{MAX_RETAINED_BYTES, MAX_RETAINED_EVENTS, MAX_RETAINED_OF_TOPIC, RetainedUse};
pub(crate) use subscriptions::Subscription;

/// What works of the broker's.
pub(crate) const FEATURES: &[&str] = &[
    "event_retention",
    "pattern_based_subscription",
    "payload_passthru_mode",
    "publication_trustlevels",
    "publisher_exclusion",
    "publisher_identification",
    "session_meta_api",
    "subscriber_blackwhite_listing",
    "subscription_meta_api",
    "subscription_revocation",
];

/// Subscriptions of one session, if nothing else is configured. A dashboard has about ten, a client without
/// patterns one for each device that it watches; each costs the router about a kilobyte.
pub const MAX_SUBSCRIPTIONS: usize = 1024;

#[derive(Debug)]
pub(crate) struct Broker {
    subscriptions: HashMap<SubscriptionId, Subscription>,
    by_pattern: PatternMap<SubscriptionId>,
    by_session: HashMap<SessionKey, BTreeSet<SubscriptionId>>,
    next_id: SubscriptionId,
    retained: Retained,
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
            retained: Retained::default(),
            covering: Vec::new(),
        }
    }
}

impl Broker {
    /// How much is retained.
    pub(crate) fn retained(&self) -> RetainedUse {
        self.retained.usage()
    }
}

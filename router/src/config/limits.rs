//! What a client may use up.

use std::time::Duration;

use ecep_router_core::{MAX_PENDING_CALLS, MAX_REGISTRATIONS, MAX_SUBSCRIPTIONS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client may use up.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest message that is taken from a client. Bulk data does not travel in WAMP; 4 MiB leave room for a
    /// long list. At least 512 bytes, at most 16 MiB, where RawSocket ends. A client that speaks RawSocket is told
    /// when it connects: for it, a reload makes it smaller at once, and larger when it connects again.
    #[schemars(range(min = 512, max = 16777215))]
    pub max_message_bytes: usize,
    /// The largest message that is taken before a session has joined: nobody knows yet who sends it. A HELLO with all its
    /// features takes one KiB, a ticket or a signature another. Changed by a reload for new connections.
    #[schemars(range(min = 512, max = 16777215))]
    pub max_greeting_bytes: usize,
    /// How long a client may take from connecting to its last word before it has joined. Ten seconds are ten times
    /// a slow mobile round trip; more only helps who wants to tie up connections. What the control plane takes to say who
    /// somebody is counts as well. Changed by a reload for new connections.
    #[schemars(range(min = 10, max = 600000))]
    pub handshake_timeout_ms: u64,
    /// How many connections are open at once. Further ones are told so and closed, and so are those of an address that has
    /// as many which have not joined as are left. 20,000 is twice the fleet that the router is built for; the operating
    /// system's limit of open files must be above it.
    #[schemars(range(min = 1, max = 1048576))]
    pub max_connections: usize,
    /// How often a client is pinged. Common NAT gateways and proxies forget a silent connection after 30 to 60 s.
    /// A client that said nothing from one ping to the next is gone. Changed by a reload for new connections.
    #[schemars(range(min = 10, max = 3600000))]
    pub ping_interval_ms: u64,
    /// How many messages a second are taken from a session; for a moment up to a second's worth at once. Who sends faster
    /// is read later, and nothing is refused. The default is more than the router can route for one session, so it
    /// matters only where it is lowered: where clients are strangers, a few hundred leave the others their share.
    #[schemars(range(min = 1, max = 1000000000))]
    pub max_messages_per_second: usize,
    /// How many bytes may wait for a client that reads too slowly, before it is closed. Senders are slowed long before,
    /// while it takes bytes at all; the rest is for what is on its way already. 32 MiB are eight of the largest messages.
    #[schemars(range(min = 1024, max = 1073741824))]
    pub max_queue_bytes: usize,
    /// How many messages may wait for a client that reads too slowly, before it is closed: small ones take more memory
    /// than their bytes.
    #[schemars(range(min = 16, max = 16777216))]
    pub max_queue_messages: usize,
    /// How many bytes may wait for all clients together; past half of it senders are slowed, past all of it the client
    /// with the most is closed. Messages that have come in part count, too, and take half of it at the most; the next
    /// ones wait, and who is slow to send then goes. 512 MiB are sixteen full queues: a router whose clients have that much to read has no
    /// business to take more.
    #[schemars(range(min = 1048576, max = 1099511627776_u64))]
    pub max_total_queue_bytes: usize,
    /// How many subscriptions a session may have. A dashboard has about ten, a client without patterns one for each
    /// device that it watches; each costs the router about a kilobyte. Further ones are refused.
    #[schemars(range(min = 1, max = 1048576))]
    pub max_subscriptions: usize,
    /// How many registrations a session may have. An agent has about a dozen, a program one for each of its procedures;
    /// each costs the router about half a kilobyte. Further ones are refused.
    #[schemars(range(min = 1, max = 1048576))]
    pub max_registrations: usize,
    /// How many calls of a session may wait for their answers. A dashboard has a few; each costs the router about a
    /// quarter of a kilobyte, for as long as its callee keeps silent. Further ones are refused.
    #[schemars(range(min = 1, max = 1048576))]
    pub max_pending_calls: usize,
}

impl Limits {
    pub(crate) fn of_session(&self) -> ecep_router_core::Limits {
        ecep_router_core::Limits {
            subscriptions: self.max_subscriptions,
            registrations: self.max_registrations,
            pending_calls: self.max_pending_calls,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            max_greeting_bytes: 16 << 10,
            handshake_timeout_ms: 10_000,
            max_connections: 20_000,
            ping_interval_ms: 20_000,
            max_messages_per_second: 2_000_000,
            max_queue_bytes: 32 << 20,
            max_queue_messages: 65_536,
            max_total_queue_bytes: 512 << 20,
            max_subscriptions: MAX_SUBSCRIPTIONS,
            max_registrations: MAX_REGISTRATIONS,
            max_pending_calls: MAX_PENDING_CALLS,
        }
    }
}

impl Limits {
    /// See [`Limits::handshake_timeout_ms`].
    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms)
    }

    /// See [`Limits::ping_interval_ms`].
    pub fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    /// What no limit can say alone.
    pub(super) fn mistakes(&self) -> Vec<String> {
        let Self { max_message_bytes, max_queue_bytes, max_total_queue_bytes, .. } = self;
        let mut mistakes = Vec::new();
        if *max_queue_bytes < 2 * max_message_bytes {
            mistakes.push(format!(
                "limits.max_queue_bytes is {max_queue_bytes}; it must be at least twice limits.max_message_bytes, \
                 {max_message_bytes}: a queue takes one message while another is written"
            ));
        }
        if max_total_queue_bytes < max_queue_bytes {
            mistakes.push(format!(
                "limits.max_total_queue_bytes is {max_total_queue_bytes}; it must be at least limits.max_queue_bytes, \
                 {max_queue_bytes}"
            ));
        }
        mistakes
    }
}

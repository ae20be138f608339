//! What a client may use up.

use std::time::Duration;

use ecep_proto::codec::MAX_MESSAGE_BYTES;
use serde::Deserialize;

use super::ConfigError;

/// What a client may use up.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest message that is taken from a client. Bulk data does not travel in WAMP; 4 MiB leave room for a
    /// long list. At least 512 bytes, at most 16 MiB, where RawSocket ends.
    pub max_message_bytes: usize,
    /// How long a client may take from connecting to its last word before it has joined. Ten seconds are ten times
    /// a slow mobile round trip; more only helps who wants to tie up connections.
    pub handshake_timeout_ms: u64,
    /// How many connections are open at once. Further ones are closed at once. 20,000 is twice the fleet that the
    /// router is built for; the operating system's limit of open files must be above it.
    pub max_connections: usize,
    /// How often a client is pinged. Common NAT gateways and proxies forget a silent connection after 30 to 60 s.
    /// A client that said nothing from one ping to the next is gone.
    pub ping_interval_ms: u64,
    /// How many bytes may wait for a client that reads too slowly, before it is closed.
    pub max_queue_bytes: usize,
    /// How many messages may wait for a client that reads too slowly, before it is closed.
    pub max_queue_messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_bytes: 4 << 20,
            handshake_timeout_ms: 10_000,
            max_connections: 20_000,
            ping_interval_ms: 20_000,
            max_queue_bytes: 32 << 20,
            max_queue_messages: 65_536,
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

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let numbers = [
            ("max_message_bytes", self.max_message_bytes, 512, MAX_MESSAGE_BYTES - 1),
            ("max_connections", self.max_connections, 1, 1 << 20),
            ("max_queue_bytes", self.max_queue_bytes, 2 * self.max_message_bytes, 1 << 30),
            ("max_queue_messages", self.max_queue_messages, 16, 1 << 24),
            ("handshake_timeout_ms", self.handshake_timeout_ms as usize, 10, 600_000),
            ("ping_interval_ms", self.ping_interval_ms as usize, 10, 3_600_000),
        ];
        for (name, value, least, most) in numbers {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Limit { name, value, least, most });
            }
        }
        Ok(())
    }
}

//! Loads a router from one thread: many calls at once, events to many subscribers, many idle sessions. Every call must be
//! answered once with its own payload, every event reach every subscriber once and in order; what does not is counted.
//!
//! It must cost less than any router, or it would measure itself: one system call reads or writes many messages, nothing
//! is built from what is read. Nothing here is of the router's own code.

#[cfg(feature = "async-nats")]
pub mod client_library;

mod calls;
mod encoding;
mod events;
mod framing;
mod idle;
mod nats;
mod payload;
mod phase;
mod poller;
mod protocol;
mod row;
mod session;
mod target;
mod wamp;
mod watch;

use std::time::Duration;

pub use calls::{Calls, calls};
pub use encoding::Encoding;
pub use events::{Events, events};
pub use idle::{Idle, idle};
pub use row::{Counts, Row};
pub use target::Target;
pub use watch::Watched;

/// What all loads need.
#[derive(Clone, Debug)]
pub struct Common {
    /// Where.
    pub target: Target,
    /// In which serializer; NATS has none.
    pub encoding: Encoding,
    /// Which realm.
    pub realm: String,
    /// The router's process, if its cost is wanted.
    pub watched: Option<Watched>,
    /// Bytes of each payload.
    pub payload: usize,
    /// How long it runs before it is measured.
    pub warm_up: Duration,
    /// How long it is measured.
    pub measured: Duration,
}

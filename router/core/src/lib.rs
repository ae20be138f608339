//! One realm of a WAMP router as a deterministic state machine: sessions, broker, dealer.
//!
//! [`Realm::handle`] takes what happened, [`Realm::poll_output`] says what to send, [`Realm::poll_timeout`] when to
//! call [`Realm::handle_timeout`]. The same inputs always give the same outputs: there is no clock, no socket and
//! no randomness in here but the seed that the realm was made with.
//!
//! Invariants:
//! - Every call is answered exactly once: by its callee's RESULT or ERROR, or by an ERROR of the realm.
//! - Calls are known by caller *and* request id, so equal ids of two callers never cross.
//! - Nothing is allowed that no rule of the session's role allows.
//! - A payload is passed on unread, except where [`profile`] says otherwise.

mod broker;
mod clock;
mod dealer;
pub mod features;
pub mod greeting;
mod id_map;
mod ids;
mod interface;
mod limits;
mod matcher;
mod meta;
mod options;
pub mod permissions;
pub mod profile;
mod realm;
mod reconfigure;
mod session;
mod size;
mod welcome;

pub use broker::{
    MAX_RETAINED_BYTES, MAX_RETAINED_EVENTS, MAX_RETAINED_OF_TOPIC, MAX_SUBSCRIPTIONS, RetainedUse,
};
pub use clock::WallClock;
pub use dealer::{MAX_PENDING_CALLS, MAX_REGISTRATIONS, MAX_WAITING_CALLS};
pub use greeting::abort;
pub use interface::{Input, Output};
pub use limits::Limits;
pub use meta::testaments::{MAX_TESTAMENT_BYTES, MAX_TESTAMENTS};
pub use realm::{Realm, RealmConfig};
pub use session::{Identity, SessionKey};

//! The wire: WAMP messages and codecs, and the platform's URIs and payload types.
//!
//! Two halves that don't know each other: `api` is this platform's catalogue; everything else is WAMP, as any
//! router or client needs it. `backoff` is how both kinds of connection come back, `network` who counts as one client. No I/O.

pub mod api;
pub mod backoff;
pub mod codec;
pub mod error;
pub mod id;
pub mod message;
pub mod meta;
pub mod network;
pub mod payload;
pub mod rawsocket;
pub mod uri;
pub mod value;
pub mod websocket;

//! The wire: WAMP messages and codecs, and the platform's URIs and payload types.
pub mod api;

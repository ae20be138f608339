//! Loads the platform as a fleet and its people do: many real agents with engines in memory in one process, and clients of
//! every tenant that create containers, ask for lists and wait for events. Each measurement is told as one line of JSON.
//!
//! It must not know the control plane's code or the router's: it meets them over HTTP and WAMP.

pub mod agents;
pub mod connected;
pub mod create;
pub mod lists;
pub mod plan;
pub mod session;
pub mod spread;
pub mod watch;

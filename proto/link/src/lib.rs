//! One supervised WAMP session over `wamp_async`, for the agent and the control plane.
//!
//! A [`Link`] joins a realm, registers its procedures, and does both again whenever the session is lost, with
//! back-off and jitter, until it is cancelled. This is the only package that touches `wamp_async`; the crate
//! is old, and what it needs to stay alive is kept here: WebSocket and JSON only, every publish acknowledged,
//! answers in the `Reply` envelope, a time limit on everything, and a liveness probe of our own, since the
//! crate does not notice a peer that has gone silent, and TLS, for which it can be given no authority.
//!
//! It must not know what the procedures do.

mod builder;
mod envelope;
mod link;
mod logging;
mod loopback;
mod session;
mod supervisor;
mod watched;

pub use builder::{Credentials, CredentialsError, LinkBuilder};
pub use ecep_tls::Trust;
pub use envelope::Served;
pub use link::{CallError, Link, LinkState};
pub use logging::start_log;

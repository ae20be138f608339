//! The channel for bulk bytes: one mutually authenticated TLS 1.3 connection that carries many streams, each with
//! its own flow control. Agents hold one towards the cloud; two agents speak it directly, or through the cloud,
//! which then passes on bytes that it cannot read.
//!
//! - [`authority`]: the private CA, held by the control plane. [`identity`]: one end's certificate and key.
//! - [`tls`]: who may speak to whom. [`channel`]: streams and their headers. [`dialer`]: keeps a channel up.
//! - [`grant`], [`ledger`]: what a migration is allowed to do, once. [`relay`]: the cloud joins two agents.
//! - [`transfer`]: files and directory trees over a stream, resumable. [`output`]: a container's lines. [`terminal`]: bytes to and
//!   fro.
//!
//! It must not know containers, engines, HTTP or WAMP: who may do what is decided by its users.

pub mod authority;
pub mod channel;
pub mod dialer;
mod file;
pub mod frame;
pub mod grant;
pub mod header;
pub mod identity;
pub mod keep_alive;
pub mod ledger;
mod mux;
pub mod output;
pub mod packet;
pub mod peer;
pub mod relay;
pub mod spent;
pub mod terminal;
pub mod tls;

pub mod transfer;
pub mod validity;

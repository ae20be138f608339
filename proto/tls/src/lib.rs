//! TLS of the ports that people, programs and devices connect to, and of those that connect to them.
//!
//! [`ServerTls`] serves a certificate from files and takes up a new one while connections go on. [`Trust`] says which
//! servers a client believes: those of the system's authorities, or those that were pinned. There is no way to switch
//! verification off. The channel for bulk bytes has certificates of its own (`ecep-channel`).
//!
//! It must not know what is spoken inside.

mod certificate;
mod fingerprint;
mod refusal;
mod server;
mod trust;
mod verifier;

pub use certificate::{CertificateError, CertificateFiles};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use server::{ServerTls, Verified};
pub use tokio_rustls::{client, server::TlsStream};
pub use trust::{ConnectError, Trust, TrustError};

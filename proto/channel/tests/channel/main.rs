//! The channel as its users have it: real certificates, real TLS, loopback TCP where the network matters.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod ends;
mod relay;
mod streams;
mod support;
mod transfer;
mod tree;

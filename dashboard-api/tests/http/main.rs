//! The HTTP API over a real listener.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod devices;
mod login;
mod pages;
mod protocol;
mod setup;
mod tls;
mod tokens;

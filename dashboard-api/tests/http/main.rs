//! The HTTP API over a real listener.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod audit;
mod devices;
mod endpoints;
mod invitations;
mod keys;
mod login;
mod members;
mod once;
mod own_account;
mod pages;
mod protocol;
mod setup;
mod shares;
mod tenants;
mod tls;
mod tokens;
mod uploads;
mod withheld;

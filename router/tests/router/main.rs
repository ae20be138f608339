//! The router as its clients meet it: over real sockets, with clients of our own and of others.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod churn;
mod client;
mod command_line;
mod configuration;
mod conformance;
mod conformance_pubsub;
mod conformance_rpc;
mod documentation;
mod incomplete;
mod interop;
mod limits;
mod load;
mod platform;
mod refusals;
mod reload;
mod server;
mod shutdown;
mod unix_sockets;
mod watched;

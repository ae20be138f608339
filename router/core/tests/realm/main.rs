//! The realm as its clients see it, step by step: no clock, no socket.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod caller;
mod calls;
mod histories;
mod lists;
mod model;
mod permissions;
mod profile;
mod publish_subscribe;
mod publisher;
mod registration_meta;
mod retained;
mod rpc_cancel;
mod rpc_concurrency;
mod rpc_model;
mod rpc_pattern;
mod rpc_pieces;
mod rpc_progress;
mod rpc_reroute;
mod rpc_shared;
mod rpc_takeover;
mod rpc_timeout;
mod session_meta;
mod sessions;
mod strict_requests;
mod subscription_meta;
mod testaments;
mod vectors;
mod world;

//! The realm as its clients see it, step by step: no clock, no socket.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod calls;
mod lists;
mod model;
mod permissions;
mod profile;
mod publish_subscribe;
mod session_meta;
mod sessions;
mod testaments;
mod world;

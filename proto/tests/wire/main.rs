//! The wire: what messages look like as bytes, that nothing is lost on the way, and that no bytes do harm.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod frames;
mod malformed;
mod reference;
mod roundtrip;
mod speed;
mod vectors;

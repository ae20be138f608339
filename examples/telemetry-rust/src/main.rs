//! A third-party telemetry client in Rust over wamp_async.

fn main() {}

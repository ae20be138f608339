//! Everything that can be asked of the platform, asked by everybody who should not: every procedure, topic, meta procedure
//! and HTTP endpoint, as nobody, as another tenant, as each lesser role and token, as another device, and as an administrator
//! without membership. What is expected comes from the catalogue and the endpoint table; what they gain later is
//! asked here too, or this fails.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../support/mod.rs"]
mod support;

mod calls;
mod control;
mod endpoints;
mod joining;
mod scene;
mod topics;
mod wire;

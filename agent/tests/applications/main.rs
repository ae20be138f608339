//! Applications on a device whose engine is in memory, and with Docker where ECEP_TEST_DOCKER names its
//! socket: how they come, how they are replaced, and what is left when one has run.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod cloud;
mod docker;
mod kinds;
#[path = "../real_docker/mod.rs"]
mod real_docker;
mod runs;
mod scene;
mod strangers;
mod updates;

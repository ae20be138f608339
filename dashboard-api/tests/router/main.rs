//! The control plane with a real router: who may join, and the fleet as its tenants see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

#[path = "../support/mod.rs"]
mod support;

mod applications;
mod audit;
mod ending;
mod files;
mod fleet;
mod insight;
mod joining;
mod shares;
mod views;

use support::platform::{join, joined, platform, ticket};

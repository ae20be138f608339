//! The edge agent: runs containers on one device for the platform.
//!
//! It joins the platform's router by itself, serves the procedures of its device in the realm of every tenant
//! that has a share in the device, and publishes telemetry. The engine's labels are the truth about its
//! containers; the agent can be killed and started again at any time without touching one.

pub mod addresses;
pub mod agent;
pub mod applications;
pub mod audit;
pub mod channel;
mod checkpoints;
pub mod clock;
pub mod cloud;
pub mod control_procedures;
mod creating;
pub mod creation;
mod durable;
pub mod engine;
pub mod facts;
mod fetching;
mod gone;
mod guests;
mod http;
pub mod identity;
pub mod inventory;
mod kept;
mod lines;
pub mod migration;
pub mod moving;
pub mod network;
pub mod operations;
pub mod orders;
pub mod outbox;
pub mod policy;
pub mod procedures;
mod pulls;
pub mod quotas;
pub mod random;
mod reporter;
mod restoring;
mod rotation;
pub mod stats;
pub mod stored;
mod telling;
mod terminals;
mod views;

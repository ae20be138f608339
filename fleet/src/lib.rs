//! Decisions about the fleet. Now: how a device is, by the age of its reports, what people are warned of, who has a
//! container while it moves, what a tenant may begin on a device that is shared with it, what a container may hold, and where an
//! application shall run. Later: balance, failover.
//!
//! Owns the rules and their thresholds. Must not know a clock, a socket, a disk or a random number: whoever
//! asks passes the time in, so the same code can decide in the cloud, at a site and in a simulation.

pub mod alerts;
pub mod image_reference;
pub mod liveness;
pub mod migration;
pub mod placement;
pub mod quota;
pub mod wanted;

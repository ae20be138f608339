//! How a container is checkpointed under a Docker engine that knows nothing of it, and restored under another.
//!
//! The source is dumped by `runc checkpoint` while it is frozen and its network is cut ([`network`], [`dump`]). At the
//! destination an [`order`] is laid, and the engine starts an ordinary container whose runtime is the `ecep-runtime`
//! program of this package: it hands everything to runc, except that an order turns `create` into `runc restore`.
//! [`register`] tells the engine of that program, [`probe`] tries out whether checkpoint and restore work at all here.
//!
//! Everything blocks, so an asynchronous caller runs it on a thread for blocking work. Nothing here knows of migrations,
//! of other devices, or of WAMP; the engine is spoken to only to register the runtime.

pub mod bundle;
pub mod cause;
mod criu_image;
pub mod dump;
pub mod freezer;
pub mod invocation;
mod netlink;
pub mod network;
pub mod order;
pub mod probe;
pub mod proof;
pub mod register;
pub mod restore;
pub mod runc;
pub mod stat;
mod stopped;
pub mod wiring;

//! The cloud's control plane: accounts and tenants, who may join which realm, the fleet as its agents report it,
//! and the web app.
//!
//! `http` is what people's browsers and enrolling devices reach; `uplink` is what the router and the agents
//! reach; `store` is what must not be forgotten; the rest decides. It must not know WAMP's framing, nor what a
//! container engine is.

pub mod authenticator;
pub mod authority;
pub mod channel;
pub mod clock;
pub mod config;
pub mod control;
pub mod enrolment;
pub mod fleet_view;
pub mod http;
pub mod limits;
pub mod listener;
pub mod moves;
pub mod naming;
pub mod nonces;
pub mod open_files;
pub mod password;
mod placements;
pub mod secret;
pub mod server;
pub mod setup;
pub mod store;
pub mod subnets;
pub mod tickets;
pub mod uplink;

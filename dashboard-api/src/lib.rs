//! The cloud's control plane: accounts and tenants, who may join which realm, the fleet as its agents report it,
//! and the web app.
//!
//! `http` is what people's browsers and enrolling devices reach; `uplink` is what the router and the agents
//! reach; `store` is what must not be forgotten; the rest decides. It must not know WAMP's framing, nor what a
//! container engine is.

pub mod admin;
pub mod alerts;
pub mod applications;
pub mod artifacts;
pub mod audit;
pub mod authenticator;
pub mod authority;
pub mod channel;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod enrolment;
pub mod exposition;
pub mod fleet_view;
pub mod geo;
pub mod history;
pub mod http;
pub mod keys;
pub mod known_browsers;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod moves;
pub mod naming;
pub mod nonces;
pub mod open_files;
pub mod openapi;
pub mod password;
pub mod password_rules;
pub mod places;
pub mod reference;
pub mod secret;
pub mod server;
pub mod setup;
pub mod sharing;
pub mod store;
pub mod stored;
pub mod subnets;
pub mod telemetry;
pub mod tickets;
pub mod uplink;
pub mod viewers;

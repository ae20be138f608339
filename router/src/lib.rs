//! The WAMP router: sockets, authentication, limits.
//!
//! A thin shell around `ecep-router-core`: `server` accepts, `connection` greets a client and `exchange` reads and
//! writes for it, `hub` and `realm_task` own one state machine for each realm, `auth` decides who may join. What a message
//! means is the core's business.

mod auth;
mod authenticator;
mod budget;
pub mod config;
mod connection;
mod end_sessions;
mod exchange;
mod http;
mod hub;
mod listener;
mod live;
mod live_limits;
mod metrics;
pub mod open_files;
mod outbound;
mod platform;
mod rate;
mod realm_configs;
mod realm_task;
mod reload;
mod revocations;
mod room;
mod server;
mod slots;
mod transport;
mod turns;

pub use config::{
    Address, AllowedOrigin, Config, ConfigError, HttpConfig, Limits, Listen, PlatformConfig, RealmConfig,
    TlsConfig, TransportKind,
};
pub use reload::{ReloadError, Reloader};
pub use server::{BindError, Router};

//! What the load generator is told of the platform; it reads the same shape.

use serde::Serialize;

/// The platform.
#[derive(Debug, Serialize)]
pub(super) struct Plan {
    pub(super) cloud: String,
    pub(super) wamp: String,
    pub(super) cookie: String,
    pub(super) tenants: Vec<Tenant>,
}

/// A tenant.
#[derive(Debug, Serialize)]
pub(super) struct Tenant {
    pub(super) slug: String,
    pub(super) join_token: String,
    pub(super) token_id: String,
    pub(super) token_secret: String,
    pub(super) devices: u32,
}

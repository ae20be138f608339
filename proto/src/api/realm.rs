//! The names of the realms. Isolation between tenants is the router's realm boundary.

use super::name::TenantSlug;

/// The realm of agents and the control plane.
pub const CONTROL: &str = "ecep.control";
/// What the realm of every tenant begins with.
pub const TENANT_PREFIX: &str = "ecep.tenant.";
/// The authid of the control plane's own session on every platform realm.
pub const CONTROL_PLANE_AUTHID: &str = "control-plane";

/// The realm of this tenant.
pub fn of_tenant(tenant: &TenantSlug) -> String {
    format!("{TENANT_PREFIX}{tenant}")
}

/// The tenant whose realm this is; `None` for any other realm.
pub fn tenant_of(realm: &str) -> Option<TenantSlug> {
    realm.strip_prefix(TENANT_PREFIX)?.parse().ok()
}

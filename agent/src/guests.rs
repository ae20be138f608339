//! Orders of and about tenants that the device is shared with: what of the device's policy is theirs, and how they are put out when
//! their share ends.

use ecep_proto::api::{
    container::DeleteContainer,
    error::{ApiError, ErrorKind},
    name::TenantSlug,
    reply::Nothing,
    share::{Allowance, EvictTenant},
};

use crate::{engine::Engine, orders::Orders, policy::Policy};

impl<E: Engine> Orders<E> {
    /// What the tenant may have beyond ordinary containers: what the device's owner allows itself, unless the tenant's terms leave
    /// that out.
    pub(crate) fn policy_for(&self, tenant: &TenantSlug) -> Result<Policy, ApiError> {
        let policy = self.policy()?;
        if self.quotas.is_allowed(tenant, Allowance::DevicePolicy)? {
            Ok(policy)
        } else {
            Ok(policy.without_settings())
        }
    }

    /// Stops and deletes containers of a tenant whose share ends, as the device's owner has ordered who has named them.
    ///
    /// # Errors
    /// `Forbidden` where the tenant's share does not end: nobody else's containers are deleted by this.
    pub(crate) async fn evict(self: &std::sync::Arc<Self>, order: EvictTenant) -> Result<Nothing, ApiError> {
        let EvictTenant { tenant, containers } = order;
        if !self.quotas.granted(&tenant)?.is_some_and(|granted| granted.is_ending) {
            return Err(ApiError::new(
                ErrorKind::Forbidden,
                format!(
                    "the share of tenant {tenant} does not end, by what this device knows; try again in a moment"
                ),
            ));
        }
        tracing::info!(%tenant, containers = containers.len(), "the containers of a share that ends are deleted");
        for container in containers {
            // Its end is told to the tenant; what fails stays in the list, and may be ordered again.
            let accepted = self.delete(
                &tenant,
                DeleteContainer { container: container.clone(), force: true, operation: None },
            );
            if let Err(error) = accepted {
                tracing::warn!(%tenant, %container, %error, "a container is not deleted");
            }
        }
        Ok(Nothing {})
    }
}
